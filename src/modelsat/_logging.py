"""Log lines that do not repeat themselves, and text of others in log lines and messages."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable

PERIOD_S = 60.0
"""Seconds between two lines about the same cause."""
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
