"""How good the core items are, beside items half of today's models pass, random items, and fewer items.

    python benchmarks/core_tasks.py [--data DIR] [--draws 5]

Items are chosen on some models and measured on others. Four parts:

1. the shipped manifest: core accuracy of models left out of training beside their accuracy on all items;
2. choices of 20, 10 and 5 items: reliability of profiles, prediction of items elsewhere, error of levels. Each draw
   halves every subject: items are chosen in one half, the other half is what profiles must predict;
3. tomorrow's models: the same with items chosen on the ten weakest training models, measured on all that are stronger;
4. the whole bank: items chosen among all of a subject on ten training models drawn anew, measured on the other six and
   on the models left out, on the items not chosen.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import outcomes as oc
import select_core_tasks as recipe
from item_response import ItemFit, fit_items

from modelsat.capability import CapabilityProfile
from modelsat.capability.core import core_tasks
from modelsat.capability.equating import equate
from modelsat.lab.outcomes import read_outcomes

SMALLEST = 23
"""Items that each half of a subject must have."""
HALVES = 10
WEAK = 10
STRONG = ("Meta-Llama-3.1-70B", "gemini-1.5-flash-002")
"""The strongest models left out of training that took all items."""

Choose = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass
class Bench:
    """Training items: outcomes of all models that took them, and the fit on some."""

    scores: np.ndarray
    tasks: np.ndarray
    models: list[str]
    fit: ItemFit
    fitted: np.ndarray
    curves: np.ndarray = field(init=False)
    told: np.ndarray = field(init=False)
    seen: np.ndarray = field(init=False)
    mean: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.curves = self.fit.curves(recipe.ABILITIES)
        self.told = self.fit.informations(recipe.ABILITIES)
        self.mean = np.nanmean(self.scores[:, self.fitted], axis=1)
        self.seen = recipe.observed(self.scores[:, self.fitted], self.fit.ability, self.fit.curves(self.fit.ability))

    def ours(self, size: int) -> Choose:
        """Information over the whole range, reading as the subject."""
        return lambda rows, rng: rows[recipe.choose_items(self.curves[rows], self.told[rows], self.seen[rows], size)]

    def telling(self, size: int) -> Choose:
        """The same criterion without the demand that the items read as the subject."""
        return lambda rows, rng: rows[np.argsort(-np.log(self.told[rows] + 1e-3).mean(axis=1))[:size]]

    def half(self, size: int) -> Choose:
        """Items that about half of the fitted models pass."""
        return lambda rows, rng: rows[np.argsort(np.abs(self.mean[rows] - 0.5) + 1e-6 * rng.random(len(rows)))[:size]]


def random(size: int) -> Choose:
    """Items drawn blindly."""
    return lambda rows, rng: rng.choice(rows, size, replace=False)


def load(data: Path) -> tuple[recipe.Bank, np.ndarray, list[str]]:
    """The item bank, outcomes of all models on it, shape (items, models), and their names."""
    bank = recipe.read_bank(data)
    full = read_outcomes(data / "items.parquet", data / "outcomes.parquet")
    row = {identifier: position for position, identifier in enumerate(full.item_ids)}
    scores = full.scores[[row[identifier] for identifier in bank.table.item_ids]]
    taken = np.flatnonzero((~np.isnan(scores)).mean(axis=0) >= 0.5)
    return bank, scores[:, taken].astype(float), [full.models[column] for column in taken]


def means(scores: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """Mean outcome on each group of items, shape (models, groups); NaN where a model took none of it."""
    known = ~np.isnan(scores)
    filled = np.where(known, scores, 0.0)
    total = np.stack([filled[rows].sum(axis=0) for rows in groups], axis=1)
    count = np.stack([known[rows].sum(axis=0) for rows in groups], axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def spearman_brown(first: np.ndarray, second: np.ndarray) -> float:
    """Reliability of a whole test from the correlation of its halves."""
    good = ~np.isnan(first + second)
    r = float(np.corrcoef(first[good], second[good])[0, 1])
    return 2 * r / (1 + r)


def centred(table: np.ndarray) -> np.ndarray:
    """A models x tasks table without the means of its rows and columns."""
    return table - np.nanmean(table, axis=1, keepdims=True) - np.nanmean(table, axis=0) + np.nanmean(table)


def reliability(scores: np.ndarray, chosen: list[np.ndarray], rng: np.random.Generator) -> tuple[float, float, float]:
    """Split-half reliability: of a task's accuracy over models, of levels, of what a task adds to level and mean."""
    rows = []
    for _ in range(HALVES):
        mixed = [rng.permutation(items) for items in chosen]
        first, second = (means(scores, [items[part::2] for items in mixed]) for part in (0, 1))
        task = spearman_brown(*((half - np.nanmean(half, axis=0)).ravel() for half in (first, second)))
        level = spearman_brown(np.nanmean(first, axis=1), np.nanmean(second, axis=1))
        rows.append((task, level, spearman_brown(centred(first).ravel(), centred(second).ravel())))
    task, level, shape = np.mean(rows, axis=0)
    return float(task), float(level), float(shape)


def area(p: np.ndarray, y: np.ndarray) -> float:
    """Area under the ROC curve."""
    ranks, good = rankdata(p), y.sum()
    return float((ranks[y > 0].sum() - good * (good + 1) / 2) / (good * (len(y) - good)))


def predictions(model: str, accuracy: np.ndarray, counts: np.ndarray, names: list[str]) -> np.ndarray:
    """Accuracy of each task as the profile has it after shrinkage; NaN where it has no figure."""
    there = np.flatnonzero(counts > 0)
    statements = [{"task": names[i], "accuracy": accuracy[i], "items": int(counts[i])} for i in there]
    result = np.full(len(names), np.nan)
    result[there] = equate(CapabilityProfile(model=model, statements=statements)).shrunk
    return result


def measure(
    bench: Bench, columns: np.ndarray, choose: Choose, halves: list[tuple[np.ndarray, np.ndarray]], seed: int
) -> dict[str, float]:
    """Every metric of one choice of items in the first of ``halves`` on the models ``columns``.

    Profiles must predict the second halves, less what was chosen.
    """
    rng = np.random.default_rng(seed)
    names = [str(bench.tasks[first[0]]) for first, _ in halves]
    chosen = [choose(first, rng) for first, _ in halves]
    targets = [np.setdiff1d(second, items) for (_, second), items in zip(halves, chosen, strict=True)]
    scores = bench.scores[:, columns]
    core, target = means(scores, chosen), means(scores, targets)
    counts = np.stack([(~np.isnan(scores[rows])).sum(axis=0) for rows in chosen], axis=1)
    predicted = np.stack(
        [predictions(bench.models[c], a, n, names) for c, a, n in zip(columns, core, counts, strict=True)]
    )
    noise = target * (1 - target) / np.array([len(rows) for rows in targets])
    missed = np.nanmean((predicted - target) ** 2 - noise)
    good = ~np.isnan(predicted + target)
    areas = []
    for place in range(len(columns)):
        p = np.concatenate([np.full(len(rows), predicted[place, i]) for i, rows in enumerate(targets)])
        y = np.concatenate([scores[rows, place] for rows in targets])
        keep = ~np.isnan(p + y)
        areas.append(area(p[keep], y[keep]))
    both = ~np.isnan(core + target)
    error = np.array([np.mean((core - target)[place, both[place]]) for place in range(len(columns))])
    strong = [place for place, column in enumerate(columns) if bench.models[column] in STRONG]
    task, level, shape = reliability(scores, chosen, rng)
    return {
        "reliability: task": task,
        "level": level,
        "shape": shape,
        "RMSE": float(np.sqrt(max(missed, 0.0))),
        "r": float(np.corrcoef(predicted[good], target[good])[0, 1]),
        "r shape": float(np.corrcoef(centred(predicted)[good], centred(target)[good])[0, 1]),
        "AUC": float(np.mean(areas)),
        "level bias": float(error.mean()),
        "spread": float(error.std()),
        "strongest": float(error[strong].mean()),
    }


def halve(bench: Bench, names: list[str], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two random halves of the items of every task that has enough."""
    rng = np.random.default_rng(seed)
    pairs = []
    for name in names:
        rows = rng.permutation(np.flatnonzero(bench.tasks == name))
        if len(rows) >= 2 * SMALLEST:
            pairs.append((np.sort(rows[::2]), np.sort(rows[1::2])))
    return pairs


def compare(title: str, results: dict[str, list[dict[str, float]]]) -> None:
    """Print a row of metrics for every choice: mean over draws, and the standard deviation where it is asked for."""
    table = Table("items", *next(iter(results.values()))[0], title=title, title_justify="left")
    for label, found in results.items():
        cells = []
        for key in found[0]:
            value = np.array([row[key] for row in found])
            if key in ("level bias", "strongest"):
                cells.append(f"{100 * value.mean():+.1f} ± {100 * value.std():.1f}")
            else:
                cells.append(f"{100 * value.mean():.1f}" if key in ("RMSE", "spread") else f"{value.mean():.3f}")
        table.add_row(label, *cells)
    Console(width=160).print(table)


def on_halves(
    bench: Bench, columns: np.ndarray, choices: dict[str, Choose], draws: int
) -> dict[str, list[dict[str, float]]]:
    """Metrics of every choice in every draw of halves."""
    names = [task.name for task in core_tasks()]
    return {
        label: [measure(bench, columns, choose, halve(bench, names, draw), draw) for draw in range(draws)]
        for label, choose in choices.items()
    }


def on_whole_bank(bench: Bench, draws: int) -> dict[str, list[dict[str, float]]]:
    """Metrics of choices among all items, on ten of the fitted models drawn anew; the other models are measured."""
    results: dict[str, list[dict[str, float]]] = {}
    whole = [np.sort(np.concatenate(pair)) for pair in halve(bench, [task.name for task in core_tasks()], 0)]
    for draw in range(draws):
        drawn = np.random.default_rng(draw).permutation(len(bench.fitted))[:WEAK]
        part = refit(bench, drawn)
        columns = np.setdiff1d(np.arange(len(bench.models)), part.fitted)
        for label, choose in four(part).items():
            results.setdefault(label, []).append(measure(part, columns, choose, [(r, r) for r in whole], draw))
    return results


def refit(bench: Bench, positions: np.ndarray) -> Bench:
    """The same items fitted on some of the fitted models, in the same units."""
    ability, models = bench.fit.ability[positions], bench.fitted[positions]
    fit = fit_items(bench.scores[:, models], bench.tasks, bench.fit.chance)
    fit = fit.rescaled(float(ability.mean()), float(ability.std()))
    return Bench(bench.scores, bench.tasks, bench.models, fit, models)


def four(bench: Bench) -> dict[str, Choose]:
    """Choices of 20 items."""
    return {
        "ours 20": bench.ours(20),
        "random 20": random(20),
        "p ≈ .5 20": bench.half(20),
        "information alone 20": bench.telling(20),
    }


def shipped(bank: recipe.Bank, bench: Bench) -> None:
    """Print core against full accuracy of every unseen model, by the shipped items and others; and what saturates."""
    names = [task.name for task in core_tasks()]
    full = [np.flatnonzero(bench.tasks == name) for name in names]
    position = {str(identifier): row for row, identifier in enumerate(bank.table.item_ids)}
    core = [np.array([position[f"mmlu_pro/{item.id}"] for item in task.items]) for task in core_tasks()]
    rng = np.random.default_rng(0)
    half = [bench.half(20)(rows, rng) for rows in full]
    drawn = [[random(20)(rows, rng) for rows in full] for _ in range(HALVES)]
    unseen = [column for column, model in enumerate(bench.models) if model in oc.UNSEEN_MODELS]
    table = Table(
        "unseen model", "all items", "shipped", "expected (2PL)", "p ≈ .5", "random: spread", title="1. shipped items"
    )
    for column in sorted(unseen, key=lambda c: np.nanmean(bench.scores[:, c])):
        mine = bench.scores[:, [column]]
        whole, ours, other = (float(np.nanmean(means(mine, groups))) for groups in (full, core, half))
        spread = np.std([np.nanmean(means(mine, groups)) for groups in drawn])
        grid = np.linspace(-3, 3, 601)
        expected = np.mean([bench.fit.curves(grid)[rows].mean(axis=0) for rows in full], axis=0)
        at = int(np.abs(expected - whole).argmin())
        through = np.mean([bench.fit.curves(grid[[at]])[rows].mean() for rows in core])
        table.add_row(
            bench.models[column], f"{whole:.3f}", f"{ours:.3f}", f"{through:.3f}", f"{other:.3f}", f"{spread:.3f}"
        )
    Console(width=160).print(table)
    task, level, shape = reliability(bench.scores[:, unseen], core, rng)
    print(f"split-half reliability of the shipped items: task {task:.3f}, level {level:.3f}, shape {shape:.3f}")
    grid = np.linspace(-3, 5, 801)
    curves = bench.fit.curves(grid)
    whole, ours, other = (
        np.mean([curves[rows].mean(axis=0) for rows in groups], axis=0) for groups in (full, core, half)
    )
    print("expected (2PL) accuracy:   all items   shipped   p ≈ .5")
    for level in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        at = int(np.abs(whole - level).argmin())
        print(f"{'':26} {whole[at]:9.3f} {ours[at]:9.3f} {other[at]:8.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--draws", type=int, default=5)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    bank, scores, models = load(arguments.data)
    tasks = bank.table.tasks.astype(str)
    training = np.array([models.index(model) for model in bank.table.models])
    unseen = np.array([column for column, model in enumerate(models) if model in oc.UNSEEN_MODELS])
    bench = Bench(scores, tasks, models, bank.fit, training)
    shipped(bank, bench)
    kinds = (("ours", bench.ours), ("random", random))
    choices = four(bench) | {f"{label} {size}": make(size) for size in (10, 5) for label, make in kinds}
    title = f"2. chosen on {len(training)} training models, measured on {len(unseen)} unseen"
    compare(title, on_halves(bench, unseen, choices, arguments.draws))
    weak = refit(bench, np.argsort(bank.fit.ability)[:WEAK])
    best = np.nanmean(scores[:, weak.fitted], axis=0).max()
    stronger = np.array([column for column in range(len(models)) if np.nanmean(scores[:, column]) > best])
    title = f"3. chosen on the {WEAK} weakest training models (best {best:.3f}), measured on {len(stronger)} stronger"
    compare(title, on_halves(weak, stronger, four(weak), arguments.draws))
    title = f"4. chosen among all items on {WEAK} training models, measured on the {len(models) - WEAK} others"
    compare(title, on_whole_bank(bench, arguments.draws))


if __name__ == "__main__":
    main()
