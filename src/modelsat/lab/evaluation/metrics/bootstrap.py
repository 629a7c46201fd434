"""Paired bootstrap over prompts: every router is measured on the same resamples, so differences keep the pairing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsat.lab.evaluation.metrics.choice import Floats
from modelsat.lab.evaluation.metrics.probability import SUCCESS

RESAMPLES = 1000
LEVEL = 0.95


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
    """The interval of differences measured on the resamples, shape (number,)."""
    tail = (1 - LEVEL) / 2
    return Interval(mean, float(np.quantile(differences, tail)), float(np.quantile(differences, 1 - tail)))


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
