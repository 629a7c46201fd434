"""What benchmark equating is worth: hidden figures, rankings from other benchmarks, mixed pools, strong against small.

    python benchmarks/equating.py [--data DIR] [--structures]

Every prediction is made by references that were fitted without what they predict: hidden figures by five folds of
figures, unseen models and rankings by five folds of models. ``--structures`` compares numbers of abilities (slow).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import fit_references as fr
import outcomes as oc
import torch

from modelsat.capability import CapabilityProfile, Registry, tasks
from modelsat.capability.equating import equate, expected_accuracy, transitions

FOLDS = 5
STEPS = 80
Row = tuple[str, str, float, float]
CONTENT = json.loads(fr.CATALOGUE.read_text("utf-8"))
FAMILY = {task["name"]: task["family"] for task in CONTENT["tasks"]}
CHANCE = {task["name"]: task["chance"] for task in CONTENT["tasks"]}
SUBJECTS = {name for name, family in FAMILY.items() if family == "MMLU-Pro"}
STRUCTURES: dict[str, dict[str, str]] = {
    "one ability": {"knowledge": "general", "quantitative": "general", "reasoning": "general", "practice": "general"},
    "general, reasoning": {"knowledge": "general", "quantitative": "general", "practice": "general"},
    "general, reasoning, practice": {"knowledge": "general", "quantitative": "general"},
    "general, knowledge, reasoning, practice": {"quantitative": "knowledge"},
    "shipped": {},
}
"""Abilities read as another one."""
TARGETS = {"gsm8k": "GSM8K", "math_l5": "MATH level 5", "crux": "CRUXEval-O"}
HARD = ("GPQA", "AIME", "Humanity's Last Exam", "LiveCodeBench", "MMLU-Pro")
console = Console(width=140)


def fit(rows: list[Row], structure: str) -> fr.Fit:
    merged = STRUCTURES[structure]
    factors = {task: fr.reads(task, family) for task, family in FAMILY.items()}
    factors = {task: merged.get(factor, factor) for task, factor in factors.items()}
    return fr.fit(rows, CHANCE, factors, SUBJECTS, STEPS)


@contextmanager
def using(fitted: fr.Fit) -> Iterator[None]:
    """Let the package read ``fitted`` instead of the shipped statistics."""
    keys = ("factor", "difficulty", "discrimination", "scatter")
    plain = [{key: value for key, value in task.items() if key not in keys} for task in CONTENT["tasks"]]
    entries = [
        {**task, **dict(zip(keys, fitted.tasks[task["name"]], strict=True))} if task["name"] in fitted.tasks else task
        for task in plain
    ]
    caches = (tasks.catalogue, tasks._by_key, transitions)
    with mock.patch.object(tasks, "shipped_json", return_value={"factors": fitted.correlations, "tasks": entries}):
        for cache in caches:
            cache.cache_clear()
        yield
    for cache in caches:
        cache.cache_clear()


def profile(model: str, rows: Iterable[Row]) -> CapabilityProfile:
    """One statement a task: the figure with the most items."""
    best = {task: (task, accuracy, items) for _, task, accuracy, items in sorted(rows, key=lambda row: row[3])}
    return CapabilityProfile(model=model, statements=[oc.statement(t, a, int(n)) for t, a, n in best.values()])


def by_model(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[0]].append(row)
    return groups


def folds(values: Iterable[object]) -> dict[object, int]:
    ordered = sorted(set(values), key=str)
    return {ordered[p]: i % FOLDS for i, p in enumerate(np.random.default_rng(0).permutation(len(ordered)))}


def hidden(rows: list[Row], published: set[tuple[str, str]], structure: str) -> list[float]:
    """Errors on published figures hidden a fifth at a time, of models with two other figures or more."""
    counts = Counter(model for model, _ in published)
    fold = folds(published)
    true = {(model, task): accuracy for model, task, accuracy, _ in rows if (model, task) in published}
    errors: list[tuple[float, float, bool]] = []
    for number in track(range(FOLDS), f"hidden figures: {structure}", transient=True):
        shown = [row for row in rows if fold.get(row[:2]) != number]
        means = {task: np.mean([row[2] for row in shown if row[1] == task]) for task in {row[1] for row in shown}}
        groups = by_model(shown)
        with using(fit(shown, structure)):
            placed = {model: equate(profile(model, groups[model])) for model in groups}
            for model, task in (cell for cell, value in fold.items() if value == number):
                if counts[model] < 3 or model not in placed:
                    continue
                accuracy = true[model, task]
                mean, low, high = expected_accuracy(placed[model], task)
                errors.append((abs(mean - accuracy), abs(means[task] - accuracy), low <= accuracy <= high))
    return [len(errors), *np.mean(errors, axis=0)]


def unseen(rows: list[Row], published: set[tuple[str, str]], structure: str) -> tuple[list[float], dict[str, list]]:
    """Errors on each figure of models left out of the fit, from their others; predictions of the targets."""
    fold = folds({row[0] for row in rows})
    errors: list[tuple[float, float]] = []
    ranked: dict[str, list] = {target: [] for target in TARGETS.values()}
    for number in track(range(FOLDS), f"unseen models: {structure}", transient=True):
        shown = [row for row in rows if fold[row[0]] != number]
        means = {task: np.mean([row[2] for row in shown if row[1] == task]) for task in {row[1] for row in shown}}
        with using(fit(shown, structure)):
            for model, own in by_model(row for row in rows if fold[row[0]] == number).items():
                told = [row for row in own if row[:2] in published]
                if len({row[1] for row in told}) >= 3:
                    made = profile(model, told)
                    expected = equate(made).expected
                    for statement, value in zip(made.statements, expected, strict=True):
                        usual = abs(means[statement.task] - statement.accuracy)
                        errors.append((abs(value - statement.accuracy), usual))
                for target, pairs in ranked.items():
                    others = [row for row in told if row[1] != target]
                    if others:
                        guess = expected_accuracy(equate(profile(model, others)), target)[0]
                        pairs.append((model, guess, np.mean([row[2] for row in others])))
    return [len(errors), *np.mean(errors, axis=0)], ranked


def show(title: str, header: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> None:
    table = Table(title=title, title_justify="left")
    for position, name in enumerate(header):
        table.add_column(name, justify="right" if position else "left")
    for line in lines:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in line))
    console.print(table)


def logged(table: oc.Outcomes, rows: np.ndarray) -> dict[str, float]:
    """Accuracy by model, under linked names."""
    enough = table.columns(rows, 0.9)
    means = np.nanmean(table.scores[np.ix_(rows, enough)], axis=0)
    return {fr.SAME_MODEL.get(table.models[c], table.models[c]): float(m) for c, m in zip(enough, means, strict=True)}


def mixed_pools(table: oc.Outcomes, data: Path) -> list[tuple[object, ...]]:
    """Spearman with accuracy on the test items of MMLU-Pro: core items, headline figures, half of each."""
    bank = oc.ProfileBank(table, data)
    test, train = table.rows("mmlu_pro", "test"), table.rows("mmlu_pro", "train")
    models = [m for m in table.models if bank.has_core(m)]
    columns = [table.models.index(m) for m in models]
    truth = np.nanmean(table.scores[np.ix_(test, columns)], axis=0)
    exam = np.nanmean(table.scores[np.ix_(train, columns)], axis=0)
    core = [CapabilityProfile(model=m, statements=bank.core(m)) for m in models]
    headline = []
    for model, accuracy in zip(models, exam, strict=True):
        rest = [row for row in bank.benchmarks(model) if row["task"] != "MMLU-Pro"]
        rows = [oc.statement("MMLU-Pro", accuracy, 1000), *rest]
        headline.append(CapabilityProfile(model=model, statements=rows))
    readings = {
        "level of the equated profile": lambda made: equate(made).level,
        "general ability": lambda made: equate(made).factors[0],
        "expected accuracy on MMLU-Pro": lambda made: expected_accuracy(equate(made), "MMLU-Pro")[0],
        "plain mean of the figures": lambda made: np.mean([s.accuracy for s in made.statements]),
    }
    lines: list[tuple[object, ...]] = []
    rng = np.random.default_rng(0)
    halves = [rng.permutation(len(models)) < len(models) // 2 for _ in range(200)]
    for name, read in readings.items():
        a, b = np.array([read(p) for p in core]), np.array([read(p) for p in headline])
        both = [spearmanr(np.where(half, a, b), truth).statistic for half in halves]
        lines.append((name, *(float(spearmanr(x, truth).statistic) for x in (a, b)), float(np.mean(both))))
    return lines


def two_currencies(rows: list[Row]) -> list[tuple[object, ...]]:
    """Spearman with CRUXEval-O of models described by two easy figures, two hard ones, half of the models by each."""
    kinds = {"easy": ("MMLU-Redux", "GSM8K"), "hard": ("ZebraLogic", "MATH level 5")}
    wanted = {task for pair in kinds.values() for task in pair} | {TARGETS["crux"]}
    groups = {model: own for model, own in by_model(rows).items() if wanted <= {row[1] for row in own}}
    best = {model: profile(model, own) for model, own in groups.items()}
    figures = {model: {s.task: (s.accuracy, s.items) for s in made.statements} for model, made in best.items()}
    truth = [figure["CRUXEval-O"][0] for figure in figures.values()]
    made = {
        kind: [profile(model, [(model, task, *figure[task]) for task in pair]) for model, figure in figures.items()]
        for kind, pair in kinds.items()
    }
    rng = np.random.default_rng(0)
    halves = [rng.permutation(len(truth)) < len(truth) // 2 for _ in range(200)]
    readings = {
        "expected accuracy on CRUXEval-O": lambda one: expected_accuracy(equate(one), "CRUXEval-O")[0],
        "plain mean of the figures": lambda one: np.mean([s.accuracy for s in one.statements]),
    }
    lines: list[tuple[object, ...]] = []
    for name, read in readings.items():
        a, b = (np.array([read(one) for one in made[kind]]) for kind in kinds)
        both = [spearmanr(np.where(half, a, b), truth).statistic for half in halves]
        lines.append((name, len(truth), *(float(spearmanr(x, truth).statistic) for x in (a, b)), float(np.mean(both))))
    return lines


def strong_against_small(data: Path) -> list[tuple[object, ...]]:
    published = oc.published(data)
    registry = Registry.shipped()
    lines: list[tuple[object, ...]] = []
    for source in ("LLMRouterBench table 9", "LLMRouterBench table 6"):
        for model in sorted(published.model[published.source == source].unique()):
            placed = equate(registry.find(model))
            lines.append((model, placed.level, *(expected_accuracy(placed, task)[0] for task in HARD)))
        lines.append(("",) * (2 + len(HARD)))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--structures", action="store_true", help="compare numbers of abilities")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    rows = fr.cells(arguments.data)
    table = oc.load(arguments.data)
    known = {row[:2] for row in rows}
    published = {
        cell
        for row in oc.published(arguments.data).itertuples()
        if (cell := (fr.SAME_MODEL.get(row.model, row.model), row.benchmark)) in known
    }
    structures = list(STRUCTURES) if arguments.structures else ["one ability", "shipped"]
    lines, rankings = [], {}
    for structure in structures:
        cells = hidden(rows, published, structure)
        models, rankings[structure] = unseen(rows, published, structure)
        lines.append((structure, *cells, *models))
    header = ("abilities", "hidden", "error", "of the mean", "in 90 %", "unseen models'", "error", "of the mean")
    show("Published figures predicted: mean absolute error", header, lines)

    ranks: list[tuple[object, ...]] = []
    for dataset, target in TARGETS.items():
        truth = logged(table, np.flatnonzero((table.items.dataset == dataset).to_numpy()))
        values = {name: {m: guess for m, guess, _ in pairs[target]} for name, pairs in rankings.items()}
        naive = {m: mean for m, _, mean in rankings["shipped"][target]}
        models = [m for m in truth if m in naive]
        line = [spearmanr([v[m] for m in models], [truth[m] for m in models]).statistic for v in values.values()]
        base = spearmanr([naive[m] for m in models], [truth[m] for m in models]).statistic
        error = np.mean([abs(values["shipped"][m] - truth[m]) for m in models])
        ranks.append((target, len(models), *map(float, line), float(base), float(error)))
    header = ("target", "models", *structures, "mean published score", "error of shipped")
    show("Ranked from other benchmarks alone, by models left out of the fit: Spearman", header, ranks)
    header = ("read off as", "core items", "headline figures", "half of each")
    show("Mixed pools: Spearman with MMLU-Pro test accuracy", header, mixed_pools(table, arguments.data))
    header = ("read off as", "models", "MMLU-Redux, GSM8K", "ZebraLogic, MATH level 5", "half of each")
    show("Mixed currencies: Spearman with CRUXEval-O", header, two_currencies(rows))
    show("Expected accuracy, strong models then 7-9B", ("model", "level", *HARD), strong_against_small(arguments.data))


if __name__ == "__main__":
    main()
