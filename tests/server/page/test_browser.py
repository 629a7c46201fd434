"""The page in a real browser: every tab, by keyboard, dark, on a phone, checked by axe, and quiet."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.server.page.conftest import MODELS

By = pytest.importorskip("selenium.webdriver.common.by", reason="needs selenium").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
Wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait

TABS = ("/", "/watch", "/replay", "/models?q=gpt-4", "/models?model=gpt-4o&with=gpt-4o-mini")
AXE = "4.10.3"


def size(browser: Any, width: int, *, dark: bool = False) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def shown(browser: Any, what: str) -> Any:
    return Wait(browser, 30).until(lambda one: one.find_element(By.CSS_SELECTOR, what))


def decide(browser: Any, page: str, request: str = "Why is the sky blue?") -> None:
    browser.get(page)
    browser.find_element(By.ID, "messages").send_keys(request)
    browser.find_element(By.CSS_SELECTOR, "button.main").click()
    shown(browser, "#result .verdict")


def lit(browser: Any) -> float:
    """How light the page is, 0..255."""
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    parts = [float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    return sum(parts) / 3


def test_a_decision_is_had_from_the_keyboard_alone(browser: Any, page: str) -> None:
    size(browser, 1200)
    browser.get(page)
    press: Callable[..., None] = lambda *keys: browser.switch_to.active_element.send_keys(*keys)  # noqa: E731
    press(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to content"
    for _ in range(20):
        if browser.switch_to.active_element.get_attribute("id") == "messages":
            break
        press(Keys.TAB)
    press("Prove that every finite integral domain is a field.", Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("id") == "policy"
    press("cheapest that")
    press(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("id") == "knob_cheapest"
    verdict = shown(browser, "#result .verdict")  # a change decides by itself
    assert verdict.text in MODELS
    press(Keys.END)
    Wait(browser, 30).until(lambda one: "at least 1.00" in one.page_source or "none reaches" in one.page_source)
    assert browser.find_element(By.ID, "shown_cheapest").text == "1.00"


def test_two_policies_are_decided_by_side_by_side(browser: Any, page: str) -> None:
    size(browser, 1200)
    browser.get(page)
    browser.find_element(By.ID, "messages").send_keys("Why is the sky blue?")
    browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    browser.find_element(By.ID, "against").send_keys("best")
    browser.find_element(By.CSS_SELECTOR, "button.main").click()
    Wait(browser, 30).until(lambda one: len(one.find_elements(By.CSS_SELECTOR, "#result .verdict")) == 2)
    assert "Router(" in browser.find_element(By.ID, "code-python").get_attribute("textContent")


def test_markup_in_prompts_and_names_is_text(browser: Any, page: str) -> None:
    size(browser, 1200)
    decide(browser, page, "<script>document.title = 'taken'</script>")
    assert "taken" not in browser.title
    browser.get(f"{page}/replay")
    entry = browser.find_element(By.ID, "with_policy")
    entry.clear()
    entry.send_keys("best")
    browser.find_element(By.CSS_SELECTOR, "form.card button.main").click()
    shown(browser, "#result .verdict")
    assert "<script>document.title" in browser.find_element(By.ID, "result").text
    browser.get(f"{page}/watch")
    assert "taken" not in browser.title


@pytest.mark.parametrize("dark", [False, True])
def test_every_tab_fits_a_phone_in_light_and_dark(browser: Any, page: str, dark: bool) -> None:
    size(browser, 360, dark=dark)
    for tab in TABS:
        browser.get(page + tab)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360, tab
        assert browser.find_element(By.TAG_NAME, "h1").is_displayed()
    assert (lit(browser) < 60) is dark


def test_no_tab_complains_or_asks_another_host(browser: Any, page: str) -> None:
    size(browser, 1200)
    browser.get_log("browser")
    browser.get_log("performance")
    for tab in TABS:
        browser.get(page + tab)
    decide(browser, page)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert len(asked) > len(TABS)
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(page).netloc}
    assert browser.get_log("browser") == []


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    command = [npm, "pack", "--silent", f"axe-core@{AXE}"]
    if npm is None or subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("axe-core cannot be had from npm here")
    shutil.unpack_archive(folder / f"axe-core-{AXE}.tgz", folder)
    return (Path(folder) / "package" / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(browser: Any, page: str, axe: str, dark: bool) -> None:
    size(browser, 1200, dark=dark)
    for tab in (*TABS, "decision"):
        if tab == "decision":
            decide(browser, page)
        else:
            browser.get(page + tab)
        browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
        browser.execute_script(axe)
        found = browser.execute_async_script("axe.run().then(arguments[0])")
        assert len(found["passes"]) > 10
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == [], tab
