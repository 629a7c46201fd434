"""Prometheus metrics of the server."""

from __future__ import annotations

import time
from collections import Counter as Counted
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelsat.server.guard import Message, Scope

if TYPE_CHECKING:
    from modelsat.feedback.loop import FeedbackState

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PATHS = frozenset({"/v1/route", "/v1/score", "/v1/models", "/v1/feedback", "/healthz", "/readyz", "/metrics"})


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("modelsat_requests", "Answered requests.", ("path", "status"), registry=registry)
        about = "Decisions that took the fallback, by class of error."
        self.fallbacks = Counter("modelsat_fallbacks", about, ("error",), registry=registry)
        self.decisions = Counter("modelsat_decisions", "Decisions by chosen model.", ("model",), registry=registry)
        self.rejected = Counter("modelsat_rejected", "Requests answered with 429 for overload.", registry=registry)
        about = "Prompts admitted and not answered yet."
        self.in_flight = Gauge("modelsat_prompts_in_flight", about, registry=registry)
        timed: dict[str, Any] = {"buckets": _SECONDS, "registry": registry}
        self.seconds = Histogram("modelsat_request_seconds", "Time to answer.", ("path",), **timed)
        self.passes = Histogram("modelsat_pass_seconds", "Time of a pass of the network.", **timed)
        sizes = (1, 2, 4, 8, 16, 32, 64, 128)
        self.batch = Histogram("modelsat_batch_prompts", "Prompts of a pass.", buckets=sizes, registry=registry)

    def observe_pass(self, texts: int, seconds: float) -> None:
        """Count one pass of the network."""
        self.batch.observe(texts)
        self.passes.observe(seconds)

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return bytes(generate_latest(self.registry))


class FeedbackCollector(Collector):
    """Reads how keeping feedback does, from what ``state`` returns, whenever the metrics are asked for."""

    def __init__(self, state: Callable[[], FeedbackState]) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """``modelsat_feedback_records``, ``modelsat_feedback_usable``, ``modelsat_drifts``, time of the last write."""
        state = self._state()
        records = GaugeMetricFamily(
            "modelsat_feedback_records", "Records of decisions and feedback, by what became of them.", labels=["state"]
        )
        for name in ("waiting", "written", "dropped", "refused", "set_aside", "unreadable"):
            records.add_metric([name], getattr(state, name))
        yield records
        usable = float(state.problem is None)
        yield GaugeMetricFamily("modelsat_feedback_usable", "Whether the feedback store can be used.", value=usable)
        drifts = CounterMetricFamily(
            "modelsat_drifts", "Changes of models that feedback made noticeable.", labels=["model", "direction"]
        )
        for (model, direction), count in Counted((drift.model, drift.direction) for drift in state.drifts).items():
            drifts.add_metric([model, direction], count)
        yield drifts
        if state.last_success is not None:
            yield GaugeMetricFamily(
                "modelsat_feedback_last_success_timestamp_seconds", "Last write to the store.", value=state.last_success
            )


class Measure:
    """ASGI layer that counts and times requests."""

    def __init__(self, app: Any, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 499  # the client left before there was an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path = scope["path"] if scope["path"] in _PATHS else "other"
        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - began)
