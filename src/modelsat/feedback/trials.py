"""What came of a shadow, a canary or an experiment: cost, P(success), feedback and time by arm, with intervals.

Conversations are assigned, not requests, so a conversation is one observation: the mean of a request is a ratio of sums
over conversations, and its variance that of the linearised ratio (Cochran, Sampling Techniques, 1977, chapter 6).
Whoever looks every day would find a difference by chance sooner or later: intervals are confidence sequences, which
hold at all times at once (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
asymptotic confidence sequences", 2021, theorem 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelsat.feedback.base import QueryableStore

ALPHA = 0.05
"""How often an interval misses what it is about, over all looks taken together."""
TIGHTEST_AT = 1_000
"""Conversations at which the intervals are as narrow as they can be."""
LEAST = 30
"""Conversations of an arm below which nothing is said: the variance is not known yet."""
_RHO2 = (-2 * math.log(ALPHA) + math.log(-2 * math.log(ALPHA)) + 1) / TIGHTEST_AT
MEASURES: Mapping[str, tuple[str, str]] = {
    "cost": ("d.cost", "d.cost IS NOT NULL"),
    "p": ("d.p", "d.p IS NOT NULL"),
    "feedback": ("f.score", "f.score IS NOT NULL"),
    "elapsed_ms": ("d.elapsed_ms", "d.elapsed_ms IS NOT NULL"),
    "saved": ("d.cost - d.routed_cost", "d.cost IS NOT NULL AND d.routed_cost IS NOT NULL"),
    "risked": ("d.p - d.routed_p", "d.p IS NOT NULL AND d.routed_p IS NOT NULL"),
}
"""What is compared: SQL of a decision ``d`` with its feedback ``f``, and where it is known."""
_QUERY = """SELECT arm, sum(n), count(*), sum(x), sum(x * x), sum(x * n), sum(n * n) FROM (
    SELECT d.arm AS arm, CASE d.thread WHEN '' THEN d.id ELSE d.thread END AS thread, count(*) AS n, sum({value}) AS x
    FROM decisions d LEFT JOIN feedback f ON f.decision = d.id
    WHERE d.arm <> '' AND d.time >= ? AND {known} GROUP BY 1, 2) GROUP BY arm"""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over requests that came in conversations.

    Attributes:
        requests: How many requests.
        threads: How many conversations.
        value: The mean; ``nan`` without any.
        error: Its standard error.
    """

    requests: int = 0
    threads: int = 0
    value: float = math.nan
    error: float = math.nan

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where it lies at all times, with 95 % certainty; ``None`` with too few conversations."""
        if self.threads < LEAST:
            return None
        reach = self.error * widening(self.threads)
        return self.value - reach, self.value + reach

    def less(self, other: Mean) -> Difference:
        """How much this mean is above another arm's."""
        if min(self.threads, other.threads) < LEAST:
            return Difference(self.value - other.value, None)
        together = 2.0 / (1.0 / self.threads + 1.0 / other.threads)
        reach = math.hypot(self.error, other.error) * widening(together)
        difference = self.value - other.value
        return Difference(difference, (difference - reach, difference + reach))


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two means.

    Attributes:
        value: The difference.
        interval: Where it lies at all times, with 95 % certainty; ``None`` with too few conversations.
    """

    value: float
    interval: tuple[float, float] | None

    @property
    def settled(self) -> bool:
        """Whether there is enough data to tell it from none."""
        return self.interval is not None and not self.interval[0] <= 0.0 <= self.interval[1]


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm.

    Attributes:
        name: ``"shadow"``, ``"canary"``, or a name of the experiment.
        means: By :data:`MEASURES`.
    """

    name: str
    means: Mapping[str, Mean] = field(default_factory=dict)


def arms(store: QueryableStore, since: float = 0.0) -> Sequence[Arm]:
    """The arms that decisions since then (seconds since the epoch) belong to, by name.

    Raises:
        FeedbackStoreError: The store cannot be read.
    """
    found: dict[str, dict[str, Mean]] = {}
    for measure, (value, known) in MEASURES.items():
        for arm, *sums in store.rows(_QUERY.format(value=value, known=known), (since,)):
            found.setdefault(arm, {})[measure] = _mean(*sums)
    return [Arm(name, means) for name, means in sorted(found.items())]


def widening(threads: float) -> float:
    """Standard errors from the mean to the end of its interval, after so many conversations."""
    m = threads * _RHO2
    return math.sqrt((1.0 + 1.0 / m) * math.log((m + 1.0) / ALPHA**2))


def _mean(n: float, threads: int, x: float, xx: float, xn: float, nn: float) -> Mean:
    """Ratio of sums over conversations, of which ``n`` are the requests and ``x`` the values of each."""
    value = x / n
    if threads < 2:
        return Mean(int(n), threads, value)
    residual = max(0.0, xx - 2.0 * value * xn + value * value * nn)
    return Mean(int(n), threads, value, math.sqrt(residual * threads / (threads - 1)) / n)
