"""The metrics of the field, on plain arrays: probabilities and outcomes of shape (items, models)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Numbers; NaN where an outcome or a probability is unknown."""

SUCCESS = 0.5
"""Outcomes above this count as success where a metric needs yes or no."""
BINS = 15
CPT = (0.5, 0.8, 0.95)
_SMALLEST_GAP = 0.01
RESAMPLES = 1000
SMALL = 200
"""Prompts up to which a difference in accuracy is not left to resampling alone."""
_TAILS = (0.025, 0.975)
_NORMAL = 1.959964
"""Standard errors on either side of an interval of 95 %."""


# -- choice --------------------------------------------------------------------------------------------------------


class Anchors(NamedTuple):
    """Average accuracies, 0..1, that every router is read against; best single is the best on training prompts."""

    random: float
    best_single: float
    oracle: float


def means(scores: Floats) -> Floats:
    """Mean outcome of each model, NaN for one that answered nothing, shape (models,)."""
    known = ~np.isnan(scores)
    counts = known.sum(axis=0)
    totals = np.where(known, scores, 0.0).sum(axis=0)
    mean: Floats = np.divide(totals, counts, out=np.full(scores.shape[1], np.nan), where=counts > 0)
    return mean


def value_of(p: Floats, y: Floats) -> Floats:
    """P(success), but -1 for a model the router knows nothing of and -inf for one that did not answer."""
    return np.where(np.isnan(y), -np.inf, np.where(np.isnan(p), -1.0, p))


def choose(p: Floats, y: Floats) -> NDArray[np.intp]:
    """Column with the highest :func:`value_of`; ties go to the first, shape (items,)."""
    chosen: NDArray[np.intp] = value_of(p, y).argmax(axis=1)
    return chosen


def outcomes_of(chosen: NDArray[np.intp], values: Floats) -> Floats:
    """Return the value (outcome, cost) of the chosen column in every row, shape (items,)."""
    picked: Floats = values[np.arange(len(values)), chosen]
    return picked


def choice_metrics(accuracy: float, anchors: Anchors) -> dict[str, float]:
    """Average accuracy and its distances to the anchors, all as shares 0..1.

    ``gap_closed`` is the share of the way from best single to oracle; NaN where there is no way to go.
    """
    span = anchors.oracle - anchors.best_single
    return {
        "accuracy": accuracy,
        "gain_over_random": accuracy - anchors.random,
        "gain_over_best_single": accuracy - anchors.best_single,
        "gap_to_oracle": anchors.oracle - accuracy,
        "gap_closed": (accuracy - anchors.best_single) / span if span > 1e-9 else float("nan"),
    }


# -- probabilities -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reliability:
    """Mean probability, mean outcome and (prompt, model) pairs of equally filled bins, by confidence; shape (bins,)."""

    predicted: Floats
    observed: Floats
    count: Floats

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of the bins to the diagonal, by their size."""
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.count))


def mean_auc(p: Floats, y: Floats) -> float:
    """Mean over models of the area under the ROC curve of predicted success, NaN if no model has both outcomes."""
    from sklearn.metrics import roc_auc_score

    found = []
    for column in range(y.shape[1]):
        known = ~np.isnan(y[:, column])
        success = y[known, column] > SUCCESS
        if 0 < success.sum() < len(success):
            found.append(roc_auc_score(success, p[known, column]))
    return float(np.mean(found)) if found else float("nan")


def brier(p: Floats, y: Floats) -> float:
    """Mean squared distance of probability and outcome over all known pairs (soft outcomes count as they are)."""
    return float(np.nanmean((p - y) ** 2))


def reliability(p: Floats, y: Floats, bins: int = BINS) -> Reliability:
    """Sort all known pairs by probability into ``bins`` equally filled bins."""
    known = ~np.isnan(y)
    predicted, observed = p[known].astype(float), y[known].astype(float)
    order = np.argsort(predicted, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    return Reliability(
        predicted=np.array([predicted[group].mean() for group in groups]),
        observed=np.array([observed[group].mean() for group in groups]),
        count=np.array([len(group) for group in groups], dtype=float),
    )


def probability_metrics(p: Floats, y: Floats) -> dict[str, float]:
    """``auc``, ``brier`` and ``ece``."""
    return {"auc": mean_auc(p, y), "brier": brier(p, y), "ece": reliability(p, y).ece}


# -- strong and weak -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairCurve:
    """PGR = (quality - weak) / (strong - weak) recovered by share of prompts sent to the strong model, 0 to 1."""

    share: Floats
    recovered: Floats

    @property
    def apgr(self) -> float:
        """Average PGR: the area under the curve. A coin reaches .5."""
        from sklearn.metrics import auc

        return float(auc(self.share, self.recovered))

    def cpt(self, target: float) -> float:
        """Call-performance threshold: the smallest share of strong calls that recovers ``target`` of the gap, 0..1."""
        at = int(np.argmax(self.recovered >= target - 1e-12))
        if at == 0:
            return float(self.share[0])
        (left, right), (low, high) = self.share[at - 1 : at + 1], self.recovered[at - 1 : at + 1]
        return float(left + (right - left) * (target - low) / (high - low))


def pair_curve(preference: Floats, strong: Floats, weak: Floats) -> PairCurve | None:
    """Send the prompts with the highest ``preference`` to the strong model, from none to all.

    Prompts of equal preference are taken in random order, in expectation. Prompts that one of the two did not answer
    are left out. All of shape (items,).

    Returns:
        ``None`` where the strong model is not at least one point better on these prompts: there is no gap to recover.
    """
    both = ~np.isnan(strong) & ~np.isnan(weak)
    preference, strong, weak = preference[both], strong[both].astype(float), weak[both].astype(float)
    if not len(strong) or strong.mean() - weak.mean() < _SMALLEST_GAP:
        return None
    order = np.argsort(-preference, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(preference[order]) != 0, True))
    gained = np.cumsum((strong - weak)[order])[ends] / (strong - weak).sum()
    return PairCurve(np.concatenate([[0.0], (ends + 1) / len(strong)]), np.concatenate([[0.0], gained]))


def pair_metrics(p: Floats, y: Floats, pairs: list[tuple[int, int]]) -> dict[str, float]:
    """``apgr``, ``cpt_50``, ``cpt_80`` and ``cpt_95``, each a mean over the (strong, weak) pairs of columns."""
    curves = [pair_curve(p[:, strong] - p[:, weak], y[:, strong], y[:, weak]) for strong, weak in pairs]
    found = [curve for curve in curves if curve is not None]
    if not found:
        return {}
    result = {"apgr": float(np.mean([curve.apgr for curve in found]))}
    for target in CPT:
        result[f"cpt_{round(target * 100)}"] = float(np.mean([curve.cpt(target) for curve in found]))
    return result


# -- bootstrap -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """A difference with its interval of 95 %."""

    mean: float
    low: float
    high: float


def resamples(items: int, number: int = RESAMPLES, seed: int = 0) -> Floats:
    """How often each prompt is drawn in each resample, float32, shape (number, items)."""
    drawn = np.random.default_rng(seed).multinomial(items, np.full(items, 1.0 / items), size=number)
    return drawn.astype(np.float32)


def interval(mean: float, differences: Floats) -> Interval:
    """Compute the interval of differences measured on the resamples, shape (number,)."""
    return Interval(mean, *(float(np.quantile(differences, tail)) for tail in _TAILS))


def widened(found: Interval, differences: Floats) -> Interval:
    """An interval of a mean difference that also allows for what a small sample has not shown.

    Resampling sees only prompts that were drawn: of two routers with the same outcomes on twelve prompts it says "no
    difference, for sure". Half a prompt is added to each of the four pairs of outcomes (Agresti and Min, 2005,
    Statistics in Medicine 24), and the wider interval holds. Differences of each prompt are in -1..1, shape (items,).
    """
    items, added = len(differences), 2.0
    mean = float(differences.sum()) / (items + added)
    square = (float((differences**2).sum()) + 0.5 * added) / (items + added)
    reach = _NORMAL * float(np.sqrt(max(square - mean**2, 0.0) / (items + added)))
    return Interval(found.mean, min(found.low, mean - reach), max(found.high, mean + reach))


def resampled_mean(values: Floats, weights: Floats, counts: Floats | None = None) -> Floats:
    """Mean in each resample, shape (number,), of values or of sums of ``counts`` terms, each of shape (items,)."""
    terms = np.ones(len(values), dtype=np.float32) if counts is None else counts.astype(np.float32)
    mean: Floats = (weights @ values.astype(np.float32)) / (weights @ terms)
    return mean


def resampled_auc(p: Floats, y: Floats, weights: Floats) -> Floats:
    """:func:`mean_auc` in each resample, shape (number,)."""
    total, models = np.zeros(len(weights)), np.zeros(len(weights))
    for column in range(y.shape[1]):
        known = np.flatnonzero(~np.isnan(y[:, column]))
        values = _weighted_auc(p[known, column], y[known, column] > SUCCESS, weights[:, known])
        measured = ~np.isnan(values)
        total[measured] += values[measured]
        models += measured
    mean: Floats = np.divide(total, models, out=np.full(len(weights), np.nan), where=models > 0)
    return mean


def _weighted_auc(p: Floats, success: NDArray[np.bool_], weights: Floats) -> Floats:
    if not success.any() or success.all():
        return np.full(len(weights), np.nan)
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(p[order]) != 0))
    drawn = weights[:, order]
    won = np.add.reduceat(drawn * success[order], starts, axis=1)
    lost = np.add.reduceat(drawn * ~success[order], starts, axis=1)
    below = np.cumsum(lost, axis=1, dtype=np.float64) - lost / 2
    pairs = won.sum(axis=1, dtype=np.float64) * lost.sum(axis=1, dtype=np.float64)
    area: Floats = np.divide((won * below).sum(axis=1), pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return area
