"""Rows of the tables: the metrics of a router on one setting, and paired differences between routers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from modelsat.lab.evaluation.costs import Curve, Spending, pareto_distance
from modelsat.lab.evaluation.metrics import (
    SMALL,
    Anchors,
    Floats,
    Interval,
    choice_metrics,
    choose,
    interval,
    mean_auc,
    outcomes_of,
    pair_metrics,
    probability_metrics,
    reliability,
    resampled_auc,
    resampled_mean,
    resamples,
    widened,
)
from modelsat.lab.evaluation.predictions import Prediction
from modelsat.lab.evaluation.results import Comparison, Role, Row

RANDOM = "random"
PAIR_GAP = 0.05
"""The strongest model is paired with every model that is weaker by at least this on the training prompts."""


@dataclass(frozen=True)
class Test:
    """The test prompts of one setting.

    Attributes:
        y: Outcomes, shape (items, models).
        tasks: Task of each prompt, shape (items,).
        level: Accuracy of each model on training prompts (of an unseen data set: on these), shape (models,).
        pairs: (strong, weak) columns.
        spending: Costs, where at least two models have a price.
    """

    y: Floats
    tasks: NDArray[np.object_]
    level: Floats
    pairs: Sequence[tuple[int, int]]
    spending: Spending | None

    @cached_property
    def anchors(self) -> Anchors:
        """What every row is read against."""
        tiled = np.tile(self.level, (len(self.y), 1))
        return Anchors(
            random=float(np.nanmean(self.y, axis=1).mean()),
            best_single=float(outcomes_of(choose(tiled, self.y), self.y).mean()),
            oracle=float(np.nanmax(self.y, axis=1).mean()),
        )


def strong_weak_pairs(level: Floats) -> list[tuple[int, int]]:
    """Return the strongest model with each that is at least :data:`PAIR_GAP` weaker."""
    strong = int(np.nanargmax(level))
    return [(strong, weak) for weak in range(len(level)) if level[strong] - level[weak] >= PAIR_GAP]


def random_row(test: Test) -> Row:
    """Measure a model drawn at random for every prompt, in expectation."""
    metrics = choice_metrics(test.anchors.random, test.anchors)
    if test.pairs:
        metrics |= pair_metrics(np.zeros_like(test.y), test.y, list(test.pairs))
    if test.spending:
        metrics["cost"] = test.spending.random_cost
    return Row(RANDOM, Role.ANCHOR, metrics)


def measure(prediction: Prediction, test: Test, tasks: Sequence[str]) -> Row:
    """One row: means over the runs, spread where there are several; curves, diagrams and choices of the first run."""
    runs = [_run(prediction, p, test) for p in prediction.runs]
    names = [name for name in runs[0] if all(np.isfinite(run.get(name, np.nan)) for run in runs)]
    values = {name: np.array([run[name] for run in runs]) for name in names}
    first, raw = prediction.runs[0], prediction.uncalibrated
    chosen, models = choose(first, test.y), test.y.shape[1]
    return Row(
        name=prediction.name,
        role=prediction.role,
        metrics={name: float(found.mean()) for name, found in values.items()},
        spread={name: float(found.std(ddof=1)) for name, found in values.items()} if len(runs) > 1 else {},
        seeds=len(runs),
        curve=test.spending.curve(first) if test.spending else None,
        reliability=reliability(first, test.y) if prediction.probable and _complete(first, test.y) else None,
        uncalibrated=None if raw is None else reliability(raw, test.y),
        share={
            task: (np.bincount(chosen[own], minlength=models) / max(1, own.sum())).tolist()
            for task, own in ((task, test.tasks == task) for task in tasks)
        },
    )


def _run(prediction: Prediction, p: Floats, test: Test) -> dict[str, float]:
    metrics = choice_metrics(float(outcomes_of(choose(p, test.y), test.y).mean()), test.anchors)
    if _complete(p, test.y):
        if prediction.probable:
            metrics |= probability_metrics(p, test.y)
        if test.pairs:
            metrics |= pair_metrics(np.nan_to_num(p), test.y, list(test.pairs))
    if test.spending:
        metrics |= test.spending.metrics(p)
    return metrics


def _complete(p: Floats, y: Floats) -> bool:
    """Whether there is a probability for every outcome."""
    return not np.isnan(p[~np.isnan(y)]).any()


def with_pareto_distance(rows: Sequence[Row], spending: Spending) -> list[Row]:
    """Add the distance to the front of all routers and single models; the oracle and ceilings do not count for it."""
    singles = spending.singles()
    drawn = {row.name: row.curve for row in rows if row.curve is not None and row.name != "oracle"}
    fair = [row.curve for row in rows if row.name in drawn and row.curve and row.role is not Role.CEILING]
    front = Curve(
        np.concatenate([singles.cost, *(curve.cost for curve in fair)]),
        np.concatenate([singles.quality, *(curve.quality for curve in fair)]),
    ).front()
    spans = float(np.ptp(singles.cost)), float(np.ptp(singles.quality))
    return [
        replace(row, metrics={**row.metrics, "pareto_distance": pareto_distance(drawn[row.name], front, *spans)})
        if row.name in drawn
        else row
        for row in rows
    ]


Statistics = Mapping[str, tuple[float, Floats]]
"""By metric: its value, and its value in each resample."""


def comparisons(predictions: Sequence[Prediction], y: Floats) -> list[Comparison]:
    """Each measured router minus each other row, in accuracy and, where both are probabilities, AUC and Brier score.

    Of rows with several seeds the mean over the seeds is compared.
    """
    routers = [prediction for prediction in predictions if prediction.role is Role.ROUTER]
    if not routers:
        return []
    weights = resamples(len(y))
    random: Floats = np.nanmean(y, axis=1)
    routed: dict[str, Floats] = {RANDOM: random}
    rows: dict[str, Statistics] = {RANDOM: {"accuracy": (float(random.mean()), resampled_mean(random, weights))}}
    for prediction in predictions:
        routed[prediction.name] = np.mean([outcomes_of(choose(p, y), y) for p in prediction.runs], axis=0)
        runs = [_statistics(p, y, weights, prediction.probable) for p in prediction.runs]
        rows[prediction.name] = {
            name: (float(np.mean([run[name][0] for run in runs])), np.mean([run[name][1] for run in runs], axis=0))
            for name in runs[0]
        }
    return [
        Comparison(router.name, other, _differences(rows[router.name], statistics, routed[router.name] - routed[other]))
        for router in routers
        for other, statistics in rows.items()
        if other != router.name
    ]


def _differences(a: Statistics, b: Statistics, routed: Floats) -> dict[str, Interval]:
    found = {name: interval(a[name][0] - b[name][0], a[name][1] - b[name][1]) for name in a if name in b}
    if len(routed) <= SMALL:
        found["accuracy"] = widened(found["accuracy"], routed)
    return found


def _statistics(p: Floats, y: Floats, weights: Floats, probable: bool) -> Statistics:
    routed = outcomes_of(choose(p, y), y)
    result = {"accuracy": (float(routed.mean()), resampled_mean(routed, weights))}
    if not probable or not _complete(p, y):
        return result
    known = ~np.isnan(y)
    errors, counts = np.where(known, (p - y) ** 2, 0.0).sum(axis=1), known.sum(axis=1)
    result["brier"] = (float(errors.sum() / counts.sum()), resampled_mean(errors, weights, counts))
    area = mean_auc(p, y)
    if not np.isnan(area):
        result["auc"] = (area, resampled_auc(p, y, weights))
    return result
