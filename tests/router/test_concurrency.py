"""Threads, event loops, and weights that load once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import modelsat.inference
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import CheckpointError
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile


class Loader:
    """Stands in for ``load_scorer``: slow, and counts."""

    def __init__(self, scorer: FakeScorer, failures: int = 0) -> None:
        self.scorer = scorer
        self.failures = failures
        self.loaded: list[Any] = []

    def __call__(self, weights: Any, **_options: Any) -> FakeScorer:
        self.loaded.append(weights)
        time.sleep(0.05)
        if len(self.loaded) <= self.failures:
            raise CheckpointError("damaged")
        return self.scorer


def install(monkeypatch: pytest.MonkeyPatch, loader: Loader) -> Loader:
    monkeypatch.setattr(modelsat.inference, "load_scorer", loader, raising=False)
    return loader


def test_sixteen_threads_load_the_weights_once(
    monkeypatch: pytest.MonkeyPatch, profiles: list[CapabilityProfile]
) -> None:
    loader = install(monkeypatch, Loader(FakeScorer({0.3: 0.3, 0.6: 0.6, 0.9: 0.9}, delay_s=0.01)))
    router = Router(profiles)
    assert router.versions["weights"] == "modelsat-nano"
    assert loader.loaded == []
    barrier = threading.Barrier(16)

    def first_use(number: int) -> str:
        barrier.wait(timeout=10)
        return router.route(f"hello {number}").model

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(first_use, range(16))) == {"strong"}
    assert loader.loaded == ["modelsat-nano"]
    assert len(loader.scorer.calls) == 16
    assert router.versions["weights"] == "fake@1"


def test_a_failed_load_is_tried_again(monkeypatch: pytest.MonkeyPatch, profiles: list[CapabilityProfile]) -> None:
    loader = install(monkeypatch, Loader(FakeScorer(), failures=1))
    router = Router(profiles, weights="own", fallback="weak")
    failed = router.route("hello")
    assert failed.fallback
    assert failed.versions["weights"] == "own"
    assert not router.route("hello").fallback
    assert loader.loaded == ["own", "own"]


def test_warmup_loads_and_runs(monkeypatch: pytest.MonkeyPatch, profiles: list[CapabilityProfile]) -> None:
    loader = install(monkeypatch, Loader(FakeScorer()))
    router = Router(profiles)
    router.warmup()
    router.route("hello")
    assert loader.loaded == ["modelsat-nano"]
    assert len(loader.scorer.calls) == 2
    install(monkeypatch, Loader(FakeScorer(), failures=1))
    with pytest.raises(CheckpointError):
        Router(profiles, fallback="weak").warmup()


async def test_the_event_loop_is_not_blocked(profiles: list[CapabilityProfile]) -> None:
    router = Router(profiles, scorer=FakeScorer(delay_s=0.3))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await router.aroute("hello")
    during_one = ticks
    await router.aroute_batch(["hello", "there"])
    ticking.cancel()
    assert during_one >= 5
    assert ticks >= during_one + 5


async def test_concurrent_routes_on_one_loop(
    monkeypatch: pytest.MonkeyPatch, profiles: list[CapabilityProfile]
) -> None:
    loader = install(monkeypatch, Loader(FakeScorer()))
    router = Router(profiles)
    prompts = [f"prompt {i}" for i in range(20)]
    decisions = await asyncio.gather(*(router.aroute(prompt) for prompt in prompts))
    assert [decision.scores for decision in decisions] == [d.scores for d in router.route_batch(prompts)]
    assert len(loader.loaded) == 1


async def test_the_context_reaches_the_worker_thread(profiles: list[CapabilityProfile]) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen = []

    def extractor(turns: Any) -> str:
        seen.append((variable.get(), threading.current_thread() is threading.main_thread()))
        return "hello"

    variable.set("set")
    await Router(profiles, scorer=FakeScorer(), extractor=extractor).aroute("hello")
    assert seen == [("set", False)]


def test_overhead_is_small(fake_scorer: FakeScorer) -> None:
    """Everything but the scorer, for 100 candidates; ten times the usual time, for slow machines."""
    router = Router([make_profile(f"m{i}", 0.6) for i in range(100)], scorer=fake_scorer)
    row = fake_scorer.score(["x"], [candidate.profile for candidate in router.candidates])
    fake_scorer.score = lambda texts, profiles: row  # type: ignore[method-assign]
    router.warmup()
    best = min(router.route("hello").elapsed_ms for _ in range(20))
    assert best < 5.0
