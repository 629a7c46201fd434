"""The metrics of the field, on plain arrays: probabilities and outcomes of shape (items, models)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
LEVEL = 0.95
SMALL = 200
"""Prompts up to which a difference in accuracy is not left to resampling alone."""


_NORMAL = 1.959964
"""Standard errors on either side of an interval of :data:`LEVEL`."""


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
    tail = (1 - LEVEL) / 2
    return Interval(mean, float(np.quantile(differences, tail)), float(np.quantile(differences, 1 - tail)))


def widened(found: Interval, differences: Floats) -> Interval:
    """An interval of a mean difference that also allows for what a small sample has not shown.

    Resampling sees only prompts that were drawn: of two routers with the same outcomes on twelve prompts it says "no
    difference, for sure". Half a prompt is added to each of the four pairs of outcomes (Agresti and Min, 2005,
    Statistics in Medicine 24), and the wider interval holds.

    Args:
        found: From :func:`interval`.
        differences: Of each prompt, -1..1, shape (items,).
    """
    items, added = len(differences), 2.0
    mean = float(differences.sum()) / (items + added)
    square = (float((differences**2).sum()) + 0.5 * added) / (items + added)
    reach = _NORMAL * float(np.sqrt(max(square - mean**2, 0.0) / (items + added)))
    return Interval(found.mean, min(found.low, mean - reach), max(found.high, mean + reach))


def resampled_mean(values: Floats, weights: Floats, counts: Floats | None = None) -> Floats:
    """Weighted mean of per-prompt sums in each resample, shape (number,).

    Args:
        values: Value (or sum) of each prompt, shape (items,).
        weights: From :func:`resamples`.
        counts: Number of terms in each prompt's sum, shape (items,); one if not given.
    """
    terms = np.ones(len(values), dtype=np.float32) if counts is None else counts.astype(np.float32)
    mean: Floats = (weights @ values.astype(np.float32)) / (weights @ terms)
    return mean


def resampled_auc(p: Floats, y: Floats, weights: Floats) -> Floats:
    """Mean per-model AUC in each resample, shape (number,). Arguments as in ``mean_auc``."""
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


Floats = NDArray[np.floating[Any]]
"""Numbers; NaN where an outcome or a probability is unknown."""


@dataclass(frozen=True)
class Anchors:
    """Average accuracies, 0..1, that every router is read against.

    Attributes:
        random: A model drawn at random for every prompt.
        best_single: Always the model that was best on the training prompts.
        oracle: The best outcome of every prompt.
    """

    random: float
    best_single: float
    oracle: float


def choose(p: Floats, y: Floats) -> NDArray[np.intp]:
    """Column with the highest probability among the models that answered; ties go to the first, shape (items,).

    Args:
        p: P(success), NaN for a model the router knows nothing of (it is never chosen), shape (items, models).
        y: Outcomes, NaN where a model did not answer, shape (items, models).
    """
    value = np.where(np.isnan(y), -np.inf, np.where(np.isnan(p), -1.0, p))
    chosen: NDArray[np.intp] = value.argmax(axis=1)
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


BINS = 15
SUCCESS = 0.5
"""Outcomes above this count as success where a metric needs yes or no."""


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram over equally filled bins, from the least to the most confident.

    Attributes:
        predicted: Mean probability of each bin, shape (bins,).
        observed: Mean outcome of each bin, shape (bins,).
        count: Number of (prompt, model) pairs in each bin, shape (bins,).
    """

    predicted: Floats
    observed: Floats
    count: Floats

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of the bins to the diagonal, by their size."""
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.count))


def auc_by_model(p: Floats, y: Floats) -> Floats:
    """Area under the ROC curve of predicted success for each model, NaN where its outcomes do not differ.

    Args:
        p: P(success), shape (items, models).
        y: Outcomes, NaN where unknown, shape (items, models); above 0.5 is success.
    """
    from sklearn.metrics import roc_auc_score

    result = np.full(y.shape[1], np.nan)
    for column in range(y.shape[1]):
        known = ~np.isnan(y[:, column])
        success = y[known, column] > SUCCESS
        if 0 < success.sum() < len(success):
            result[column] = roc_auc_score(success, p[known, column])
    return result


def mean_auc(p: Floats, y: Floats) -> float:
    """Mean of :func:`auc_by_model` over the models that have one, NaN if none has."""
    values = auc_by_model(p, y)
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


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


def ece(p: Floats, y: Floats, bins: int = BINS) -> float:
    """Compute the expected calibration error over equally filled bins, 0..1."""
    return reliability(p, y, bins).ece


def probability_metrics(p: Floats, y: Floats) -> dict[str, float]:
    """``auc``, ``brier`` and ``ece``."""
    return {"auc": mean_auc(p, y), "brier": brier(p, y), "ece": ece(p, y)}


CPT = (0.5, 0.8, 0.95)
_SMALL = 0.01


@dataclass(frozen=True)
class PairCurve:
    """Performance gap recovered by share of calls sent to the strong model.

    Attributes:
        share: Share of prompts sent to the strong model, rising from 0 to 1.
        recovered: PGR = (quality - weak) / (strong - weak) at each share.
    """

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
    are left out.

    Args:
        preference: P(strong succeeds) - P(weak succeeds), shape (items,).
        strong: Outcomes of the strong model, shape (items,).
        weak: Outcomes of the weak model, shape (items,).

    Returns:
        ``None`` where the strong model is not at least one point better on these prompts: there is no gap to recover.
    """
    both = ~np.isnan(strong) & ~np.isnan(weak)
    preference, strong, weak = preference[both], strong[both].astype(float), weak[both].astype(float)
    if not len(strong) or strong.mean() - weak.mean() < _SMALL:
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
