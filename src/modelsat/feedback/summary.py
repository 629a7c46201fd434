"""What the decisions of a store come to: counts, costs, latency, exclusions, calibration, arms of trials; all in SQL.

Sums by the hour are read (:mod:`modelsat.feedback.schema`), so that a million decisions take no longer than a thousand;
for one conversation, its own decisions are.

What came of a shadow, a canary or an experiment stands by arm. Conversations are assigned, not requests, so a
conversation is one observation: the mean of a request is a ratio of sums over conversations, and its variance that of
the linearised ratio (Cochran, Sampling Techniques, 1977, chapter 6). Whoever looks every day would find a difference by
chance sooner or later: intervals are confidence sequences, which hold at all times at once (Waudby-Smith, Arbour,
Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", 2021, theorem 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelsat.feedback.base import QueryableStore, thread_key
from modelsat.feedback.schema import AS_HOURS, CALIBRATION_OF, EXCLUDED_OF, LATENCIES, LATENCY_OF, SUMS

HOUR_S = 3600.0
_FINEST = 72
"""Hours that are shown one by one; beyond, by the day."""
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
class Window:
    """Which decisions are looked at."""

    since: float = 0.0  # seconds since the epoch; the hour that holds it is taken whole
    until: float = float(1 << 40)  # likewise
    policy: str = ""  # only those of this policy; empty for all
    group: str = ""  # only those of this group; empty for all
    thread: str = ""  # only those of this conversation, by its identifier; empty for all

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of queries."""
        hours = {"first": int(self.since // HOUR_S), "last": int(self.until // HOUR_S)}
        return {**hours, "policy": self.policy, "group": self.group, "thread": thread_key(self.thread)}


@dataclass(frozen=True, slots=True)
class Sums:
    """Decisions added up. Costs are over those with every price known, P(success) over those that were scored."""

    decisions: float = 0.0  # how many
    fallbacks: float = 0.0  # those in which the fallback answered
    explored: float = 0.0  # those that exploration made
    priced: float = 0.0  # those whose candidates all had a price
    cost: float = 0.0  # expected USD of the chosen candidates
    best_cost: float = 0.0  # had the candidate with the highest P(success) been chosen each time
    cheapest_cost: float = 0.0  # had the cheapest been
    scored: float = 0.0  # those with scores
    p: float = 0.0  # sum of the network's P(success) of the chosen candidates
    best_p: float = 0.0  # of those with the highest
    cheapest_p: float = 0.0  # of the cheapest
    targets: float = 0.0  # decisions with a target
    targets_met: float = 0.0  # those that reached it
    feedback: float = 0.0  # those with feedback
    score: float = 0.0  # sum of the feedback
    expected: float = 0.0  # sum of P(success) as decided, over those with feedback

    @property
    def saved(self) -> float | None:
        """Share of what always asking the best would have cost that was not spent; ``None`` where that is unknown."""
        return 1.0 - self.cost / self.best_cost if self.best_cost > 0 else None

    def mean(self, what: str, over: str) -> float | None:
        """``what`` divided by ``over``, two attributes; ``None`` where there is none."""
        count = float(getattr(self, over))
        return float(getattr(self, what)) / count if count else None


@dataclass(frozen=True, slots=True)
class Bin:
    """Decisions whose P(success) was about the same, with the feedback on them."""

    count: float  # how many
    expected: float  # mean P(success) as decided
    score: float  # mean feedback


@dataclass(frozen=True, slots=True)
class Summary:
    """What the decisions of a window come to."""

    total: Sums  # all of them
    models: Mapping[str, Sums]  # by chosen model, most chosen first
    step: int  # hours from one point of `series` to the next
    series: Mapping[int, Mapping[str, Sums]]  # for each point in time (hours since the epoch), sums by model
    latency: Mapping[int | None, float]  # count by upper bound in milliseconds (`None` beyond the last), in order
    excluded: Sequence[tuple[str, str, float]]  # count by candidate and kind of exclusion, most first
    reliability: Sequence[Bin]  # feedback against P(success), by tenths of it, lowest first

    def latency_at(self, share: float) -> str:
        """In which class of times that share of decisions lies or below, e.g. ``"at most 5 ms"``."""
        wanted, seen = share * sum(self.latency.values()), 0.0
        for bound, count in self.latency.items():
            seen += count
            if seen >= wanted > 0:
                return f"≤ {bound} ms" if bound is not None else f"> {LATENCIES[-1]} ms"
        return ""

    def table(self) -> Iterator[tuple[Any, ...]]:
        """The series as rows: time in seconds since the epoch, model, then the sums."""
        for hour, models in self.series.items():
            for model, sums in models.items():
                yield (int(hour * HOUR_S), model, *(getattr(sums, name) for name in SUMS))


def summarise(store: QueryableStore, window: Window) -> Summary:
    """What the decisions of ``window`` come to.

    Raises:
        FeedbackStoreError: The store cannot be read.
    """
    values = window.values
    source, tallies = _source(window)
    ((first, last),) = store.rows(f"SELECT min(hour), max(hour) {source}", values)
    step = 1 if first is None or last - first < _FINEST else 24
    sums = ", ".join(f"sum({name})" for name in SUMS)
    rows = store.rows(
        f"SELECT hour / {step} * {step}, model, {sums} {source} GROUP BY 1, 2 ORDER BY 1, 2",
        values,
    )
    series: dict[int, dict[str, Sums]] = {}
    models: dict[str, Sums] = {}
    for hour, model, *row in rows:
        series.setdefault(hour, {})[model] = found = Sums(*row)
        models[model] = _added([models.get(model, Sums()), found])
    counted = store.rows(
        "SELECT what, label, CASE what WHEN 'excluded' THEN model ELSE '' END, sum(count), sum(expected), sum(score) "
        f"{tallies} GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        values,
    )
    latency = {label: count for what, label, _, count, *_ in counted if what == "latency"}
    bins = sorted((label, count, expected, score) for w, label, _, count, expected, score in counted if w == _RELIABLE)
    return Summary(
        total=_added(list(models.values())),
        models=dict(sorted(models.items(), key=lambda entry: -entry[1].decisions)),
        step=step,
        series=series,
        latency={bound: latency.get(str(bound or ""), 0.0) for bound in (*LATENCIES, None)},
        excluded=[(model, label, count) for what, label, model, count, *_ in counted if what == "excluded"],
        reliability=[Bin(count, expected / count, score / count) for _, count, expected, score in bins],
    )


def known(store: QueryableStore) -> tuple[list[str], list[str]]:
    """The policies and the groups that decisions were made by and for."""
    names = [
        [str(value) for (value,) in store.rows(f"SELECT DISTINCT {column} FROM hours ORDER BY 1") if value]  # noqa: S608
        for column in ("policy", "request_group")
    ]
    return names[0], names[1]


_RELIABLE = "calibration"
_WITHIN = (
    "WHERE hour BETWEEN :first AND :last AND (:policy = '' OR policy = :policy) "
    "AND (:group = '' OR request_group = :group) AND (:thread = '' OR 1)"
)
_OF_THREAD = "d.thread = :thread AND d.thread <> '' AND d.policy <> 'import'"  # '' is not in the index
_THREAD_HOURS = (
    f"({AS_HOURS} f.score IS NOT NULL AS feedback, ifnull(f.score, 0) AS score, "
    "CASE WHEN f.score IS NOT NULL THEN ifnull(d.probability, 0) ELSE 0 END AS expected "
    f"FROM decisions d LEFT JOIN feedback f ON f.decision = d.id WHERE {_OF_THREAD})"
)
_THREAD_TALLIES = (
    f"({LATENCY_OF} WHERE {_OF_THREAD} AND d.elapsed_ms IS NOT NULL UNION ALL {EXCLUDED_OF} WHERE {_OF_THREAD} "
    f"UNION ALL {CALIBRATION_OF} WHERE {_OF_THREAD} AND d.probability IS NOT NULL)"
)


def _source(window: Window) -> tuple[str, str]:
    """Where sums and tallies come from, with what they are narrowed to."""
    if window.thread:
        return f"FROM {_THREAD_HOURS} {_WITHIN}", f"FROM {_THREAD_TALLIES} {_WITHIN}"
    return f"FROM hours {_WITHIN}", f"FROM tallies {_WITHIN}"


def _added(parts: Sequence[Sums]) -> Sums:
    return Sums(*(sum(getattr(part, name) for part in parts) for name in SUMS))


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over requests that came in conversations."""

    requests: int = 0
    threads: int = 0
    value: float = math.nan  # the mean; `nan` without any
    error: float = math.nan  # its standard error

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
    """A difference of two means."""

    value: float
    # where it lies at all times, with 95 % certainty; `None` with too few conversations
    interval: tuple[float, float] | None

    @property
    def settled(self) -> bool:
        """Whether there is enough data to tell it from none."""
        return self.interval is not None and not self.interval[0] <= 0.0 <= self.interval[1]


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm."""

    name: str  # `"shadow"`, `"canary"`, or a name of the experiment
    means: Mapping[str, Mean] = field(default_factory=dict)  # by :data:`MEASURES`


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
