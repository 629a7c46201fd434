"""One thread that scores what waits, together: off the event loop, with a time-out, and never stuck for long.

Requests queue up while a pass of the network runs; the next pass takes all of them. So 32 waiting requests cost one
pass, and a single request never waits for others to arrive. How long a job takes is measured: a pass is no longer than
half of the time-out, and who could not be served in time is turned away at once, instead of waiting in vain.

A forked process (gunicorn's ``--preload``, multiprocessing) starts a thread of its own with its first job: threads do
not survive a fork. A fork waits for the pass in progress, so that the child inherits no lock of the network's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from weakref import WeakSet

logger = logging.getLogger("modelsat")

Job = TypeVar("Job")
Result = TypeVar("Result")

BATCH = 32
"""Requests scored in one pass at most."""
WAITING = 1024
"""Requests that may wait; more are turned away at once."""
FORK_S = 5.0
"""Longest wait of a fork for the pass in progress."""
_PAST = 0.8
"""Weight of earlier passes in the running mean of seconds a job."""


class ScorerBusyError(Exception):
    """The pass in progress is overdue, or too much waits: there is no use in waiting."""


@dataclass(eq=False)
class _Waiting(Generic[Job, Result]):
    key: Hashable
    job: Job
    timeout_s: float
    future: Future[Result] = field(default_factory=Future)


class Worker(Generic[Job, Result]):
    """Runs jobs in batches on one daemon thread, which starts with the first job.

    Args:
        run: Does all jobs of one batch; returns a result or an exception for each, in order.
        batch: Jobs in one call of ``run`` at most.
        observe: Told the size of every batch and the seconds it took.
    """

    def __init__(
        self,
        run: Callable[[Hashable, Sequence[Job]], Sequence[Result | BaseException]],
        batch: int = BATCH,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self._run = run
        self._batch = batch
        self._observe = observe
        self._seconds: float | None = None
        self._start()
        _workers.add(self)

    def _start(self) -> None:
        """Nothing waits and no thread runs, as at first and in a forked process."""
        self._queue: deque[_Waiting[Job, Result]] = deque()
        self._ready = threading.Condition()
        self._pass = threading.Lock()
        self._thread: threading.Thread | None = None
        self._busy_since: float | None = None
        self._running = 0

    def submit(self, key: Hashable, job: Job, timeout_s: float) -> Future[Result]:
        """Queue ``job``; jobs of equal ``key`` share batches.

        Args:
            key: What the job needs, e.g. the router it is for.
            job: The work.
            timeout_s: A pass that has taken longer than this is overdue, and the job is turned away.

        Raises:
            ScorerBusyError: The pass in progress is overdue, too much waits to be done in time, or the queue is full.
        """
        since = self._busy_since
        if since is not None and time.monotonic() - since > timeout_s:
            raise ScorerBusyError(f"the pass in progress has taken more than {timeout_s * 1000:.0f} ms")
        waiting: _Waiting[Job, Result] = _Waiting(key, job, timeout_s)
        with self._ready:
            ahead = (len(self._queue) + self._running) * (self._seconds or 0.0)
            if ahead > timeout_s:
                raise ScorerBusyError(f"what waits takes {ahead * 1000:.0f} ms")
            if len(self._queue) >= WAITING:
                raise ScorerBusyError(f"{WAITING} requests wait already")
            self._queue.append(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="modelsat-scoring", daemon=True)
                self._thread.start()
            self._ready.notify()
        return waiting.future

    async def __call__(self, key: Hashable, job: Job, timeout_s: float) -> Result:
        """The result of ``job``, awaited at most ``timeout_s``; what takes longer is dropped.

        Raises:
            TimeoutError: It took longer.
            ScorerBusyError: See :meth:`submit`.
        """
        future = self.submit(key, job, timeout_s)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)
        except asyncio.TimeoutError:
            raise TimeoutError(f"not scored within {timeout_s * 1000:.0f} ms") from None

    def wait(self, key: Hashable, job: Job, timeout_s: float) -> Result:
        """As :meth:`__call__`, for code without an event loop."""
        future = self.submit(key, job, timeout_s)
        try:
            return future.result(timeout_s)
        except (TimeoutError, _FutureTimeout):
            future.cancel()
            raise TimeoutError(f"not scored within {timeout_s * 1000:.0f} ms") from None

    def __deepcopy__(self, memo: Any) -> Worker[Job, Result]:
        """A copied strategy shares the thread with the original."""
        return self

    def _loop(self) -> None:
        while True:
            batch = self._take()
            try:
                self._serve(batch)
            except Exception as error:  # nobody waits in vain, and the thread goes on
                logger.error("a pass could not be handed on: %s", type(error).__name__)
                for waiting in batch:
                    if not waiting.future.done():
                        waiting.future.set_exception(error)

    def _serve(self, batch: Sequence[_Waiting[Job, Result]]) -> None:
        self._busy_since = started = time.monotonic()
        try:
            with self._pass:
                results = self._run(batch[0].key, [waiting.job for waiting in batch])
        except BaseException as error:
            results = [error] * len(batch)
        finally:
            self._busy_since = None
        taken = time.monotonic() - started
        each = taken / len(batch)
        self._seconds = each if self._seconds is None else _PAST * self._seconds + (1.0 - _PAST) * each
        self._running = 0
        for waiting, result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(result)
        self._observe(len(batch), taken)

    def _take(self) -> list[_Waiting[Job, Result]]:
        """The jobs of the next batch: the longest waiting, and those behind it with the same key."""
        with self._ready:
            while True:
                taken: list[_Waiting[Job, Result]] = []
                left: deque[_Waiting[Job, Result]] = deque()
                most = self._most()
                while self._queue:
                    waiting = self._queue.popleft()
                    if len(taken) < most and (not taken or waiting.key == taken[0].key):
                        if waiting.future.set_running_or_notify_cancel():
                            taken.append(waiting)
                    else:
                        left.append(waiting)
                self._queue = left
                if taken:
                    self._running = len(taken)
                    return taken
                self._ready.wait()

    def _most(self) -> int:
        """How many jobs the next pass takes at most: what half of the time-out of who waits longest allows."""
        if not self._queue or not self._seconds:
            return self._batch
        return max(1, min(self._batch, int(self._queue[0].timeout_s / 2.0 / self._seconds)))


try:  # Python 3.10: not yet the built-in TimeoutError
    from concurrent.futures import TimeoutError as _FutureTimeout
except ImportError:  # pragma: no cover
    _FutureTimeout = TimeoutError  # type: ignore[misc]


_workers: WeakSet[Worker[Any, Any]] = WeakSet()
_held: list[threading.Lock] = []


def _before_fork() -> None:
    _held.extend(worker._pass for worker in list(_workers) if worker._pass.acquire(timeout=FORK_S))


def _after_fork() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    _held.clear()
    for worker in list(_workers):
        worker._start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
