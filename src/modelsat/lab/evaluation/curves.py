"""Cost against quality: what a router reaches as its trade-off changes, and what of that nothing else beats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsat.lab.evaluation.metrics import Floats, outcomes_of

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
        for cost, quality in zip(self.cost[order], self.quality[order], strict=True):
            if points and quality <= points[-1][1]:
                continue
            while len(points) >= 2 and _below(points[-2], points[-1], (cost, quality)):
                points.pop()
            points.append((float(cost), float(quality)))
        cost, quality = np.array(points).T
        return Curve(cost, quality)


def _below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def tradeoffs(expected: Floats, steps: int = STEPS) -> Floats:
    """Values of the trade-off (probability a USD) from none to so much that the cheapest model always wins."""
    means = np.unique(np.nanmean(expected, axis=0))
    if len(means) < 2:
        return np.array([0.0])
    grid = np.geomspace(1e-3 / (means[-1] - means[0]), 1.01 / np.diff(means).min(), steps - 1)
    return np.concatenate([[0.0], grid])


def cost_quality_curve(p: Floats, y: Floats, expected: Floats, actual: Floats) -> Curve:
    """Sweep ``argmax p - tradeoff * expected cost``.

    Args:
        p: P(success), shape (items, models).
        y: Outcomes, NaN where unknown (never chosen), shape (items, models).
        expected: Cost in USD as known before the call, shape (items, models).
        actual: Cost in USD that is accounted, shape (items, models).
    """
    value = np.where(np.isnan(y), -np.inf, np.where(np.isnan(p), -1.0, p))
    points = []
    for tradeoff in tradeoffs(expected):
        chosen = (value - tradeoff * expected).argmax(axis=1)
        points.append((outcomes_of(chosen, actual).mean(), outcomes_of(chosen, y).mean()))
    cost, quality = np.array(points, dtype=float).T
    return Curve(cost, quality)


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

    Cost and quality are divided by their spans over the pool first; 0 means that the curve lies on the front.

    Args:
        curve: The router's curve.
        front: The front of all routers and single models.
        span_cost: Mean cost of the dearest single model minus that of the cheapest, USD a prompt.
        span_quality: Accuracy of the best single model minus that of the worst.
    """
    own = pareto_front(curve.cost, curve.quality)
    scale = np.array([span_cost or 1.0, span_quality or 1.0])
    points = np.stack([curve.cost[own], curve.quality[own]], axis=1) / scale
    target = np.stack([front.cost, front.quality], axis=1) / scale
    return float(np.linalg.norm(points[:, None] - target[None], axis=2).min(axis=1).mean())
