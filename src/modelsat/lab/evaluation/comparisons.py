"""Routers against every other row of a setting: differences with paired bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from modelsat.lab.evaluation.measure import RANDOM
from modelsat.lab.evaluation.metrics import (
    Floats,
    choose,
    mean_auc,
    outcomes_of,
    resampled_auc,
    resampled_mean,
    resamples,
)
from modelsat.lab.evaluation.metrics.bootstrap import Interval, interval
from modelsat.lab.evaluation.predictions import Prediction
from modelsat.lab.evaluation.results import Comparison, Role

Statistics = Mapping[str, tuple[float, Floats]]
"""By metric: its value, and its value in each resample."""


def comparisons(predictions: Sequence[Prediction], y: Floats) -> list[Comparison]:
    """Each measured router minus each other row, in accuracy and, where both are probabilities, AUC and Brier score.

    Of rows with several seeds the mean over the seeds is compared.

    Args:
        predictions: Of every row.
        y: Outcomes, shape (items, models).
    """
    routers = [prediction for prediction in predictions if prediction.role is Role.ROUTER]
    if not routers:
        return []
    weights = resamples(len(y))
    random = np.nanmean(y, axis=1)
    rows: dict[str, Statistics] = {RANDOM: {"accuracy": (float(random.mean()), resampled_mean(random, weights))}}
    rows |= {prediction.name: _statistics(prediction, y, weights) for prediction in predictions}
    return [
        Comparison(router.name, other, _differences(rows[router.name], statistics))
        for router in routers
        for other, statistics in rows.items()
        if other != router.name
    ]


def _differences(a: Statistics, b: Statistics) -> dict[str, Interval]:
    return {name: interval(a[name][0] - b[name][0], a[name][1] - b[name][1]) for name in a if name in b}


def _statistics(prediction: Prediction, y: Floats, weights: Floats) -> Statistics:
    runs = [_run(p, y, weights, prediction.probable) for p in prediction.runs]
    return {
        name: (
            float(np.mean([run[name][0] for run in runs])),
            np.mean([run[name][1] for run in runs], axis=0),
        )
        for name in runs[0]
    }


def _run(p: Floats, y: Floats, weights: Floats, probable: bool) -> Statistics:
    routed = outcomes_of(choose(p, y), y)
    result = {"accuracy": (float(routed.mean()), resampled_mean(routed, weights))}
    known = ~np.isnan(y)
    if not probable or np.isnan(p[known]).any():
        return result
    errors, counts = np.where(known, (p - y) ** 2, 0.0).sum(axis=1), known.sum(axis=1)
    result["brier"] = (float(errors.sum() / counts.sum()), resampled_mean(errors, weights, counts))
    area = mean_auc(p, y)
    if not np.isnan(area):
        result["auc"] = (area, resampled_auc(p, y, weights))
    return result
