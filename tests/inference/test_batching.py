"""What waits is scored together, off the event loop; what takes too long is not waited for."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from modelsat.inference.batching import Batcher, ScorerBusyError

LONG = 30.0


class Gate:
    """Work that waits until it may go on, and remembers its batches."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.started = threading.Event()
        self.batches: list[tuple[Any, list[int]]] = []
        self.threads: set[str] = set()

    def __call__(self, key: Any, jobs: Sequence[int]) -> list[Any]:
        self.threads.add(threading.current_thread().name)
        self.batches.append((key, list(jobs)))
        self.started.set()
        assert self.open.wait(LONG)
        return [ValueError("odd") if job < 0 else job * 2 for job in jobs]


async def test_thirty_two_that_wait_are_one_batch() -> None:
    gate = Gate()
    sizes: list[int] = []
    batcher: Batcher[int, int] = Batcher(gate, observe=lambda size, seconds: sizes.append(size))
    first = asyncio.create_task(batcher("a", 0, LONG))
    await asyncio.to_thread(gate.started.wait, LONG)
    others = [asyncio.create_task(batcher("a", number, LONG)) for number in range(1, 33)]
    while len(batcher._queue) < 32:
        await asyncio.sleep(0.001)
    gate.open.set()
    assert await asyncio.gather(first, *others) == [number * 2 for number in range(33)]
    for _ in range(1000):  # a pass is counted after its answers were handed on
        if len(sizes) == 2:
            break
        await asyncio.sleep(0.001)
    assert sizes == [1, 32]
    assert gate.threads == {"modelsat-scoring"}


async def test_keys_do_not_mix_and_order_is_kept() -> None:
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate, batch=2)
    first = asyncio.create_task(batcher("a", 0, LONG))
    await asyncio.to_thread(gate.started.wait, LONG)
    others = [asyncio.create_task(batcher(key, number, LONG)) for number, key in enumerate("abbba", start=1)]
    while len(batcher._queue) < 5:
        await asyncio.sleep(0.001)
    gate.open.set()
    await asyncio.gather(first, *others)
    assert gate.batches == [("a", [0]), ("a", [1, 5]), ("b", [2, 3]), ("b", [4])]


async def test_one_failure_is_its_own() -> None:
    gate = Gate()
    gate.open.set()
    batcher: Batcher[int, int] = Batcher(gate)
    results = await asyncio.gather(batcher("a", -1, LONG), batcher("a", 2, LONG), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert results[1] == 4


async def test_a_batch_that_fails_as_a_whole() -> None:
    def fail(key: Any, jobs: Sequence[int]) -> list[Any]:
        raise SystemError("all")

    batcher: Batcher[int, int] = Batcher(fail)
    with pytest.raises(SystemError):
        await batcher("a", 1, LONG)
    with pytest.raises(SystemError):
        batcher.wait("a", 1, LONG)


async def test_who_waits_too_long_leaves_and_an_overdue_pass_turns_away_at_once() -> None:
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate)
    with pytest.raises(TimeoutError, match="50 ms"):
        await batcher("a", 1, 0.05)
    with pytest.raises(ScorerBusyError, match="has taken more than"):
        await batcher("a", 2, 0.001)
    queued = batcher.submit_all("a", [3], LONG)[0]
    assert queued.cancel()
    gate.open.set()
    assert await batcher("a", 4, LONG) == 8
    assert [jobs for _, jobs in gate.batches] == [[1], [4]], "what was given up is not scored"


def test_a_full_queue_turns_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsat.inference.batching.WAITING", 2)
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate)
    batcher.submit_all("a", [0], LONG)[0]
    assert gate.started.wait(LONG)
    kept = [batcher.submit_all("a", [number], LONG)[0] for number in (1, 2)]
    with pytest.raises(ScorerBusyError, match="2 requests wait"):
        batcher.submit_all("a", [3], LONG)[0]
    gate.open.set()
    assert [future.result(LONG) for future in kept] == [2, 4]


async def test_a_fault_behind_a_pass_ends_neither_the_thread_nor_the_waiting(caplog: pytest.LogCaptureFixture) -> None:
    def observe(size: int, seconds: float) -> None:
        raise ZeroDivisionError

    batcher: Batcher[int, int] = Batcher(lambda key, jobs: [job * 2 for job in jobs if job != 7], observe=observe)
    assert await batcher("k", 1, LONG) == 2
    with pytest.raises(ValueError, match="shorter"):
        await batcher("k", 7, LONG)
    assert await batcher("k", 2, LONG) == 4
    assert "a pass could not be handed on: ZeroDivisionError" in caplog.text


def test_a_copy_is_the_same_batcher() -> None:
    batcher: Batcher[int, int] = Batcher(Gate())
    assert copy.deepcopy(batcher) is batcher


async def test_who_cannot_be_served_in_time_does_not_wait() -> None:
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate)
    batcher._seconds = 0.4
    first = asyncio.create_task(batcher("a", 1, LONG))
    await asyncio.to_thread(gate.started.wait, LONG)
    second = asyncio.create_task(batcher("a", 2, LONG))
    while not batcher._queue:
        await asyncio.sleep(0.001)
    with pytest.raises(ScorerBusyError, match="what waits takes 800 ms"):
        batcher.submit_all("a", [3], 0.7)[0]
    gate.open.set()
    assert await asyncio.gather(first, second) == [2, 4]


async def test_a_pass_takes_no_more_than_fits_into_half_of_the_time() -> None:
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate)
    first = asyncio.create_task(batcher("a", 0, LONG))
    await asyncio.to_thread(gate.started.wait, LONG)
    others = [asyncio.create_task(batcher("a", number, LONG)) for number in range(1, 6)]
    while len(batcher._queue) < 5:
        await asyncio.sleep(0.001)
    batcher._seconds = LONG / 5 / 0.8  # weighs 80 % in the running mean: two jobs a pass, not three
    gate.open.set()
    await asyncio.gather(first, *others)
    assert [jobs for _, jobs in gate.batches][1] == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_scores_with_a_thread_of_its_own() -> None:
    def slow(key: Any, jobs: Any) -> list[Any]:
        time.sleep(0.2)
        return [f"{job} in {os.getpid()}" for job in jobs]

    batcher: Batcher[str, str] = Batcher(slow)
    assert batcher.wait("key", "one", 5.0) == f"one in {os.getpid()}"
    running = batcher.submit_all("key", ["two"], 5.0)[0]
    time.sleep(0.05)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        answer = b"nothing"
        try:
            answer = batcher.wait("key", "three", 2.0).encode()
        except BaseException as error:
            answer = repr(error).encode()
        finally:
            os.write(write, answer)
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        assert stream.read() == f"three in {child}"
    os.waitpid(child, 0)
    assert running.result(5.0) == f"two in {os.getpid()}", "the parent's own work goes on"
    assert batcher.wait("key", "four", 5.0) == f"four in {os.getpid()}"


async def test_a_batch_that_raises_is_run_job_by_job() -> None:
    def run(key: Any, jobs: Sequence[int]) -> list[int]:
        if 7 in jobs:
            raise ValueError("odd")
        return [job * 2 for job in jobs]

    batcher: Batcher[int, int] = Batcher(run, company_s=0.05)
    results = await asyncio.gather(*(batcher("a", job, LONG) for job in (1, 7, 2)), return_exceptions=True)
    assert [results[0], results[2]] == [2, 4]
    assert isinstance(results[1], ValueError)


async def test_jobs_that_find_nothing_running_wait_for_company_where_that_is_asked_for() -> None:
    gate = Gate()
    gate.open.set()
    batcher: Batcher[int, int] = Batcher(gate, batch=3, company_s=LONG)
    assert await asyncio.gather(*(batcher("a", job, LONG) for job in (1, 2, 3))) == [2, 4, 6]
    assert gate.batches == [("a", [1, 2, 3])]


async def test_what_waits_when_it_is_closed_fails_at_once() -> None:
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate)
    first = asyncio.create_task(batcher("a", 1, LONG))
    await asyncio.to_thread(gate.started.wait, LONG)
    queued = batcher.submit_all("a", [2], LONG)[0]
    closing = asyncio.create_task(asyncio.to_thread(batcher.close, LONG))
    with pytest.raises(ScorerBusyError, match="shutting down"):
        await asyncio.wrap_future(queued)
    gate.open.set()
    await closing
    assert await first == 2
    with pytest.raises(ScorerBusyError, match="shutting down"):
        batcher.submit_all("a", [3], LONG)[0]


class Incomparable:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = object.__hash__


def test_keys_that_cannot_be_compared_share_nothing_and_hold_nobody_up() -> None:
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate, company_s=0.01)
    futures = [future for job in range(3) for future in batcher.submit_all(Incomparable(), [job], LONG)]
    gate.open.set()
    assert [future.result(LONG) for future in futures] == [0, 2, 4]
    batcher.close(LONG)


def test_who_counts_the_passes_cannot_end_them(caplog: pytest.LogCaptureFixture) -> None:
    def observe(size: int, seconds: float) -> None:
        raise SystemExit("unforeseen")

    gate = Gate()
    gate.open.set()
    batcher: Batcher[int, int] = Batcher(gate, observe=observe)
    assert [batcher.wait("a", job, LONG) for job in range(3)] == [0, 2, 4]
    batcher.close(LONG)
    assert caplog.text.count("a pass could not be handed on: SystemExit") == 3
