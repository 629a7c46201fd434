"""Micro-batching: one thread does what waits, together, with a time-out, and is never stuck for long.

Requests queue up while a pass of the network runs; the next pass takes all of them. So 32 waiting requests cost one
pass, and a single request waits for others to arrive only where that is asked for. How long a job takes is measured: a
pass is no longer than half of the time-out, and who could not be served in time is turned away at once, instead of
waiting in vain.

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
from concurrent.futures import TimeoutError as FutureTimeoutError  # not the built-in one before Python 3.11
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from weakref import WeakSet

logger = logging.getLogger("modelsat")

Job = TypeVar("Job")
Result = TypeVar("Result")

BATCH = 32
"""Requests scored in one pass at most."""
WAITING = 1024
"""Jobs that may wait; more are turned away at once."""
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
    since: float = field(default_factory=time.monotonic)
    future: Future[Result] = field(default_factory=Future)


class Batcher(Generic[Job, Result]):
    """Runs jobs in batches on one daemon thread, which starts with the first job. Thread-safe.

    Args:
        run: Does all jobs of one batch; returns a result or an exception for each, in order. Where it raises, each job
            is run by itself, so that none fails for another's sake.
        batch: Jobs in one call of ``run`` at most.
        observe: Called with the size of every batch and the seconds it took.
        company_s: Seconds that a job which finds nothing running waits for others at most.
    """

    def __init__(
        self,
        run: Callable[[Hashable, Sequence[Job]], Sequence[Result | BaseException]],
        batch: int = BATCH,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
        company_s: float = 0.0,
    ) -> None:
        self._run = run
        self._batch = batch
        self._observe = observe
        self._company_s = company_s
        self._closed = False
        self._seconds: float | None = None
        self._start()
        _batchers.add(self)

    def _start(self) -> None:
        """Nothing waits and no thread runs, as at first and in a forked process."""
        self._queue: deque[_Waiting[Job, Result]] = deque()
        self._ready = threading.Condition()
        self._pass = threading.Lock()
        self._thread: threading.Thread | None = None
        self._busy_since: float | None = None
        self._running = 0

    def submit_all(self, key: Hashable, jobs: Sequence[Job], timeout_s: float) -> list[Future[Result]]:
        """Queue ``jobs`` at once; jobs of equal ``key`` (e.g. the router they are for) share batches.

        Raises:
            ScorerBusyError: The pass in progress has taken longer than ``timeout_s``, too much waits to be done in
            time,
                the queue is full, or the batcher was closed.
        """
        since = self._busy_since
        if since is not None and time.monotonic() - since > timeout_s:
            raise ScorerBusyError(f"the pass in progress has taken more than {timeout_s * 1000:.0f} ms")
        new = [_Waiting[Job, Result](key, job, timeout_s) for job in jobs]
        with self._ready:
            if self._closed:
                raise ScorerBusyError("it is shutting down")
            ahead = (len(self._queue) + self._running) * (self._seconds or 0.0)
            if ahead > timeout_s:
                raise ScorerBusyError(f"what waits takes {ahead * 1000:.0f} ms")
            if len(self._queue) + len(new) > WAITING:
                raise ScorerBusyError(f"{WAITING} requests wait already")
            self._queue.extend(new)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, name="modelsat-scoring", daemon=True)
                self._thread.start()
            self._ready.notify()
        return [waiting.future for waiting in new]

    async def __call__(self, key: Hashable, job: Job, timeout_s: float) -> Result:
        """The result of ``job``, awaited at most ``timeout_s``; what takes longer is dropped.

        Raises:
            TimeoutError: It took longer.
            ScorerBusyError: See :meth:`submit_all`.
        """
        future = self.submit_all(key, [job], timeout_s)[0]
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)
        except asyncio.TimeoutError:
            raise TimeoutError(f"not scored within {timeout_s * 1000:.0f} ms") from None

    def wait(self, key: Hashable, job: Job, timeout_s: float) -> Result:
        """As :meth:`__call__`, for code without an event loop."""
        future = self.submit_all(key, [job], timeout_s)[0]
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            future.cancel()
            raise TimeoutError(f"not scored within {timeout_s * 1000:.0f} ms") from None

    @property
    def waiting(self) -> int:
        """Jobs that wait for a pass."""
        return len(self._queue)

    def close(self, timeout_s: float) -> None:
        """Stop: the pass that runs is awaited at most ``timeout_s``, jobs that wait fail."""
        with self._ready:
            self._closed = True
            left, self._queue = list(self._queue), deque()
            self._ready.notify()
        for waiting in left:
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_exception(ScorerBusyError("it is shutting down"))
        if self._thread is not None:
            self._thread.join(timeout_s)

    def __deepcopy__(self, memo: Any) -> Batcher[Job, Result]:
        """A copied strategy shares the thread with the original."""
        return self

    def _loop(self) -> None:
        while batch := self._take():
            try:
                self._serve(batch)
            except BaseException as error:  # nobody waits in vain, and the thread goes on
                logger.error("a pass could not be handed on: %s", type(error).__name__)
                for waiting in batch:
                    if not waiting.future.done():
                        waiting.future.set_exception(error)

    def _serve(self, batch: Sequence[_Waiting[Job, Result]]) -> None:
        self._busy_since = started = time.monotonic()
        with self._pass:
            results = self._results(batch[0].key, [waiting.job for waiting in batch])
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

    def _results(self, key: Hashable, jobs: Sequence[Job]) -> Sequence[Result | BaseException]:
        try:
            return self._run(key, jobs)
        except BaseException as error:
            if len(jobs) == 1:
                return [error]
        return [result for job in jobs for result in self._results(key, [job])]

    def _take(self) -> list[_Waiting[Job, Result]]:
        """The jobs of the next batch: the longest waiting, and those behind it with the same key; none once closed."""
        with self._ready:
            while not self._closed:
                self._await_company()
                taken: list[_Waiting[Job, Result]] = []
                left: deque[_Waiting[Job, Result]] = deque()
                most = self._most()
                while self._queue:
                    waiting = self._queue.popleft()
                    if len(taken) < most and (not taken or _alike(waiting.key, taken[0].key)):
                        if waiting.future.set_running_or_notify_cancel():
                            taken.append(waiting)
                    else:
                        left.append(waiting)
                self._queue = left
                if taken:
                    self._running = len(taken)
                    return taken
                self._ready.wait()
            return []

    def _await_company(self) -> None:
        """Let the longest waiting wait until its batch is full, or its time for that is over."""
        while self._company_s and self._queue and not self._closed:
            first = self._queue[0]
            left = first.since + self._company_s - time.monotonic()
            if left <= 0 or sum(_alike(waiting.key, first.key) for waiting in self._queue) >= self._most():
                return
            self._ready.wait(left)

    def _most(self) -> int:
        """How many jobs the next pass takes at most: what half of the time-out of who waits longest allows."""
        if not self._queue or not self._seconds:
            return self._batch
        return max(1, min(self._batch, int(self._queue[0].timeout_s / 2.0 / self._seconds)))


def _alike(one: Hashable, other: Hashable) -> bool:
    """Whether two keys are equal; those that cannot be compared are not."""
    try:
        return bool(one == other)
    except BaseException:
        return False


_batchers: WeakSet[Batcher[Any, Any]] = WeakSet()
_held: list[threading.Lock] = []


def _before_fork() -> None:
    _held.extend(batcher._pass for batcher in list(_batchers) if batcher._pass.acquire(timeout=FORK_S))


def _after_fork() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    _held.clear()
    for batcher in list(_batchers):
        batcher._start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
