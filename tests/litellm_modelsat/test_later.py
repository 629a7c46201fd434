"""Lines are written a moment after they are said, all of them, as they were said."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from contextvars import ContextVar

from litellm_modelsat.later import LaterHandler

caller: ContextVar[str] = ContextVar("caller", default="nobody")


class Page(logging.Handler):
    """Keeps lines with who said them."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((caller.get(), record.getMessage()))


def make_logger(*pages: Page, later_s: float = 0.01) -> logging.Logger:
    logger = logging.Logger("lines", logging.INFO)
    logger.addHandler(LaterHandler(pages, later_s))
    return logger


async def test_lines_come_later_in_order_and_in_the_context_of_who_said_them() -> None:
    page = Page()
    logger = make_logger(page)

    async def say(name: str) -> None:
        caller.set(name)
        logger.info("%s speaks", name)
        assert not page.lines

    await asyncio.gather(say("one"), say("two"))
    await asyncio.sleep(0.1)
    assert page.lines == [("one", "one speaks"), ("two", "two speaks")]


def test_without_an_event_loop_lines_come_at_once() -> None:
    page = Page()
    make_logger(page).info("now")
    assert page.lines == [("nobody", "now")]


def test_every_handler_keeps_its_level() -> None:
    all_of_it, errors = Page(), Page(logging.ERROR)
    logger = make_logger(all_of_it, errors)
    logger.info("a decision")
    logger.error("a failure")
    assert [line for _, line in all_of_it.lines] == ["a decision", "a failure"]
    assert [line for _, line in errors.lines] == ["a failure"]


def test_a_process_that_ends_has_written_all_lines() -> None:
    script = (
        "import asyncio, logging\n"
        "from litellm_modelsat.later import LaterHandler\n"
        "logger = logging.getLogger('lines')\n"
        "logger.addHandler(LaterHandler([logging.StreamHandler()], later_s=3600))\n"
        "async def say():\n"
        "    logger.error('the last line')\n"
        "asyncio.run(say())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == "the last line\n"
