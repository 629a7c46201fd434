"""The evaluation as a whole: settings, baselines, routers, metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modelsat.errors import ConfigurationError, MissingDependencyError, OutcomesError
from modelsat.lab.evaluation.costs import Spending, costs
from modelsat.lab.evaluation.inputs import Money, Report, load_embeddings
from modelsat.lab.evaluation.measure import (
    Test,
    comparisons,
    measure,
    random_row,
    strong_weak_pairs,
    with_pareto_distance,
)
from modelsat.lab.evaluation.metrics import Floats, means
from modelsat.lab.evaluation.plan import Kind, Plan, Setting, settings
from modelsat.lab.evaluation.policies import policy_rows
from modelsat.lab.evaluation.predictions import Material, Prediction, baseline_predictions
from modelsat.lab.evaluation.results import Evaluation, Role, SettingResult
from modelsat.lab.evaluation.routers import MeasuredRouter, trainings
from modelsat.lab.outcomes import OutcomeTable, Split, split_by_question

SEEDS = 5
TASKS = 15
"""Largest tasks of a data set whose accuracies and choices are reported one by one."""


def evaluate(
    table: OutcomeTable,
    routers: Sequence[MeasuredRouter] = (),
    plan: Plan | None = None,
    *,
    split: Split | None = None,
    embeddings: Floats | str | os.PathLike[str] | None = None,
    seeds: int = SEEDS,
    money: Money | None = None,
    policies: Sequence[str] = (),
    report: Report = lambda what, done, total: None,
) -> Evaluation:
    """Measure routers beside the baselines, on the same prompts.

    Args:
        table: Items and outcomes.
        routers: What is measured; none measures the baselines alone.
        plan: Unseen models and data sets, data sets to measure; all data sets, all models seen if not given.
        split: Its own split by question text if not given.
        embeddings: Normalised sentence embeddings of all items, shape (items, width), or a file of these or the folder
            of a sentence encoder (:func:`~modelsat.lab.evaluation.inputs.load_embeddings`), read once everything has
            been checked; without them the baselines that read embeddings are left out.
        seeds: Number of fits of the baselines that depend on a seed.
        money: Prices, tokens, strong/weak pairs.
        policies: Under which routers and baselines are measured as well, as policy files or text; with any, those with
            a knob are swept too.
        report: Told about the progress.

    Raises:
        OutcomesError: The split shares questions or is empty somewhere, a data set cannot be measured, a model lacks a
            profile, a file of scores is incomplete. All of this is checked before any work is done.
        ConfigurationError: Two routers have one name, or the embeddings do not fit the items.
        MissingDependencyError: scikit-learn is not installed.
    """
    _check(routers, table, seeds)
    plan, money = plan or Plan(), money or Money()
    split = split or split_by_question(table)
    split.check(table)
    planned, notes = settings(table, split, plan)
    parts = [table.take(setting.test, setting.columns) for setting in planned]
    for router in routers:
        for part in parts:
            for training in trainings(router):
                training.check(part)
    if isinstance(embeddings, str | os.PathLike):
        used = np.unique(np.concatenate([rows for s in planned for rows in (s.train, s.validation, s.test, s.core)]))
        embeddings = load_embeddings(embeddings, table.prompts.tolist(), used, report)
    if embeddings is not None and len(embeddings) != len(table):
        raise ConfigurationError(f"there are {len(embeddings)} embeddings for {len(table)} items: give one for each")
    material = Material(table, embeddings, seeds)
    results = []
    for setting, part in zip(planned, parts, strict=True):
        measured, left_out = _ask(routers, part, setting, report)
        predictions, notes_on = baseline_predictions(material, setting, report)
        report(f"{setting.name}: metrics", 0, 1)
        results.append(_result(table, setting, [*predictions, *measured], money, policies, [*notes_on, *left_out]))
    return Evaluation(results, _about(table, split, plan, routers, seeds), notes)


def _ask(
    routers: Sequence[MeasuredRouter], part: OutcomeTable, setting: Setting, report: Report
) -> tuple[list[Prediction], list[str]]:
    """Return what each router predicts for a setting, and notes on those that know nothing of it."""
    found, notes = [], []
    for router in routers:
        members = trainings(router)
        advance = _counter(report, f"{setting.name}: {router.name}", len(part) * len(members))
        runs = [p for member in members if (p := member.predict(part, advance)) is not None]
        if not runs:
            notes.append(f"{router.name} has no scores for this data set")
        else:
            found.append(Prediction(router.name, Role.ROUTER, runs, members[0].uncalibrated(runs[0])))
    return found, notes


def _counter(report: Report, what: str, total: int) -> Callable[[int], None]:
    """Report the sum of what it is called with."""
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        report(what, done, total)

    advance(0)
    return advance


def _result(
    table: OutcomeTable,
    setting: Setting,
    predictions: Sequence[Prediction],
    money: Money,
    policies: Sequence[str],
    notes: Sequence[str],
) -> SettingResult:
    names = [table.models[column] for column in setting.columns]
    y = table.scores[np.ix_(setting.test, setting.columns)]
    learned = setting.test if setting.kind is Kind.UNSEEN_DATASET else setting.train
    level = np.nanmean(table.scores[np.ix_(learned, setting.columns)], axis=0)
    spent = costs(table, setting.test, setting.columns, setting.train, money.prices, money.completion_tokens)
    spending = Spending.of(y, spent, level)
    pairs = [(names.index(a), names.index(b)) for a, b in money.pairs if a in names and b in names]
    test = Test(y, table.tasks[setting.test], level, pairs or strong_weak_pairs(level), spending)
    tasks = _largest(test.tasks)
    result = SettingResult(
        name=setting.name,
        kind=setting.kind,
        dataset=setting.dataset,
        prompts=len(y),
        models=names,
        rows=[random_row(test), *(measure(prediction, test, list(tasks)) for prediction in predictions)],
        comparisons=comparisons(predictions, y),
        tasks={task: means(y[test.tasks == task]).tolist() for task in tasks},
        task_sizes=tasks,
        notes=[*notes, *spent.notes],
    )
    if spending is None:
        return result
    alone = spending.singles()
    priced = [names[column] for column in spending.columns]
    return replace(
        result,
        rows=with_pareto_distance(result.rows, spending),
        singles=dict(zip(priced, zip(alone.cost.tolist(), alone.quality.tolist(), strict=True), strict=True)),
        policies=policy_rows(predictions, spending, names, policies) if policies else (),
    )


def _largest(tasks: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(tasks.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:TASKS]
    return {str(names[n]): int(counts[n]) for n in order}


def _check(routers: Sequence[MeasuredRouter], table: OutcomeTable, seeds: int) -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError.for_extra("measuring routers", "eval") from error
    names = [router.name for router in routers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"two routers are called {', '.join(twice)}: name them, as NAME=PATH")
    if seeds < 1:
        raise ConfigurationError(f"seeds={seeds} must be at least 1")
    if len(table.models) < 2:
        raise OutcomesError("the outcomes are of one model only: choosing needs at least two")


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
