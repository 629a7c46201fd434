"""Cost against quality: what calls cost, and what a router reaches as its trade-off between the two changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsat.candidates.completion import answer_kind, expected_length
from modelsat.lab.evaluation.inputs import Price
from modelsat.lab.evaluation.metrics import Floats, choose, outcomes_of, value_of
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.table import Rows
from modelsat.request.tokens import TURN_TOKENS, estimate_tokens

STEPS = 100
SAVED_AT = (0.95, 0.99, 1.0)
"""Shares of the best single model's quality at which the saved cost is reported."""


@dataclass(frozen=True)
class Curve:
    """Mean cost (USD a prompt) and mean quality (0..1) for rising values of the trade-off, each of shape (points,)."""

    cost: Floats
    quality: Floats

    def hull(self) -> Curve:
        """Return the non-decreasing concave hull, which random mixtures reach (RouterBench, arXiv 2403.12031)."""
        order = np.lexsort((-self.quality, self.cost))
        points: list[tuple[float, float]] = []
        for cost, quality in zip(self.cost[order].tolist(), self.quality[order].tolist(), strict=True):
            if points and quality <= points[-1][1]:
                continue
            while len(points) >= 2:
                (a, low), (b, middle) = points[-2:]
                if (middle - low) * (cost - a) > (quality - low) * (b - a):
                    break
                points.pop()  # it lies below the line from the one before it to the new one
            points.append((cost, quality))
        return Curve(*np.array(points).T)

    def front(self) -> Curve:
        """The points that no other point beats, by rising cost."""
        kept = np.flatnonzero(pareto_front(self.cost, self.quality))
        order = kept[np.argsort(self.cost[kept], kind="stable")]
        return Curve(self.cost[order], self.quality[order])


def cost_quality_curve(p: Floats, y: Floats, expected: Floats, actual: Floats) -> Curve:
    """Sweep ``argmax p - tradeoff * expected cost``, from no trade-off to where the cheapest model always wins.

    All of shape (items, models); costs in USD, as expected before the call and as accounted.
    """
    value = value_of(p, y)
    means = np.unique(np.nanmean(expected, axis=0))
    tradeoffs = [0.0]  # probability a USD
    if len(means) > 1:
        tradeoffs += np.geomspace(1e-3 / (means[-1] - means[0]), 1.01 / np.diff(means).min(), STEPS - 1).tolist()
    points = []
    for tradeoff in tradeoffs:
        chosen = (value - tradeoff * expected).argmax(axis=1)
        points.append((outcomes_of(chosen, actual).mean(), outcomes_of(chosen, y).mean()))
    return Curve(*np.array(points, dtype=float).T)


def aiq(curve: Curve, low: float, high: float) -> float:
    """Average improvement in quality: mean height of the hull over costs ``low``..``high`` (RouterBench).

    ``low`` and ``high`` are the mean costs of the cheapest and the dearest single model, so that all routers over one
    pool are measured over the same range. Beyond its last point a hull goes on level.
    """
    from sklearn.metrics import auc

    hull = curve.hull()
    if high <= low:
        return float(hull.quality[-1])
    inside = hull.cost[(hull.cost > low) & (hull.cost < high)]
    costs = np.concatenate([[low], inside, [high]])
    return float(auc(costs, np.interp(costs, hull.cost, hull.quality)) / (high - low))


def cost_saved(curve: Curve, cost: float, quality: float, share: float) -> float:
    """Share of ``cost`` saved at ``share`` of ``quality`` (those of the best single model), NaN if never reached.

    The cheapest point of the curve counts, so the knob is set in hindsight.
    """
    enough = curve.quality >= share * quality - 1e-9
    if not enough.any() or cost <= 0:
        return float("nan")
    return float(1.0 - curve.cost[enough].min() / cost)


def pareto_front(cost: Floats, quality: Floats) -> NDArray[np.bool_]:
    """Points that no other point beats: none is as good and cheaper, or as cheap and better. Shape (points,)."""
    cheaper = (cost[None] <= cost[:, None]) & (quality[None] >= quality[:, None])
    strictly = (cost[None] < cost[:, None]) | (quality[None] > quality[:, None])
    beaten: NDArray[np.bool_] = np.asarray((cheaper & strictly).any(axis=1))
    return ~beaten


def pareto_distance(curve: Curve, front: Curve, span_cost: float, span_quality: float) -> float:
    """Mean distance of a curve's own non-dominated points to the nearest point of the front.

    Cost and quality are divided by their spans over the single models first; 0 means that it lies on the front.
    """
    own = pareto_front(curve.cost, curve.quality)
    scale = np.array([span_cost or 1.0, span_quality or 1.0])
    points = np.stack([curve.cost[own], curve.quality[own]], axis=1) / scale
    target = np.stack([front.cost, front.quality], axis=1) / scale
    return float(np.linalg.norm(points[:, None] - target[None], axis=2).min(axis=1).mean())


@dataclass(frozen=True)
class Costs:
    """Costs of one pool in USD, NaN for models without a price, shape (items, models): expected before, and logged."""

    expected: Floats
    actual: Floats
    notes: tuple[str, ...] = ()


def costs(
    table: OutcomeTable,
    rows: Rows,
    columns: Rows,
    train: Rows,
    prices: Mapping[str, Price],
    tokens: Mapping[str, float],
) -> Costs:
    """Compute expected and actual costs of a pool, with notes on where they come from.

    A price counts first, with the model's mean logged completion ``tokens``; a model without one is planned with the
    mean of its logged costs on ``train`` rows. What was not logged costs what was expected.
    """
    names = [table.models[column] for column in columns]
    prompt = np.array([estimate_tokens(text) + TURN_TOKENS for text in table.prompts[rows]])
    kinds = [answer_kind(text) for text in table.prompts[rows]]
    expected = np.full((len(rows), len(names)), np.nan)
    guessed = 0
    for column, name in enumerate(names):
        if price := prices.get(name):
            measured = price.completion_tokens or tokens.get(name)
            guessed += measured is None
            answer = [expected_length(name, kind) for kind in kinds] if measured is None else measured
            expected[:, column] = (price.input * prompt + price.output * np.asarray(answer)) / 1e6
        else:
            planned = table.costs[train, columns[column]]
            if not np.isnan(planned).all():
                expected[:, column] = np.nanmean(planned)
    logged = table.costs[np.ix_(rows, columns)]
    missing = [name for name, column in zip(names, expected.T, strict=True) if np.isnan(column).any()]
    notes = []
    if missing:
        notes.append(f"no price for {', '.join(missing)}: left out of the cost figures (give --prices)")
    if guessed and len(missing) < len(names):
        notes.append(
            f"completion tokens of {guessed} of {len(names)} models are expected by kind of answer and model, prompt "
            "tokens estimated, both as a router does"
        )
    actual = np.where(np.isnan(logged) | np.isnan(expected), expected, logged)
    return Costs(expected, actual, tuple(notes))


@dataclass(frozen=True)
class Spending:
    """Costs and outcomes of the priced part of a pool, on the prompts one of its models answered.

    Attributes:
        rows: Prompts, as positions among the test prompts.
        columns: Priced models, as positions in the pool.
        y: Outcomes, shape (rows, columns).
        expected: USD known before the call, shape (rows, columns).
        actual: USD that is accounted, shape (rows, columns).
        single: The best single model, as a position in ``columns``.
    """

    rows: Rows
    columns: Rows
    y: Floats
    expected: Floats
    actual: Floats
    single: int

    @classmethod
    def of(cls, y: Floats, costs: Costs, level: Floats) -> Spending | None:
        """Return the priced part of a pool; ``None`` if fewer than two models have a price.

        Outcomes ``y`` are of the whole pool, ``level`` is the accuracy of each model on training prompts.
        """
        columns = np.flatnonzero(~np.isnan(costs.expected).any(axis=0))
        if len(columns) < 2 or np.ptp(costs.expected[:, columns]) == 0:
            return None
        rows = np.flatnonzero(~np.isnan(y[:, columns]).all(axis=1))
        part = np.ix_(rows, columns)
        best = int(np.nanargmax(level[columns]))
        return cls(rows, columns, y[part], costs.expected[part], costs.actual[part], best)

    def part(self, p: Floats) -> Floats:
        """Of probabilities for the whole pool, those of the priced part, shape (rows, columns)."""
        picked: Floats = p[np.ix_(self.rows, self.columns)]
        return picked

    @property
    def _paid(self) -> Floats:
        return np.where(np.isnan(self.y), np.nan, self.actual)

    def singles(self) -> Curve:
        """Mean cost and accuracy of each priced model alone, on the prompts it answered."""
        return Curve(np.nanmean(self._paid, axis=0), np.nanmean(self.y, axis=0))

    @property
    def random_cost(self) -> float:
        """Expected cost of a model drawn at random, USD a prompt."""
        return float(np.nanmean(self._paid, axis=1).mean())

    def curve(self, p: Floats) -> Curve:
        """Return the curve of a router, given its P(success) for the whole pool."""
        return cost_quality_curve(self.part(p), self.y, self.expected, self.actual)

    def curve_metrics(self, curve: Curve, shares: tuple[float, ...] = SAVED_AT) -> dict[str, float]:
        """``aiq``, and ``cost_saved_95`` and so on for each of the shares of the best single model's quality."""
        singles = self.singles()
        cost, quality = float(singles.cost[self.single]), float(singles.quality[self.single])
        saved = {f"cost_saved_{round(share * 100)}": cost_saved(curve, cost, quality, share) for share in shares}
        return {"aiq": aiq(curve, float(singles.cost.min()), float(singles.cost.max())), **saved}

    def metrics(self, p: Floats) -> dict[str, float]:
        """``cost`` (USD a prompt when quality alone decides) and :meth:`curve_metrics`."""
        spent = outcomes_of(choose(self.part(p), self.y), self.actual)
        return {"cost": float(spent.mean()), **self.curve_metrics(self.curve(p))}
