"""Micro-batching: shared passes, bounded waits, and failures that stay with their caller."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ScorerUnavailableError, ScoringError
from modelsat.inference.base import Scores
from modelsat.inference.remote import UnknownProfilesError
from modelsat.server.batching import BatchingScorer, ScoringService
from tests.fakes import FakeScorer, make_profile

PROFILES = [make_profile("a", 0.2), make_profile("b", 0.8)]


class GatedScorer(FakeScorer):
    """Each pass waits until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def score(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        self.entered.set()
        assert self.gate.wait(timeout=10)
        return super().score(texts, profiles)


@pytest.fixture
def gated() -> Iterator[tuple[GatedScorer, BatchingScorer, ThreadPoolExecutor]]:
    inner = GatedScorer()
    batching = BatchingScorer(inner, max_batch=8)
    with ThreadPoolExecutor(32) as pool:
        yield inner, batching, pool
        inner.gate.set()
    batching.close()


def wait_for(condition: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_what_arrives_while_the_network_is_busy_shares_passes(gated) -> None:
    inner, batching, pool = gated
    first = pool.submit(batching.score, ["first"], PROFILES)
    assert inner.entered.wait(timeout=10)
    others = [pool.submit(batching.score, [f"text {number}"], PROFILES) for number in range(20)]
    wait_for(lambda: batching._batcher.waiting == 20)
    inner.gate.set()
    results = [future.result(timeout=10) for future in (first, *others)]
    assert sorted(map(len, inner.calls)) == [1, 4, 8, 8]
    for text, result in zip(["first", *(f"text {n}" for n in range(20))], results, strict=True):
        np.testing.assert_array_equal(result.p, FakeScorer().score([text], PROFILES).p)


def test_calls_for_other_candidates_do_not_mix(gated) -> None:
    inner, batching, pool = gated
    pool.submit(batching.score, ["first"], PROFILES)
    assert inner.entered.wait(timeout=10)
    futures = [pool.submit(batching.score, [f"{n}"], some) for n in range(3) for some in (PROFILES, PROFILES[:1])]
    wait_for(lambda: batching._batcher.waiting == 6)
    inner.gate.set()
    assert [future.result(timeout=10).p.shape for future in futures] == [(1, 2), (1, 1)] * 3
    assert sorted(map(len, inner.calls)) == [1, 3, 3]


def test_long_calls_let_short_ones_in(gated) -> None:
    inner, batching, pool = gated
    texts = [f"long {number}" for number in range(20)]
    long = pool.submit(batching.score, texts, PROFILES)
    assert inner.entered.wait(timeout=10)
    short = pool.submit(batching.score, ["short"], PROFILES)
    wait_for(lambda: batching._batcher.waiting == 1)
    inner.gate.set()
    np.testing.assert_array_equal(long.result(timeout=10).p, FakeScorer().score(texts, PROFILES).p)
    short.result(timeout=10)
    position = next(at for at, call in enumerate(inner.calls) if "short" in call)
    assert position < len(inner.calls) - 1, "not after the whole long call"


def test_a_failure_stays_with_its_caller() -> None:
    class Picky(FakeScorer):
        def score(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
            if "bad" in texts:
                time.sleep(0.05)
                raise ScoringError("not this one")
            return super().score(texts, profiles)

    batching = BatchingScorer(Picky(), wait_ms=50)
    with ThreadPoolExecutor(8) as pool:
        futures = {text: pool.submit(batching.score, [text], PROFILES) for text in ("good", "bad", "fine")}
    assert futures["good"].result().p.shape == futures["fine"].result().p.shape == (1, 2)
    with pytest.raises(ScoringError, match="not this one"):
        futures["bad"].result()
    batching.close()


def test_nobody_waits_for_ever(gated) -> None:
    inner, _, _ = gated
    batching = BatchingScorer(inner, timeout_s=0.05)
    with pytest.raises(ScorerUnavailableError, match=r"within 0\.05 s"):
        batching.score(["hello"], PROFILES)
    inner.gate.set()
    batching.close()
    with pytest.raises(ScorerUnavailableError, match="shutting down"):
        batching.score(["hello"], PROFILES)


def test_passes_are_observed() -> None:
    seen: list[int] = []
    batching = BatchingScorer(FakeScorer(), max_batch=4, observe=lambda texts, seconds: seen.append(texts))
    batching.score([f"{n}" for n in range(10)], PROFILES)
    assert seen == [4, 4, 2]
    assert batching.score([], PROFILES).p.shape == (0, 2)
    batching.close()


def test_a_fault_behind_a_pass_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    def observe(texts: int, seconds: float) -> None:
        raise ZeroDivisionError

    batching = BatchingScorer(FakeScorer(), observe=observe)
    for _ in range(2):
        assert batching.score(["a"], PROFILES).p.shape == (1, 2)
    batching.close()
    assert "a pass could not be handed on: ZeroDivisionError" in caplog.text


def test_definitions_that_nobody_scores_are_bounded_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsat.server.batching._BYTES_KEPT", 10_000)
    service = ScoringService(FakeScorer())
    profiles = [make_profile("m", number / 100) for number in range(50)]
    for profile in profiles:
        with pytest.raises(UnknownProfilesError):
            service.score(["hello"], ["0" * 16], [profile])
    assert len(service._profiles) < 10
    assert service.score(["hello"], [profiles[-1].digest], ()).p.shape == (1, 1)
    assert service.score(["hello"], [entry.digest for entry in profiles], profiles).p.shape == (1, 50)
    assert service._bytes <= 10_000
