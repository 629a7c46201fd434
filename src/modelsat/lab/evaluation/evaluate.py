"""The evaluation as a whole: settings, baselines, routers, metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from modelsat.errors import ConfigurationError, MissingDependencyError, OutcomesError
from modelsat.lab.evaluation.costs import Price, Spending, costs
from modelsat.lab.evaluation.curves import Curve, pareto_distance, pareto_front
from modelsat.lab.evaluation.measure import Test, comparisons, measure, random_row, strong_weak_pairs
from modelsat.lab.evaluation.metrics import Floats
from modelsat.lab.evaluation.plan import Kind, Plan, Setting, settings
from modelsat.lab.evaluation.policies import NamedPolicy, policy_rows
from modelsat.lab.evaluation.predictions import Material, Prediction, Report, baseline_predictions
from modelsat.lab.evaluation.results import Evaluation, Role, Row, SettingResult
from modelsat.lab.evaluation.routers import MeasuredRouter, runs_of
from modelsat.lab.outcomes import OutcomeTable, Split, split_by_question
from modelsat.lab.outcomes.table import Rows

Embed = Callable[[Rows], Floats]
"""Told the rows that are needed; returns embeddings for all items, of which it may fill those rows only."""
SEEDS = 5
TASKS = 15
"""Largest tasks of a data set whose accuracies and choices are reported one by one."""


@dataclass(frozen=True)
class Money:
    """What is known of costs.

    Attributes:
        prices: By model; models without one fall back to the mean of their logged costs.
        completion_tokens: Mean number by model, where logged.
        pairs: (strong, weak) models for APGR and CPT; the strongest with every clearly weaker one if not given.
    """

    prices: Mapping[str, Price] = field(default_factory=dict)
    completion_tokens: Mapping[str, float] = field(default_factory=dict)
    pairs: Sequence[tuple[str, str]] = ()


def evaluate(
    table: OutcomeTable,
    routers: Sequence[MeasuredRouter] = (),
    plan: Plan | None = None,
    *,
    split: Split | None = None,
    embeddings: Floats | Embed | None = None,
    seeds: int = SEEDS,
    money: Money | None = None,
    policies: Sequence[NamedPolicy] = (),
    report: Report = lambda what, done, total: None,
) -> Evaluation:
    """Measure routers beside the baselines, on the same prompts.

    Args:
        table: Items and outcomes.
        routers: What is measured; none measures the baselines alone.
        plan: Unseen models and data sets, data sets to measure; all data sets, all models seen if not given.
        split: Its own split by question text if not given.
        embeddings: Normalised sentence embeddings of all items, shape (items, width), or a function that makes them
            once everything has been checked; without them the baselines that read embeddings are left out.
        seeds: Number of fits of the baselines that depend on a seed.
        money: Prices, tokens, strong/weak pairs.
        policies: Under which routers and baselines are measured as well; with any, those with a knob are swept too.
        report: Told about the progress.

    Raises:
        OutcomesError: The split shares questions or is empty somewhere, a data set cannot be measured, a model lacks a
            profile, a file of scores is incomplete. All of this is checked before any work is done.
        ConfigurationError: Two routers have one name, or the embeddings do not fit the items.
        MissingDependencyError: scikit-learn is not installed.
    """
    _check_dependencies()
    _check(routers, table, seeds)
    plan, money = plan or Plan(), money or Money()
    split = split or split_by_question(table)
    split.check(table)
    planned, notes = settings(table, split, plan)
    parts = {setting.name: table.take(setting.test, setting.columns) for setting in planned}
    for router in routers:
        for part in parts.values():
            router.check(part)
    material = Material(table, _embedded(table, planned, embeddings), seeds)
    results = []
    for setting in planned:
        measured, left_out = _ask(routers, parts[setting.name], setting, report)
        predictions, notes_on = baseline_predictions(material, setting, report)
        report(f"{setting.name}: metrics", 0, 1)
        found = [*predictions, *measured]
        result, spending = _result(table, setting, found, money, [*notes_on, *left_out])
        if policies and spending is not None:
            result = replace(result, policies=policy_rows(found, spending, result.models, policies))
        results.append(result)
    return Evaluation(results, _about(table, split, plan, routers, seeds), notes)


def _embedded(table: OutcomeTable, planned: Sequence[Setting], embeddings: Floats | Embed | None) -> Floats | None:
    if callable(embeddings):
        used = [(setting.train, setting.validation, setting.test, setting.core) for setting in planned]
        embeddings = embeddings(np.unique(np.concatenate([part for parts in used for part in parts])))
    if embeddings is not None and len(embeddings) != len(table):
        raise ConfigurationError(f"there are {len(embeddings)} embeddings for {len(table)} items: give one for each")
    return embeddings


def _ask(
    routers: Sequence[MeasuredRouter], part: OutcomeTable, setting: Setting, report: Report
) -> tuple[list[Prediction], list[str]]:
    """Return what each router predicts for a setting, and notes on those that know nothing of it."""
    found, notes = [], []
    for router in routers:
        runs = runs_of(router, part, _Counter(report, f"{setting.name}: {router.name}", len(part)))
        if not runs:
            notes.append(f"{router.name} has no scores for this data set")
        else:
            found.append(Prediction(router.name, Role.ROUTER, runs, router.uncalibrated(runs[0])))
    return found, notes


def _result(
    table: OutcomeTable, setting: Setting, predictions: Sequence[Prediction], money: Money, notes: Sequence[str]
) -> tuple[SettingResult, Spending | None]:
    names = [table.models[column] for column in setting.columns]
    y = table.scores[np.ix_(setting.test, setting.columns)]
    learned = setting.test if setting.kind is Kind.UNSEEN_DATASET else setting.train
    level = np.nanmean(table.scores[np.ix_(learned, setting.columns)], axis=0)
    spent = costs(table, setting.test, setting.columns, setting.train, money.prices, money.completion_tokens)
    spending = Spending.of(y, spent, level)
    pairs = [(names.index(a), names.index(b)) for a, b in money.pairs if a in names and b in names]
    test = Test(y, table.tasks[setting.test], level, pairs or strong_weak_pairs(level), spending)
    tasks = _largest(test.tasks)
    rows = [random_row(test), *(measure(prediction, test, list(tasks)) for prediction in predictions)]
    singles = {} if spending is None else _singles(spending, names)
    result = SettingResult(
        name=setting.name,
        kind=setting.kind,
        dataset=setting.dataset,
        prompts=len(y),
        models=names,
        rows=_with_pareto(rows, spending),
        comparisons=comparisons(predictions, y),
        singles=singles,
        tasks={task: _accuracy(y[test.tasks == task]) for task in tasks},
        task_sizes=tasks,
        notes=[*notes, *spent.notes],
    )
    return result, spending


def _with_pareto(rows: Sequence[Row], spending: Spending | None) -> list[Row]:
    """Add the distance to the front of all routers and single models; the oracle and ceilings do not count for it."""
    if spending is None:
        return list(rows)
    singles = spending.singles()
    fair = [
        row.curve for row in rows if row.curve is not None and row.name != "oracle" and row.role is not Role.CEILING
    ]
    cost = np.concatenate([singles.cost, *(curve.cost for curve in fair)])
    quality = np.concatenate([singles.quality, *(curve.quality for curve in fair)])
    best = pareto_front(cost, quality)
    front = Curve(cost[best], quality[best])
    spans = float(np.ptp(singles.cost)), float(np.ptp(singles.quality))
    return [
        replace(row, metrics={**row.metrics, "pareto_distance": pareto_distance(row.curve, front, *spans)})
        if row.curve is not None and row.name != "oracle"
        else row
        for row in rows
    ]


def _singles(spending: Spending, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    singles = spending.singles()
    return {
        names[column]: (float(cost), float(quality))
        for column, cost, quality in zip(spending.columns, singles.cost, singles.quality, strict=True)
    }


def _largest(tasks: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(tasks.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:TASKS]
    return {str(names[n]): int(counts[n]) for n in order}


def _accuracy(y: Floats) -> list[float]:
    from modelsat.lab.evaluation.baselines import means

    return [float(value) for value in means(y)]


class _Counter:
    """Adds up what a router says it has done."""

    def __init__(self, report: Report, what: str, total: int) -> None:
        self._report, self._what, self._total, self._done = report, what, total, 0
        report(what, 0, total)

    def __call__(self, done: int) -> None:
        self._done += done
        self._report(self._what, self._done, self._total)


def _check(routers: Sequence[MeasuredRouter], table: OutcomeTable, seeds: int) -> None:
    names = [router.name for router in routers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"two routers are called {', '.join(twice)}: name them, as NAME=PATH")
    if seeds < 1:
        raise ConfigurationError(f"seeds={seeds} must be at least 1")
    if len(table.models) < 2:
        raise OutcomesError("the outcomes are of one model only: choosing needs at least two")


def _check_dependencies() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError.for_extra("measuring routers", "eval") from error


def _about(
    table: OutcomeTable, split: Split, plan: Plan, routers: Sequence[MeasuredRouter], seeds: int
) -> dict[str, Any]:
    from modelsat import __version__

    return {
        "modelsat": __version__,
        "routers": {router.name: router.version for router in routers},
        "items": len(table),
        "models": len(table.models),
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "unseen_models": list(plan.unseen_models),
        "unseen_datasets": list(plan.unseen_datasets),
        "seeds": seeds,
    }
