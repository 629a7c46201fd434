"""Fit what a reasoning effort is worth: steps on the logit scale, and how much each benchmark follows them.

    python recipes/fit_efforts.py [--data DIR] [--check]

Reads pairs of figures of one model on one benchmark from one kind of source, measured at two efforts
(``figures_2026.csv``). With v the worth of an effort (0 at high) and s the benchmark's slope,

    logit(p at b) - logit(p at a) = s (v_b - v_a) + noise,    sd of the noise = base + share * s |v_b - v_a|,

by alternating least squares, slopes drawn towards their median. Writes ``capability/data/efforts.json``.
``--check`` leaves every model out once and prints how well its figures at other efforts are predicted.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from modelsat.capability.efforts import EFFORTS, LEAST, READ_AS
from modelsat.capability.tasks import find_task

OUTPUT = Path("src/modelsat/capability/data/efforts.json")
MOST_TELLING = 30
"""Pairs from which ``--check`` prints a line."""
RIDGE = 3.0
"""Weight of the median slope, in squared logits."""


@dataclass(frozen=True)
class Fit:
    """Worth of each effort (logits), slope by benchmark, the slope of others, and the noise."""

    worth: dict[str, float]
    slopes: dict[str, float]
    usual: float
    noise: tuple[float, float] = (0.0, 0.0)

    def step(self, row: pd.Series) -> float:
        """Expected difference of the logits of a pair."""
        return self.slopes.get(row.benchmark, self.usual) * (self.worth[row.b] - self.worth[row.a])


def pairs(data: Path) -> pd.DataFrame:
    """Pairs of figures: ``model``, ``benchmark``, efforts ``a`` and ``b``, accuracies ``p`` and ``q`` (0..1)."""
    table = pd.read_csv(data / "figures_2026.csv", keep_default_na=False)
    rows = []
    for (model, benchmark, _), group in table[table.effort != ""].groupby(["model", "benchmark", "provenance"]):
        mean = group.groupby("effort").accuracy_percent.mean() / 100.0
        task = find_task(benchmark)
        for a, b in combinations([effort for effort in EFFORTS if effort in mean.index], 2):
            rows.append((model, task.name if task else benchmark, a, b, mean[a], mean[b]))
    found = pd.DataFrame(rows, columns=["model", "benchmark", "a", "b", "p", "q"])
    found["step"] = logit(found.q) - logit(found.p)
    return found


def fit(rows: pd.DataFrame, rounds: int = 20) -> Fit:
    """Alternate between the worth of efforts and the slopes of benchmarks."""
    index = {effort: number for number, effort in enumerate(EFFORTS)}
    a, b = rows.a.map(index).to_numpy(), rows.b.map(index).to_numpy()
    names = sorted(rows.benchmark.unique())
    code = rows.benchmark.map({name: number for number, name in enumerate(names)}).to_numpy()
    step, slopes = rows.step.to_numpy(), np.ones(len(names))
    anchor = np.eye(len(EFFORTS))[index[READ_AS]] * 1e3
    for _ in range(rounds):
        design = np.zeros((len(rows), len(EFFORTS)))
        design[np.arange(len(rows)), b] += slopes[code]
        design[np.arange(len(rows)), a] -= slopes[code]
        worth = np.linalg.lstsq(np.vstack([design, anchor]), np.append(step, 0.0), rcond=None)[0]
        worth = np.maximum.accumulate(worth)  # more effort is worth no less
        along = worth[b] - worth[a]
        usual = float(np.median(slopes))
        for number in range(len(names)):
            own = code == number
            slopes[number] = (along[own] @ step[own] + RIDGE * usual) / (along[own] @ along[own] + RIDGE)
        worth, slopes = worth * np.median(slopes), slopes / np.median(slopes)
    found = Fit(dict(zip(EFFORTS, worth.tolist(), strict=True)), dict(zip(names, slopes.tolist(), strict=True)), 1.0)
    expected = np.array([found.step(row) for row in rows.itertuples()])
    share, base = np.polyfit(np.abs(expected), np.abs(step - expected), 1)
    scale = 1.2533  # standard deviation of a normal variable over its mean absolute value
    return Fit(found.worth, found.slopes, 1.0, (max(float(base), 0.0) * scale, max(float(share), 0.0) * scale))


def logit(accuracy: pd.Series | np.ndarray) -> np.ndarray:
    inner = np.clip(np.asarray(accuracy, dtype=float), LEAST, 1.0 - LEAST)
    return np.log(inner / (1.0 - inner))


def predicted(found: Fit, rows: pd.DataFrame) -> np.ndarray:
    """Accuracies at the second effort, from those at the first."""
    steps = np.array([found.step(row) for row in rows.itertuples()])
    return 1.0 / (1.0 + np.exp(-(logit(rows.p) + steps)))


def check(rows: pd.DataFrame) -> None:
    """Print the error on every model, fitted to the others."""
    parts = []
    for model, own in rows.groupby("model"):
        found = fit(rows[rows.model != model], rounds=6)
        parts.append(own.assign(guess=predicted(found, own)))
    everything = pd.concat(parts)
    everything["error"] = (everything.guess - everything.q).abs()
    everything["nothing"] = (everything.p - everything.q).abs()
    print("| from | to | pairs | mean difference | its spread | error carried over | error placed |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for (a, b), own in everything.groupby(["a", "b"], sort=False):
        if len(own) >= MOST_TELLING:
            gap = 100 * (own.q - own.p)
            print(f"| {a} | {b} | {len(own)} | {gap.mean():+.1f} | {gap.std():.1f} | {_points(own)} |")
    print(f"| all | | {len(everything)} | | | {_points(everything)} |")


def _points(rows: pd.DataFrame) -> str:
    return f"{100 * rows.nothing.mean():.1f} | {100 * rows.error.mean():.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MODELSAT_DATA", "../shared/data")))
    parser.add_argument("--check", action="store_true", help="predict left-out models and write nothing")
    arguments = parser.parse_args()
    rows = pairs(arguments.data)
    if arguments.check:
        return check(rows)
    found = fit(rows)
    content = {
        "worth": {effort: round(value, 3) for effort, value in found.worth.items()},
        "noise": [round(value, 3) for value in found.noise],
        "slopes": {name: round(value, 2) for name, value in found.slopes.items()},
    }
    OUTPUT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{len(rows)} pairs: {content['worth']}, noise {content['noise']}")


if __name__ == "__main__":
    main()
