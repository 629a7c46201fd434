"""Place further benchmarks on the abilities of the reference fit, which stays as it is.

    python recipes/place_references.py [--data DIR] [--check]

    python recipes/place_references.py --figures-2026 [--data DIR] [--check]

The reference fit knows the benchmarks of few tables. Model cards give figures on many more, each beside some that are
known (``recipes/further_figures.csv``). Known figures place a model on the abilities; its others then give difficulty,
discrimination and scatter of their benchmarks, by marginal maximum likelihood under the priors of
``fit_references.py``, which comes before. No figure of a model that is kept unseen takes part. ``--check`` writes
nothing: every model is left out once, and its figures predicted by the rest.

``--figures-2026`` comes third: it places the benchmarks that are still unknown by the figures of 2026, each effort of
a model by itself, beside all that is known by then. Where fewer than four models have figures that may ship, withheld
ones give the statistics, three numbers a benchmark; the figures themselves stay out.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import figures_2026 as table
import fit_references as fr
import numpy as np
import outcomes as oc
from scipy.optimize import minimize

from modelsat.capability.equating import CLIP, FACTORS, GRID, Array, curve, equate
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.tasks import Task, catalogue, find_task

FIGURES = Path(__file__).with_name("further_figures.csv")
READS = {
    "knowledge": (
        "SimpleQA Verified", "Chinese SimpleQA", "Humanity's Last Exam with tools", "MMMU", "MMMU-Pro", "LegalBench",
        "AGIEval", "ARC-Challenge", "ARC-Easy", "INCLUDE", "MMLU-ProX", "MMMLU", "Natural Questions", "SuperGPQA",
        "TriviaQA",
    ),
    "reasoning": (
        "HMMT", "MATH", "TheoremQA", "OTIS Mock AIME", "FrontierMath", "FrontierMath tier 4", "ProofBench",
        "BeyondAIME", "AIME 2026", "ARC-AGI", "ARC-AGI-2",
    ),
}  # fmt: skip
"""The ability a benchmark reads, where it is not the general one (agents' coding too: ``--check`` is better so)."""
ITEMS = 1000
"""Items behind a figure: model cards do not say, and scatter outweighs their noise."""
FEWEST = 4
"""Models that a benchmark needs figures of."""
HARDEST = 6.5
"""Bound of the difficulty: beyond it hardly a model has a figure."""
FOLDS = 10
"""Parts of the models that ``--check`` leaves out in turn; each by itself where there are fewer."""


LATER = {task["name"] for task in json.loads(fr.CATALOGUE.read_text("utf-8"))["tasks"] if task.get("placed") == 2026}
"""Benchmarks that the figures of 2026 have placed."""


@dataclass(frozen=True)
class Placed:
    """Models with figures on one benchmark: accuracies, and densities of the ability it reads, shape (models, grid)."""

    models: list[str]
    accuracy: Array
    density: Array


def figures(data: Path) -> dict[str, dict[str, float]]:
    """Accuracy by benchmark by model: further figures, and the known ones of the same models."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    with FIGURES.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            model = fr.SAME_MODEL.get(row["model"], row["model"])
            found[model].setdefault(row["benchmark"], float(row["accuracy_percent"]) / 100.0)
    unseen = {*oc.UNSEEN_MODELS, *(fr.SAME_MODEL.get(model, model) for model in oc.UNSEEN_MODELS)}
    for row in oc.published(data).itertuples():
        model = fr.SAME_MODEL.get(row.model, row.model)
        if model in found:
            found[model].setdefault(row.benchmark, row.accuracy)
    return {model: given for model, given in found.items() if model not in unseen}


def figures_2026(data: Path) -> dict[str, dict[str, float]]:
    """Accuracy by benchmark by model and effort; withheld figures on benchmarks that have few others alone."""
    rows = list(table.read(data))
    shipping: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.ships:
            shipping[row.benchmark].add(row.model)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    anchors: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        task = find_task(row.benchmark)
        if task is not None:
            unit = found if row.ships or (not known_before(task) and len(shipping[row.benchmark]) < FEWEST) else anchors
            unit[f"{row.model}@{row.effort}"].setdefault(task.name, row.accuracy)
    for model, given in found.items():  # where a withheld figure is placed, withheld ones beside it say who it is
        if not any(known_before(catalogue()[name]) for name in given):
            given.update({name: value for name, value in anchors[model].items() if known_before(catalogue()[name])})
    return found


def known_before(task: Task) -> bool:
    """Whether a task had statistics before the figures of 2026."""
    return task.known and task.name not in LATER


def place(found: dict[str, dict[str, float]], *, further: bool = False) -> dict[str, Placed]:
    """Every benchmark to be placed, with the models that have figures on it and on known benchmarks.

    Args:
        found: Accuracy by benchmark by model.
        further: Take what was placed before as known, and place the rest alone.
    """
    tasks = catalogue()
    anchors = {name for name, task in tasks.items() if (known_before(task) if further else task.fitted)}
    rows: dict[str, list[tuple[str, float, Array]]] = defaultdict(list)
    for model, given in found.items():
        known = [oc.statement(name, value, ITEMS) for name, value in given.items() if name in anchors]
        if not known:
            continue
        equated = equate(CapabilityProfile(model=model, statements=known), report=False)
        for name in given:
            if name not in anchors:
                k = FACTORS.index(reads(name))
                density = np.exp(-0.5 * (GRID - equated.factors[k]) ** 2 / equated.covariance[k, k])
                rows[name].append((model, given[name], density / density.sum()))
    return {
        name: Placed([row[0] for row in each], np.array([row[1] for row in each]), np.stack([row[2] for row in each]))
        for name, each in rows.items()
        if len(each) >= FEWEST
    }


def reads(name: str) -> str:
    """Name of the ability that a benchmark reads."""
    return next((factor for factor, names in READS.items() if name in names), "general")


def fit(task: Task, placed: Placed) -> Task:
    """The task with difficulty, discrimination and scatter of highest posterior density."""

    def made(x: Array) -> Task:
        slope = math.exp(float(np.clip(x[1], *map(math.log, fr.SLOPES))))
        difficulty = float(np.clip(x[0], -HARDEST, HARDEST))
        return replace(task, difficulty=difficulty, discrimination=slope, scatter=math.exp(float(x[2])))

    def loss(x: Array) -> float:
        return _penalty(x) - _evidence(made(x), placed)

    average = float(np.clip((placed.accuracy.mean() - task.chance) / (1 - task.chance), 0.05, 0.95))
    start = np.array([-math.log(average / (1 - average)), 0.0, math.log(fr.USUAL_SCATTER)])
    return made(minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-4}).x)


def _penalty(x: Array) -> float:
    scale = np.array([fr.PRIOR["difficulty"], fr.PRIOR["log slope"], fr.PRIOR["log scatter"]])
    return 0.5 * float((((x - np.array([0.0, 0.0, math.log(fr.USUAL_SCATTER)])) / scale) ** 2).sum())


def _evidence(task: Task, placed: Placed) -> float:
    """Log marginal quasi-likelihood of the figures (as in ``fit_references.fit``)."""
    p, y = np.clip(curve(task), 1e-6, 1 - 1e-6), np.clip(placed.accuracy, 1e-3, 1 - 1e-3)[:, None]
    effective = 1.0 / (1.0 / ITEMS + task.scatter)
    divergence = y * np.log(y / p) + (1 - y) * np.log((1 - y) / (1 - p))
    squared = 2 * effective * np.maximum(divergence, 1e-12)
    clipped = np.where(squared < CLIP**2, squared / 2, CLIP * np.sqrt(squared) - CLIP**2 / 2)
    logs = 0.5 * np.log(effective / (y * (1 - y))) - clipped
    return float(np.log((placed.density * np.exp(logs)).sum(axis=1) + 1e-300).sum())


def check(placed: dict[str, Placed]) -> None:
    """Print how well figures of models left out are predicted: placed, by the mean, by the defaults."""
    total: list[Array] = []
    for name, every in placed.items():
        errors = []
        names = np.array([model.partition("@")[0] for model in every.models])
        parts = np.array_split(np.unique(names), FOLDS) if len(np.unique(names)) > FOLDS else np.unique(names)[:, None]
        for part in parts:
            left = np.isin(names, part)
            if left.all():
                continue
            others = Placed([], every.accuracy[~left], every.density[~left])
            tasks = (fit(_task(name), others), _task(name))
            fitted, default = (every.density[left] @ curve(task) for task in tasks)
            mean = np.full(left.sum(), others.accuracy.mean())
            errors += list(np.abs(np.stack([fitted, mean, default], axis=1) - every.accuracy[left, None]))
        if not errors:
            continue
        total += errors
        _say(name, errors)
    _say("all", total)


def _say(name: str, errors: list[Array]) -> None:
    fitted, mean, default = np.mean(errors, axis=0)
    print(f"{name:24s} {len(errors):3d} figures   error {fitted:.3f}   of the mean {mean:.3f}   unknown {default:.3f}")


def _task(name: str) -> Task:
    known = catalogue()[name]
    return Task(name, known.keywords, known.chance, reads(name), known.family)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--figures-2026", action="store_true", help="place what is still unknown by figures of 2026")
    parser.add_argument("--check", action="store_true", help="predict left-out models and write nothing")
    arguments = parser.parse_args()
    further = arguments.figures_2026
    placed = place(figures_2026(arguments.data) if further else figures(arguments.data), further=further)
    if arguments.check:
        return check(placed)
    content = json.loads(fr.CATALOGUE.read_text("utf-8"))
    for entry in content["tasks"]:
        if entry["name"] in placed:
            task = fit(_task(entry["name"]), placed[entry["name"]])
            entry |= {
                "factor": task.factor,
                "difficulty": round(task.difficulty, 3),
                "discrimination": round(task.discrimination, 3),
                "scatter": round(task.scatter, 5),
                "placed": 2026 if further else True,
            }
            models = len(placed[task.name].models)
            print(
                f"{task.factor:10s} d {task.difficulty:6.2f} a {task.discrimination:5.2f} "
                f"scatter {math.sqrt(task.scatter) / 2:.3f}  {task.name} ({models} models)"
            )
    fr.CATALOGUE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
