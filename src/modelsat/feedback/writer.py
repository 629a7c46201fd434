"""The thread between decisions and the store: decisions are handed over and never wait."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from modelsat._logging import ThrottledLog
from modelsat.errors import ConfigurationError, FeedbackStoreError, ModelSATError
from modelsat.feedback.base import (
    DeadLetterStore,
    DecisionRecord,
    FeedbackRecord,
    FeedbackStore,
    PrunableStore,
    Retention,
)

logger = logging.getLogger("modelsat")

QUEUE = 10_000
"""Records that wait at most."""
INTERVAL_S = 3600.0
"""Seconds between two looks for what need not be kept."""
PART = 500
"""Decisions dropped in one go, so that what waits to be written waits for a fraction of a second."""
_BATCH = 256
_LONGEST_PAUSE_S = 30.0
_LONGEST_RECORD = 10_000

T = TypeVar("T")
Waiting = tuple[FeedbackRecord, "Future[None]"]


class Pruner:
    """Drops what a store need not keep: at first, then once an hour. Used by one thread.

    A store that is not a :class:`~modelsat.feedback.base.PrunableStore` is left alone.
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


class _ClosingError(Exception):
    """The writer is closed while the store cannot be used."""


class StoreWriter:
    """Writes records in the order in which they were handed over, in one background thread.

    While the store is locked, damaged or away, records wait and the thread tries again, ever less often. A full queue
    drops what comes next. A record that cannot be written for any other reason, SystemExit included, is set aside, and
    the thread goes on. All three are logged, counted, and visible in :attr:`problem`, :attr:`dropped` and
    :attr:`set_aside`.

    ``refresh`` is called after feedback was written, and at least every ``refresh_s`` seconds; ``prune`` again and
    again, to drop a few old decisions when it is time to.
    """

    def __init__(
        self,
        store: FeedbackStore,
        refresh: Callable[[], None],
        prune: Callable[[], None],
        *,
        size: int,
        refresh_s: float,
    ) -> None:
        self._store, self._refresh, self._prune = store, refresh, prune
        self._size, self._refresh_s = size, refresh_s
        self._log = ThrottledLog(logger)
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        """Start with nothing: at first, and in a forked child, whose thread stayed behind in the parent."""
        self._queue: queue.Queue[DecisionRecord | Waiting] = queue.Queue(self._size)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._nudge = threading.Event()
        self.waiting = 0  # records handed over and not written yet
        self.written, self.dropped, self.refused, self.set_aside = 0, 0, 0, 0
        self.last_success: float | None = None
        self.problem: str | None = None

    def feed(self, record: FeedbackRecord) -> Future[None]:
        """Hand over feedback; the result is there once it is written, or the store's refusal.

        Raises:
            FeedbackStoreError: The queue is full.
        """
        done: Future[None] = Future()
        if not self.put((record, done)):
            raise FeedbackStoreError(
                f"{self._size} records wait for the feedback store already ({self.problem or 'it is slow'}); "
                "this feedback was not recorded: give it again later"
            )
        return done

    def start(self) -> None:
        """Start the thread, if it does not run."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._lock:
            if (self._thread is None or not self._thread.is_alive()) and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="modelsat-feedback", daemon=True)
                self._thread.start()

    def report(self, error: Exception) -> None:
        """Note that the store cannot be used; logged at the first time only."""
        if self.problem is None:
            logger.error("%s; routing goes on, and records wait until it can be used", error)
        self.problem = str(error)

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing waits; False if that took too long."""
        deadline = time.monotonic() + timeout_s
        self._nudge.set()
        while self.waiting and time.monotonic() < deadline:
            time.sleep(0.005)
        return not self.waiting

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, as far as that can be done in ``timeout_s``, and stop the thread."""
        self.flush(timeout_s if self._thread is not None else 0.0)
        self._closing.set()
        self._nudge.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        if self.waiting:
            logger.error("%d feedback records were not written to %s", self.waiting, self._store.name)

    def put(self, entry: DecisionRecord | Waiting) -> bool:
        """Hand over a decision or feedback; never waits. False if a full queue dropped it."""
        try:
            with self._lock:
                self._queue.put_nowait(entry)
                self.waiting += 1
        except queue.Full:
            if not self.dropped:
                logger.error("the queue of %d feedback records is full: later ones are dropped", self._size)
            self.dropped += 1
            return False
        self.start()
        return True

    def _run(self) -> None:
        try:
            self._work()
        except _ClosingError:
            pass  # :meth:`close` says what was not written.
        finally:
            self._store.close()

    def _work(self) -> None:
        refreshed = 0.0
        while not self._closing.is_set():
            batch = self._take(max(0.0, refreshed + self._refresh_s - time.monotonic()))
            decisions = [entry for entry in batch if isinstance(entry, DecisionRecord)]
            if decisions:
                self._write(decisions)
                self._done(len(decisions))
            for entry in batch:
                if not isinstance(entry, DecisionRecord):
                    self._feed(*entry)
            if not batch or len(decisions) < len(batch):
                self._use(self._refresh)
                refreshed = time.monotonic()
            for entry in batch:
                if not isinstance(entry, DecisionRecord):  # who waits is answered once the calibration has seen it too
                    self._done(1)
                    if not entry[1].done():
                        entry[1].set_result(None)
            if self.problem is None:
                self._use(self._prune)

    def _take(self, timeout_s: float) -> list[DecisionRecord | Waiting]:
        """What waits: decisions, and the feedback behind them. Feedback is always behind its decision."""
        try:
            batch = [self._queue.get(timeout=min(timeout_s, 0.5) or 0.001)]
        except queue.Empty:
            return []
        while len(batch) < _BATCH:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _write(self, records: Sequence[DecisionRecord]) -> None:
        """Write decisions together, or one by one if one of them cannot be written."""
        try:
            self._insist(self._store.add_decisions, records)
        except _ClosingError:
            raise
        except BaseException as error:
            if len(records) == 1:
                self._set_aside(records[0], error)
            else:
                for record in records:
                    self._write([record])

    def _feed(self, record: FeedbackRecord, done: Future[None]) -> None:
        try:
            self._insist(self._store.add_feedback, record)
        except _ClosingError:
            raise
        except ModelSATError as error:
            self.refused += 1
            done.set_exception(error)
        except BaseException as error:
            self._set_aside(record, error)
            done.set_exception(FeedbackStoreError(f"the feedback store {self._store.name} cannot keep this feedback"))

    def _set_aside(self, record: DecisionRecord | FeedbackRecord, error: BaseException) -> None:
        """Keep what the store cannot write where an operator finds it; the log names the kind of error alone."""
        self.set_aside += 1
        reason = type(error).__name__
        message = "the feedback store %s cannot write a record: %s; it is set aside"
        self._log.log(logging.ERROR, reason, message, self._store.name, reason)
        if isinstance(self._store, DeadLetterStore):
            self._use(self._store.set_aside, ascii(record)[:_LONGEST_RECORD], reason)

    def _done(self, count: int) -> None:
        with self._lock:
            self.waiting -= count
            self.written += count
        if self.problem is None:
            self.last_success = time.time()

    def _insist(self, write: Callable[[T], None], what: T) -> None:
        """Write, again and again while the store cannot be used; raises _ClosingError once the writer is closed."""
        pause = 0.2
        while True:
            try:
                write(what)
            except (FeedbackStoreError, ConfigurationError) as error:
                self.report(error)
                self._nudge.clear()
                self._nudge.wait(pause)
                if self._closing.is_set():
                    raise _ClosingError from error
                pause = min(2.0 * pause, _LONGEST_PAUSE_S)
            else:
                self._recovered()
                return

    def _use(self, work: Callable[..., None], *values: str) -> None:
        try:
            work(*values)
        except ModelSATError as error:
            self.report(error)
        except BaseException as error:
            self.report(FeedbackStoreError(f"unexpected {type(error).__name__} with the store {self._store.name}"))
            logger.debug("the unexpected error", exc_info=error)
        else:
            self._recovered()

    def _recovered(self) -> None:
        if self.problem is not None:
            logger.warning("the feedback store %s can be used again; %d dropped", self._store.name, self.dropped)
            self.problem = None


_writers: weakref.WeakSet[StoreWriter] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in _writers:
        writer._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
