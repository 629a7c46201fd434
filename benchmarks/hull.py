"""Policies against the hull of single models and their random mixes: is choosing by the request worth anything?

    python benchmarks/hull.py [modelsat-nano] [--size 5] [--draws 20]

Pools of ``--size`` models are drawn of every data set with enough priced models: MMLU-Pro, and the traffic
(``recipes/selection.py``: held-out prompts, profiles of the registry, list prices of 500 tokens in and out). The hull
is the best that anyone gets at a mean cost by calling one model, or two at random, *knowing the outcomes of just these
prompts*; "ahead" is the same with models chosen by the other half of the held-out prompts. Prints the mean distance of
each setting from both, in points of quality at the same cost, with its standard error over data sets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import outcomes as oc
import selection

Floats = NDArray[np.float64]
FEWEST = 10
SETTINGS = {
    "near_best": (0.02, 0.05, 0.1),
    "knob": (3.0, 5.0, 7.0, 9.0),
    "cheapest": (0.6, 0.75, 0.85),
    "tradeoff": (10.0, 100.0, 1000.0),
}


def chosen(policy: str, setting: float, p: Floats, usd: Floats) -> NDArray[np.intp]:
    """Position of the model that a policy takes for each prompt; ``p`` is -1 where there is no outcome."""
    best = p.max(axis=1, keepdims=True)
    if policy == "tradeoff":
        return np.asarray(np.where(p >= 0, p * setting * np.median(usd) - usd, -np.inf).argmax(axis=1))
    margin = {"near_best": setting, "knob": (1.0 - setting / 10.0) ** 3}.get(policy)
    good = p >= (np.minimum(setting, best) if margin is None else best - margin)
    return np.asarray(np.where(good & (p >= 0), usd, np.inf).argmin(axis=1))


def hull(cost: Floats, quality: Floats) -> Callable[[float], float]:
    """Highest quality at a mean cost of one model or a random mix of two."""
    order = np.lexsort((-quality, cost))
    points: list[tuple[float, float]] = []
    for x, y in zip(cost[order], quality[order], strict=True):
        if points and y <= points[-1][1]:
            continue
        while len(points) > 1 and (y - points[-2][1]) * (points[-1][0] - points[-2][0]) >= (
            points[-1][1] - points[-2][1]
        ) * (x - points[-2][0]):
            points.pop()
        points.append((x, y))
    xs, ys = np.array(points).T
    return lambda x: float(np.interp(x, xs, ys))


def distances(log: selection.Log, size: int, draws: int, test: bool) -> dict[tuple[str, float], tuple[float, float]]:
    """Mean distance to the hull in hindsight, and to the one chosen ahead, of every setting."""
    rows, usd = log.test == test, selection.prices(log)
    rng, found = np.random.default_rng(size), dict[tuple[str, float], list[tuple[float, float]]]()
    for _ in range(draws):
        columns = rng.choice(len(log.models), size, replace=False)
        complete = ~np.isnan(log.y[:, columns]).any(axis=1)
        here, there = complete & rows, complete & ~rows
        if min(here.sum(), there.sum()) < FEWEST:
            continue
        y, p, cost = log.y[here][:, columns], log.p[here][:, columns], usd[columns]
        hindsight = hull(cost, y.mean(axis=0))
        # who lies on the hull of the other half, and what these models do here
        other = log.y[there][:, columns].mean(axis=0)
        level = hull(cost, other)
        kept = [column for column in range(size) if other[column] >= level(cost[column]) - 1e-9]
        xs = np.argsort(cost[kept])
        ahead = (cost[kept][xs], y.mean(axis=0)[kept][xs])
        for policy, settings in SETTINGS.items():
            for setting in settings:
                at = chosen(policy, setting, p, cost)
                quality, spent = float(y[np.arange(len(at)), at].mean()), float(cost[at].mean())
                pair = quality - hindsight(spent), quality - float(np.interp(spent, *ahead))
                found.setdefault((policy, setting), []).append(pair)
    return {key: tuple(np.mean(pairs, axis=0)) for key, pairs in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="?", default="modelsat-nano")
    parser.add_argument("--size", type=int, default=5)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    arguments = parser.parse_args()
    version, logs = selection.gather(arguments.weights, arguments.data)
    console = Console(width=150)
    for part in ("exams", "traffic", "never trained"):
        table = Table(title=f"{version}, {part}: points above the hull at the same cost", title_justify="left")
        for name in ("policy", "validation, in hindsight", "ahead", "test, in hindsight", "ahead"):
            table.add_column(name, justify="left" if name == "policy" else "right")
        own = [log for log in logs if log.part == part and len(log.models) >= arguments.size]
        halves = [[distances(log, arguments.size, arguments.draws, test) for log in own] for test in (False, True)]
        for policy, settings in SETTINGS.items():
            for setting in settings:
                cells = []
                for half in halves:
                    values = 100.0 * np.array([found[policy, setting] for found in half if found])
                    error = values.std(axis=0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.zeros(2)
                    cells += [f"{m:+.1f} ± {e:.1f}" for m, e in zip(values.mean(axis=0), error, strict=True)]
                table.add_row(f"{policy}({setting:g})", *cells)
        console.print(table)


if __name__ == "__main__":
    main()
