"""Log lines that do not repeat themselves: what goes wrong at every request is said once a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

PERIOD_S = 60.0
"""Seconds between two lines about the same cause."""
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
