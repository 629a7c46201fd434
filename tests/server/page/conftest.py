"""A server with its page, over a store of some hundred decisions, and a browser to look at it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("jinja2", reason='needs the extra "serve"')

from modelsat.feedback.base import DecisionRecord, FeedbackRecord, thread_key
from modelsat.feedback.sqlite import SQLiteStore
from tests.fakes import FakeScorer
from tests.server.servers import serving

MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1-nano")
MARKUP = "<script>document.title = 'taken'</script>"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def records(count: int, *, now: float | None = None) -> list[DecisionRecord]:
    """Decisions of the last six days: gpt-4o is the best and the dearest; every third keeps its prompt."""
    rng, now = Random(1), time.time() if now is None else now
    prices = dict(zip(MODELS, (0.01, 0.002, 0.0004), strict=True))
    made = []
    for number in range(count):
        hard = rng.random()
        scores = {name: 0.95 - hard * drop for name, drop in zip(MODELS, (0.2, 0.4, 0.6), strict=True)}
        chosen = next((name for name in reversed(MODELS) if scores[name] >= 0.75), MODELS[0])
        made.append(
            DecisionRecord(
                *(f"d{number}", now - 6 * 86400 * rng.random(), chosen, scores[chosen], scores),
                policy="cheapest" if number % 5 else "best",
                weights="fake@1",
                prompt=f"Prompt {number} {MARKUP}" if number % 3 == 0 else None,
                thread=thread_key(f"thread {number % 10}"),
                group="chat" if number % 2 else MARKUP,
                costs=prices,
                excluded={"o3-pro": "region"} if number % 10 == 0 else {},
                target_met=scores[chosen] >= 0.75,
                fallback=number % 100 == 0,
                elapsed_ms=1.0 + 20 * rng.random(),
            )
        )
    return made


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 300 decisions, a third of them with feedback."""
    path = tmp_path_factory.mktemp("page") / "feedback.sqlite"
    store = SQLiteStore(path)
    made = records(300)
    store.add_decisions(made)
    for number, record in enumerate(made[::3]):
        store.add_feedback(FeedbackRecord(record.id, float(number % 4 > 0)))
    store.close()
    return path


@pytest.fixture(scope="session")
def page(filled: Path) -> Iterator[str]:
    """Address of a server without keys."""
    settings = {"candidates": list(MODELS), "policy": "cheapest(target=0.5)", "feedback": str(filled)}
    with serving(FakeScorer(), **settings) as address:
        yield address


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's chromium, headless, with a profile of its own."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()
