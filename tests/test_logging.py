"""Log lines that do not repeat themselves, and that what they are about is still counted."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from modelsat._logging import ThrottledLog
from modelsat.errors import ScoringError
from modelsat.router.fallback import Fallback

logger = logging.getLogger("modelsat")


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_of_a_cause_is_logged_and_later_ones_once_a_period_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = _Clock()
    rare = ThrottledLog(logger, clock=clock)
    for second in range(150):
        clock.now = float(second)
        assert rare.log(logging.WARNING, "timeout", "no answer from %s", "here") == (second in (0, 60, 120))
    rare.log(logging.ERROR, "broken", "broken")
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines == [
        ("WARNING", "no answer from here"),
        ("WARNING", "no answer from here (and 59 more since the last such line)"),
        ("WARNING", "no answer from here (and 59 more since the last such line)"),
        ("ERROR", "broken"),
    ]


def test_a_quiet_period_leaves_nothing_to_add(caplog: pytest.LogCaptureFixture) -> None:
    clock = _Clock()
    rare = ThrottledLog(logger, clock=clock)
    for clock.now in (0.0, 61.0, 200.0):
        rare.log(logging.WARNING, "timeout", "no answer")
    assert [record.getMessage() for record in caplog.records] == ["no answer"] * 3


def test_memory_is_bounded_however_many_causes_there_are() -> None:
    rare = ThrottledLog(logger)
    for number in range(2500):
        rare.log(logging.DEBUG, f"cause {number}", "something")
    assert len(rare._last) <= 1000


def test_every_fallback_is_counted_and_few_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    planner: Any = None
    fallbacks = Fallback("spare", planner, [], None)
    for _ in range(500):
        fallbacks.record("spare", ScoringError("the scorer is away"))
    fallbacks.record("spare", TimeoutError())  # type: ignore[arg-type]
    assert fallbacks.counts == {"ScoringError": 500, "TimeoutError": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "routing fell back to spare: ScoringError: the scorer is away",
        "routing fell back to spare: TimeoutError: ",
    ]
