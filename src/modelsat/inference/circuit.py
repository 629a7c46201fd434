"""A circuit breaker: after repeated failures nobody waits for a server that is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]


class CircuitBreaker:
    """Opens after ``failures`` failures in a row; after ``reset_s`` one trial call decides whether it closes.

    Thread-safe. Callers ask :meth:`allows` before a call and report how it went with :meth:`succeeded` or
    :meth:`failed`.

    Args:
        failures: Failures in a row that open it; at least 1.
        reset_s: Seconds it stays open before a trial.
        clock: Monotonic seconds.
    """

    def __init__(self, failures: int = 5, reset_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        if failures < 1 or reset_s < 0:
            raise ValueError("a circuit breaker needs failures >= 1 and reset_s >= 0")
        self._limit, self._reset_s, self._clock = failures, reset_s, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._trial_at: float | None = None

    @property
    def state(self) -> State:
        """``"closed"`` (calls pass), ``"open"`` (none does) or ``"half-open"`` (one trial is due or under way)."""
        with self._lock:
            if self._opened_at is None:
                return "closed"
            return "half-open" if self._clock() - self._opened_at >= self._reset_s else "open"

    def allows(self) -> bool:
        """Whether a call may be made now; of many callers after ``reset_s``, one gets yes."""
        with self._lock:
            if self._opened_at is None:
                return True
            now = self._clock()
            if now - self._opened_at < self._reset_s:
                return False
            # A trial whose caller never reported back does not keep the breaker open for ever.
            if self._trial_at is not None and now - self._trial_at < max(self._reset_s, 1.0):
                return False
            self._trial_at = now
            return True

    def succeeded(self) -> None:
        """A call went well: close."""
        with self._lock:
            self._failures, self._opened_at, self._trial_at = 0, None, None

    def failed(self) -> bool:
        """A call failed; returns True if this opened the breaker."""
        with self._lock:
            self._failures += 1
            self._trial_at = None
            if self._failures < self._limit:
                return False
            opened = self._opened_at is None
            self._opened_at = self._clock()
            return opened
