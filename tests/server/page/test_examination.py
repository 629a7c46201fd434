"""An aptitude test that is started on the page, against a model server on the loopback interface."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("pyarrow", reason="questions are a Parquet file")

from tests.fakes import FakeScorer
from tests.lab.aptitude.conftest import TASKS, _own_folders, bank, questions, running, server  # noqa: F401
from tests.lab.aptitude.server import ExamServer
from tests.server.page.test_page import Visitor, said, visiting
from tests.server.servers import serving


@pytest.fixture
def visitor(questions: Path) -> Iterator[Visitor]:  # noqa: F811
    with serving(FakeScorer(), ui_questions=str(questions)) as address, visiting(address) as one:
        yield one


def begin(visitor: Visitor, server: ExamServer, model: str = "half", **fields: str) -> httpx.Response:  # noqa: F811
    given = {"test_model": model, "api_base": server.url, "tasks": ", ".join(TASKS), **fields}
    return visitor.post("/page/test", "/models", **given)


def ended(visitor: Visitor) -> str:
    deadline = time.monotonic() + 60
    while 'hx-trigger="every 1s"' in (text := visitor.http.get("/page/test", headers={"hx-request": "true"}).text):
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    return text


def test_a_model_is_tested_with_its_progress_and_its_profile_is_kept(visitor: Visitor, server: ExamServer) -> None:  # noqa: F811
    server.latency = 0.1
    first = begin(visitor, server, test_name="my-half", budget="")
    assert first.status_code == 200
    most = int(re.search(r"of (\d+) at most", first.text)[1])  # type: ignore[index]
    assert "Stop" in first.text
    assert "my-half" in visitor.http.get("/models").text, "whoever opens the tab sees the test"
    text = ended(visitor)
    assert 0 < server.calls("half") <= most < 40
    assert "the profile of my-half</a> is kept" in text
    assert re.search(r"Right so far</dt><dd>[3-7]\d %", text), "it answers every other question rightly"
    shown = visitor.http.get("/models?model=my-half").text
    assert "anatomy" in shown


def test_one_test_at_a_time_and_it_can_be_stopped(visitor: Visitor, server: ExamServer) -> None:  # noqa: F811
    server.latency = 0.5
    begin(visitor, server)
    assert "half is being tested" in said(begin(visitor, server, "good"))
    assert "Stopping" in visitor.post("/page/test/stop", "/models").text
    assert "stopped; the answers so far are kept" in ended(visitor)
    server.latency = 0.1  # so that the page is drawn before it ends
    before = server.calls("half")
    again = begin(visitor, server).text
    assert int(re.search(r'value="(\d+)"', again.partition("<progress")[2])[1]) > 0, "it goes on"  # type: ignore[index]
    assert "is kept" in ended(visitor)
    assert server.calls("half") > before


def test_what_goes_wrong_is_said_and_keys_are_not(visitor: Visitor, server: ExamServer) -> None:  # noqa: F811
    server.key = "sk-right-5f0c"
    assert begin(visitor, server, api_key="sk-wrong-77aa").status_code == 200
    text = ended(visitor)
    assert "cannot test half" in text
    assert "sk-wrong" not in text + visitor.http.get("/models").text
    assert "name the model" in said(begin(visitor, server, model=" "))
    assert "is not a number" in said(begin(visitor, server, budget="little"))
    assert "there is no core task" in said(begin(visitor, server, tasks="cooking"))
    assert "is not a URL" in said(begin(visitor, server, api_base="localhost:8000"))
    assert server.calls("half") == 0


def test_a_page_for_others_starts_no_tests(server: ExamServer) -> None:  # noqa: F811
    with serving(FakeScorer(), ui_tests=False) as address, visiting(address) as visitor:
        assert "set ui_tests: true" in visitor.http.get("/models").text
        assert "set ui_tests: true" in said(begin(visitor, server))
