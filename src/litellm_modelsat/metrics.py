"""Counters and histograms of routing, on the proxy's own ``/metrics`` where prometheus-client is installed."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from litellm_modelsat.ranking import Ranking, kind_of

PREFIX = "litellm_modelsat"


class Metrics:
    """Counts decisions. Thread-safe; Prometheus' collectors are shared by all instances of a process.

    Attributes:
        fallbacks: Requests that were not scored, by cause.
        decisions: Decisions, by group and model.
    """

    def __init__(self) -> None:
        self.fallbacks: Counter[str] = Counter()
        self.decisions: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._collectors = _collectors()

    def record(self, group: str, ranking: Ranking) -> None:
        """Count one ranking."""
        decision = ranking.decision
        struck = Counter(kind_of(why) for why in ranking.struck.values())
        if decision is None:
            self.fallback(group, ranking.cause or "unknown")
        else:
            with self._lock:
                self.decisions[group, decision.model] += 1
        if self._collectors is None:
            return
        if decision is not None:
            self._collectors["decisions"].labels(group, decision.model, decision.policy).inc()
        for kind, count in struck.items():
            self._collectors["struck"].labels(group, kind).inc(count)

    def fallback(self, group: str, cause: str) -> None:
        """Count one request that was handed on without a score."""
        with self._lock:
            self.fallbacks[cause] += 1
        if self._collectors is not None:
            self._collectors["fallbacks"].labels(group, cause).inc()

    def waited(self, group: str, seconds: float) -> None:
        """Observe what a request waited for its decision."""
        if self._collectors is not None:
            self._collectors["wait"].labels(group).observe(seconds)

    def scored(self, size: int, seconds: float) -> None:
        """Observe one pass of the network."""
        if self._collectors is not None:
            self._collectors["batch"].observe(size)
            self._collectors["seconds"].observe(seconds)


_made: dict[str, Any] | None = None
_making = threading.Lock()


def _collectors() -> dict[str, Any] | None:
    """The process's collectors, made once; none without prometheus-client."""
    global _made
    with _making:
        if _made is None:
            try:
                from prometheus_client import Counter as Count
                from prometheus_client import Histogram
            except ImportError:
                return None
            times = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
            sizes = (1, 2, 4, 8, 16, 32, 64)
            labels = ["group", "model", "policy"]
            _made = {
                "decisions": Count(f"{PREFIX}_decisions", "Decisions by chosen candidate.", labels),
                "struck": Count(f"{PREFIX}_struck", "Candidates struck, by kind of reason.", ["group", "reason"]),
                "fallbacks": Count(f"{PREFIX}_fallbacks", "Requests not scored, by cause.", ["group", "cause"]),
                "wait": Histogram(f"{PREFIX}_decision_seconds", "Wait for a decision.", ["group"], buckets=times),
                "seconds": Histogram(f"{PREFIX}_scoring_seconds", "Time of one scoring pass.", buckets=times),
                "batch": Histogram(f"{PREFIX}_batch_size", "Requests scored in one pass.", buckets=sizes),
            }
        return _made
