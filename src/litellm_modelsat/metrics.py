"""Counters and histograms of routing, on the proxy's own ``/metrics`` where prometheus-client is installed."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import Any, Literal, get_args

from litellm_modelsat.ranking import Ranking
from litellm_modelsat.versions import TESTED, installed

logger = logging.getLogger("modelsat")

PREFIX = "litellm_modelsat"

Outcome = Literal["carried_out", "lower_ranked", "ignored", "failed", "unreported"]
"""What became of a ranking.

``carried_out``: the deployment returned first answered. ``lower_ranked``: one returned later did, or one of another
group, after a retry or a fallback. ``ignored``: one that was not returned did. ``failed``: none did, or its answer
broke off. ``unreported``: LiteLLM never said, e.g. since the caller hung up.
"""
TRIAL = 20
"""Decisions of a group after which a LiteLLM that has ignored all of them is not believed any more."""

COUNTERS = {
    "ranked": ("Requests, by who was ranked first.", ("group", "model", "policy")),
    "decisions": ("Requests, by who answered.", ("group", "model", "policy")),
    "outcomes": ("Requests, by what became of the ranking.", ("group", "outcome")),
    "excluded": ("Candidates left out, by kind of reason.", ("group", "reason")),
    "fallbacks": ("Requests not scored, by cause.", ("group", "cause")),
}
_TIMES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
HISTOGRAMS = {
    "decision_seconds": ("Wait for a decision.", ("group",), _TIMES),
    "scoring_seconds": ("Time of one scoring pass.", (), _TIMES),
    "batch_size": ("Requests scored in one pass.", (), (1, 2, 4, 8, 16, 32, 64)),
}


class Metrics:
    """Counts requests, each once. Thread-safe; Prometheus' collectors are shared by all instances of a process.

    Attributes:
        fallbacks: Requests that were not scored, by cause.
        outcomes: Requests, by group and what became of the ranking.
    """

    def __init__(self) -> None:
        self.fallbacks: Counter[str] = Counter()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._collectors = _collectors()

    def ranked(self, group: str, ranking: Ranking, policy: str) -> None:
        """Count a request by who is ranked first, or by why nothing was scored."""
        if group not in self._known:
            self._known.add(group)
            for outcome in get_args(Outcome):  # From 0 on, or Prometheus would not see the first one rise.
                self._count("outcomes", group, outcome, by=0)
        if ranking.decision is None:
            self.fallback(group, ranking.cause or "unknown")
        else:
            self._count("ranked", group, ranking.decision.model, policy)
        for kind, count in Counter(why.kind for why in ranking.excluded.values()).items():
            self._count("excluded", group, kind, by=count)

    def ended(self, group: str, model: str | None, policy: str, outcome: str) -> None:
        """Count a request by who answered, and by what became of its ranking."""
        with self._lock:
            self.outcomes[group, outcome] += 1
            lost = outcome == "ignored" and self.outcomes[group, outcome] == TRIAL and not self.obeyed(group)
        self._count("outcomes", group, outcome)
        if lost:
            logger.error(
                "LiteLLM %s has ignored the first %d decisions for %r: it answers from other deployments than modelsat "
                "returns. x-modelsat-* headers are no longer sent for this group. modelsat was tested with LiteLLM %s",
                installed(),
                TRIAL,
                group,
                ", ".join(TESTED),
            )
        if model is not None:
            self._count("decisions", group, model, policy)

    def obeyed(self, group: str) -> bool:
        """Whether LiteLLM does what is decided: not so if it has ignored every one of the first decisions."""
        carried_out = self.outcomes[group, "carried_out"] + self.outcomes[group, "lower_ranked"]
        return carried_out > 0 or self.outcomes[group, "ignored"] < TRIAL

    def fallback(self, group: str, cause: str) -> None:
        """Count one request that was handed on without a score."""
        with self._lock:
            self.fallbacks[cause] += 1
        self._count("fallbacks", group, cause)

    def waited(self, group: str, seconds: float) -> None:
        """Observe what a request waited for its decision."""
        if self._collectors:
            self._collectors["decision_seconds"].labels(group).observe(seconds)

    def scored(self, size: int, seconds: float) -> None:
        """Observe one pass of the network."""
        if self._collectors:
            self._collectors["batch_size"].observe(size)
            self._collectors["scoring_seconds"].observe(seconds)

    def _count(self, name: str, *labels: str, by: int = 1) -> None:
        if self._collectors:
            self._collectors[name].labels(*labels).inc(by)


_made: dict[str, Any] = {}
_making = threading.Lock()


def _collectors() -> dict[str, Any]:
    """The process's collectors, made once; none without prometheus-client."""
    with _making:
        if not _made:
            try:
                from prometheus_client import Counter as Count
                from prometheus_client import Histogram
            except ImportError:
                return {}
            for name, (said, labels) in COUNTERS.items():
                _made[name] = Count(f"{PREFIX}_{name}", said, labels)
            for name, (said, labels, buckets) in HISTOGRAMS.items():
                _made[name] = Histogram(f"{PREFIX}_{name}", said, labels, buckets=buckets)
        return _made
