"""Log lines that do not repeat themselves, and text of others in log lines and messages."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

PERIOD_S = 60.0
"""Seconds between two lines about the same cause."""
_FIELD_NAME = re.compile(r"[A-Za-z_]{1,24}")
_LONGEST_VALUE, _LONGEST_NAME, _MOST_NAMES = 60, 80, 12
_LARGEST_BITS = 64
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CAUSES = 1000
"""Causes remembered at most; then all are forgotten, so that memory stays bounded."""


class ThrottledLog:
    """Logs the first event of each cause at once, and later ones at most once a period, with how many were left out.

    Only lines are left out: whoever counts the events counts them all. Thread-safe.
    """

    def __init__(
        self, logger: logging.Logger, period_s: float = PERIOD_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger, self._period_s, self._clock = logger, period_s, clock
        self._lock = threading.Lock()
        self._last: dict[str, tuple[float, int]] = {}

    def log(self, level: int, cause: str, message: str, *values: object) -> bool:
        """Log ``message % values`` and return True, unless there was a line about ``cause`` within the period."""
        now = self._clock()
        with self._lock:
            at, left_out = self._last.get(cause, (float("-inf"), 0))
            due = now - at >= self._period_s
            if len(self._last) >= _CAUSES and cause not in self._last:
                self._last.clear()
            self._last[cause] = (now, 0) if due else (at, left_out + 1)
        if due and left_out:
            self._logger.log(level, f"{message} (and %d more since the last such line)", *values, left_out)
        elif due:
            self._logger.log(level, message, *values)
        return due


def one_line(text: str, longest: int = 500) -> str:
    """``text`` without line breaks, control characters and unpaired surrogates, cut to ``longest`` characters.

    Whoever chose the text can neither forge a second log line with it nor break the encoding of an answer.
    """
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), cut)


def text_of(error: BaseException) -> str:
    """The message of ``error``; what it is, where asking for the message raises."""
    try:
        return str(error)
    except Exception:
        return f"a {type(error).__name__} whose message cannot be read"


def shown(value: Any) -> str:
    """A faulty value of a setting for a message: one line of bounded length, whatever it is."""
    if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
        return "so large a number"
    try:
        return one_line(repr(value), _LONGEST_VALUE)
    except Exception:
        return f"a {type(value).__name__}"


def names(given: Collection[Any]) -> str:
    """Names that somebody sent, for a message: the first ones in order, each on one line and cut."""
    found = sorted(map(str, given))
    listed = ", ".join(one_line(name, _LONGEST_NAME) for name in found[:_MOST_NAMES])
    return f"{listed} and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else listed


def field_name(key: Any) -> str | None:
    """An unknown key that looks like the name of a field; ``None`` for others, which are text and not repeated."""
    return str(key) if _FIELD_NAME.fullmatch(str(key)) else None
