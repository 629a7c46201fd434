"""Dropping old decisions from a store, a few at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from modelsat.feedback.base import FeedbackStore, PrunableStore, Retention

logger = logging.getLogger("modelsat")

INTERVAL_S = 3600.0
"""Seconds between two looks for what need not be kept."""
PART = 500
"""Decisions dropped in one go, so that what waits to be written waits for a fraction of a second."""


class Pruner:
    """Drops what a store need not keep: at first, then once an hour. Used by one thread.

    Args:
        store: The store. One that is no :class:`~modelsat.feedback.base.PrunableStore` is left alone.
        retention: What is kept.
        clock: Seconds that never run backwards.
    """

    def __init__(self, store: FeedbackStore, retention: Retention, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._retention, self._clock = store, retention, clock
        self._due = float("-inf")
        self._part = 0
        self.pruned = 0

    def __call__(self) -> None:
        """Drop one part, if it is time; returns at once if not.

        Raises:
            FeedbackStoreError: The store cannot be used. It is tried again an hour later.
        """
        if self._clock() < self._due or not isinstance(self._store, PrunableStore):
            return
        self._due = self._clock() + INTERVAL_S
        dropped = self._store.prune(self._retention, time.time(), PART)
        self.pruned += dropped
        self._part += dropped
        if dropped >= PART:
            self._due = float("-inf")
        elif self._part:
            logger.info("%d old decisions were dropped from %s", self._part, self._store.name)
            self._part = 0
