"""How good the probabilities are: AUC by model, Brier score, calibration error, reliability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelsat.lab.evaluation.metrics.choice import Floats

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
    """Expected calibration error over equally filled bins, 0..1."""
    return reliability(p, y, bins).ece


def probability_metrics(p: Floats, y: Floats) -> dict[str, float]:
    """``auc``, ``brier`` and ``ece``."""
    return {"auc": mean_auc(p, y), "brier": brier(p, y), "ece": ece(p, y)}
