"""Lines are written by a thread of their own, all of them, in order, and by a process's children too."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time

import pytest

from litellm_modelsat.proxy import queued


class Page(logging.Handler):
    """Keeps lines with the thread that wrote them."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.lines: list[str] = []
        self.writers: set[int] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.writers.add(threading.get_ident())
        self.lines.append(record.getMessage())

    def wait_for(self, count: int) -> list[str]:
        deadline = time.monotonic() + 10
        while len(self.lines) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.lines


def make_logger(*pages: Page) -> logging.Logger:
    logger = logging.Logger("lines", logging.INFO)
    logger.addHandler(queued(*pages))
    return logger


def test_lines_come_in_order_from_another_thread() -> None:
    page = Page()
    logger = make_logger(page)
    for number in range(100):
        logger.info("line %d", number)
    assert page.wait_for(100) == [f"line {number}" for number in range(100)]
    assert threading.get_ident() not in page.writers


def test_every_handler_keeps_its_level() -> None:
    all_of_it, errors = Page(), Page(logging.ERROR)
    logger = make_logger(all_of_it, errors)
    logger.info("a decision")
    logger.error("a failure")
    assert all_of_it.wait_for(2) == ["a decision", "a failure"]
    assert errors.wait_for(1) == ["a failure"]


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_a_handler_that_raises_loses_its_own_line_alone(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torn(Page):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "odd":
                raise error
            super().emit(record)

    monkeypatch.setattr(logging, "raiseExceptions", False)  # or the handler says so on stderr
    torn, page = Torn(), Page()
    logger = make_logger(torn, page)
    for line in ("one", "odd", "two"):
        logger.info(line)
    assert page.wait_for(3) == ["one", "odd", "two"]
    assert torn.wait_for(2) == ["one", "two"]


SCRIPT = """
import logging, os
from litellm_modelsat.proxy import queued
logger = logging.getLogger("lines")
logger.addHandler(queued(logging.StreamHandler()))
"""


def run(script: str) -> str:
    command = [sys.executable, "-c", SCRIPT + script]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stderr


def test_a_process_that_ends_has_written_all_lines() -> None:
    assert run("for n in range(50): logger.error('line %d', n)") == "".join(f"line {n}\n" for n in range(50))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_writes_its_own_lines() -> None:
    script = """
logger.error("the parent")
if os.fork() == 0:
    logger.error("the child")
    import atexit
    atexit._run_exitfuncs()
    os._exit(0)
os.wait()
"""
    assert sorted(run(script).splitlines()) == ["the child", "the parent"]
