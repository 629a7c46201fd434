"""What the endpoints share: the router over one batching scorer, worker threads, and back-pressure."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

from modelsat.feedback.loop import resolve_feedback
from modelsat.inference.base import Scorer
from modelsat.inference.remote import DistantScorer
from modelsat.router import Router
from modelsat.router.config import RouterConfig
from modelsat.server.batching import BatchingScorer, ScoringService
from modelsat.server.guard import CLIENT
from modelsat.server.metrics import FeedbackCollector, Metrics
from modelsat.server.problems import SOON, Problem, overloaded
from modelsat.server.settings import ServerSettings

T = TypeVar("T")
_SMOOTHING = 0.05


class Decider:
    """Everything behind the endpoints.

    Args:
        settings: Settings of the server.
        scorer: The network; loaded from the settings if not given.

    Raises:
        ModelSATError: The candidates, the weights or a setting cannot be used.
    """

    def __init__(self, settings: ServerSettings, scorer: Scorer | None = None) -> None:
        self.settings, self.metrics = settings, Metrics()
        network = scorer if scorer is not None else _network(settings)
        self._batching: BatchingScorer | None = None
        if not isinstance(network, DistantScorer):  # a network elsewhere batches by itself
            network = self._batching = BatchingScorer(
                network,
                max_batch=settings.batch_size,
                wait_ms=settings.batch_wait_ms,
                timeout_s=settings.request_timeout_s,
                observe=self.metrics.observe_pass,
            )
        self._feedback = resolve_feedback(settings.feedback)
        if (feedback := self._feedback) is not None:
            self.metrics.registry.register(FeedbackCollector(lambda: feedback.state))
        options = {"scorer": network, "feedback": self._feedback}
        self.router = _router(settings, RouterConfig.merged(settings, options))
        self.service = ScoringService(network)
        self.draining = False
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="modelsat-decide")
        self._in_flight = 0
        self._overdue: Counter[str] = Counter()
        self._seconds_each = 0.0

    async def run(self, prompts: int, function: Callable[[], T]) -> T:
        """Run ``function`` in a worker thread, unless too many prompts are in flight.

        Work that outlives its time-out goes on in its thread, and its prompts are in flight until it ends: clients that
        give up cannot pile it up. Whoever keeps a quarter of the threads busy with such work is turned away, while
        others are served. Work that no thread has begun by then is cancelled.

        Args:
            prompts: How many prompts it is about.
            function: The work.

        Raises:
            Problem: 429 if the server is overloaded, 504 if it took too long.
        """
        client = CLIENT.get()
        self._admit(prompts, client)
        loop, began = asyncio.get_running_loop(), time.monotonic()

        def ended(_work: object) -> None:
            with suppress(RuntimeError):  # the loop was closed first
                loop.call_soon_threadsafe(self._release, prompts, time.monotonic() - began)

        def caught_up(_work: object) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._overdue.subtract, [client])

        try:
            work = self._threads.submit(copy_context().run, function)  # a decision belongs to the request's span
        except BaseException:
            self._release(prompts, 0.0)
            raise
        work.add_done_callback(ended)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work), self.settings.request_timeout_s)
        except (TimeoutError, asyncio.TimeoutError):
            if not work.done():
                self._overdue[client] += 1
                work.add_done_callback(caught_up)
            detail = f"no decision within {self.settings.request_timeout_s:g} s"
            raise Problem(504, "too-slow", detail, headers=SOON) from None

    def close(self) -> None:
        """Stop the threads, and write the feedback that waits to be written."""
        if self._feedback is not None:
            self._feedback.close()
        if self._batching is not None:
            self._batching.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _admit(self, prompts: int, client: str) -> None:
        if (late := self._overdue[client]) >= max(1, self.settings.threads // 4):
            self.metrics.rejected.inc()
            detail = f"{late} of your requests outlived their time-out and are still worked on: try again later"
            raise overloaded(self.settings.request_timeout_s, detail)
        if self._in_flight and self._in_flight + prompts > self.settings.max_waiting:
            self.metrics.rejected.inc()
            raise overloaded(
                self._in_flight * self._seconds_each,
                f"{self._in_flight} prompts are in flight, the limit is {self.settings.max_waiting}: try again later",
            )
        self._in_flight += prompts
        self.metrics.in_flight.set(self._in_flight)

    def _release(self, prompts: int, seconds: float) -> None:
        """Keep a running mean of the time a prompt adds to the queue, for ``Retry-After``."""
        each = seconds / max(1, self._in_flight)
        self._seconds_each += _SMOOTHING * (each - self._seconds_each)
        self._in_flight -= prompts
        self.metrics.in_flight.set(self._in_flight)


def _router(settings: ServerSettings, config: RouterConfig) -> Router:
    from modelsat.capability import Registry, load_profiles

    extra = load_profiles(settings.profiles) if settings.profiles is not None else []
    registry = Registry.default().with_profiles(extra) if extra else Registry.default()
    return Router(settings.candidates or [profile.model for profile in extra], config, registry=registry)


def _network(settings: ServerSettings) -> Scorer:
    if settings.scorer is not None:
        from modelsat.inference.client import RemoteScorer

        return RemoteScorer(settings.scorer, timeout_s=settings.request_timeout_s)
    from modelsat.inference import load_scorer

    return load_scorer(settings.network, cache_dir=settings.cache_dir)
