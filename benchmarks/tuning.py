"""Does `modelsat tune` land on its aim? Fitted to a sample of the data, measured on the prompts left out.

    python benchmarks/tuning.py [--datasets ...] [--splits 20] [--fitted 0.5] [--cache DIR]

Every pool's test prompts (whose questions never trained the router) are split at random into prompts that the knob is
fitted to, with their outcomes, and held-out ones, several times. The gap is what the aim's measure is on the held-out
prompts minus the aim, in points: of the best single model's quality, of the share of strong calls, and, for the cost,
of the dearest single model's. "Chance" is the mean absolute gap of a policy that is known to be right: what the
held-out prompts alone, being so many, scatter by. Aims that hold nothing back, because even the cheapest setting keeps
more or the best one takes less, are left out. The last columns say how often the held-out value lies in the
interval that was promised, and the mean gap where no outcomes were given.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from pools import ROUTER, Part, arguments, load_pools
from rich.console import Console
from rich.progress import track
from rich.table import Table

from modelsat.errors import ConfigurationError
from modelsat.lab.tuning import Aim, Measure
from modelsat.lab.tuning.fit import Evidence, Fit, fit
from modelsat.lab.tuning.sweep import Family, Pool

QUALITIES = (0.9, 0.95, 0.98)
SHARES = (0.2, 0.3, 0.5)
BUDGETS = (0.25, 0.5)
"""Shares of the best single model's cost."""


def aims(part: Part, strong: int) -> list[Aim]:
    spent = float(part.cost[:, strong].mean() * 1000)
    found = [Aim(Measure.KEEP_QUALITY, value) for value in QUALITIES]
    found += [Aim(Measure.STRONG_SHARE, value) for value in SHARES]
    return found + [Aim(Measure.MAX_USD_PER_1K, share * spent) for share in BUDGETS]


def measured(aim: Aim, part: Part, chosen: np.ndarray, strong: int) -> np.ndarray:
    """Per prompt, what the aim's measure is the mean of (the quality relative to the best single model's mean)."""
    rows = np.arange(len(chosen))
    if aim.measure is Measure.KEEP_QUALITY:
        reference = part.y[:, strong]
        ratio = part.y[rows, chosen].mean() / reference.mean()
        return ratio + (part.y[rows, chosen] - ratio * reference) / reference.mean()
    if aim.measure is Measure.STRONG_SHARE:
        return (chosen == strong).astype(float)
    return part.cost[rows, chosen] * 1000


def binds(found: Fit) -> bool:
    """Whether the aim holds anything back: else even the cheapest setting keeps more, or the best one takes less."""
    curve, value = found.curve, found.aim.value
    if found.aim.measure is Measure.KEEP_QUALITY:
        return found.at > 0
    dearest = curve.strong if found.aim.measure is Measure.STRONG_SHARE else curve.cost * 1000
    return bool(dearest[int(curve.quality.argmax())] > value)


def scale(aim: Aim, part: Part) -> float:
    return float(part.cost.mean(axis=0).max() * 1000) if aim.measure is Measure.MAX_USD_PER_1K else 1.0


def once(part: Part, aim: Aim, family: Family, fitted: np.ndarray) -> dict[str, float] | None:
    held = part.rows(~fitted)
    result: dict[str, float] = {}
    for label, outcomes in (("gap", part.y[fitted]), ("blind", None)):
        pool = part.rows(fitted).pool(ROUTER)
        try:
            evidence = Evidence.of(pool, outcomes)
            found = fit(evidence, aim, family)
        except ConfigurationError:
            if label == "gap":
                return None
            continue
        other: Pool = held.pool(ROUTER)
        values = measured(aim, held, other.choose(family, found.knob), evidence.reference)
        unit = scale(aim, part)
        result[label] = float(values.mean() - aim.value) / unit * 100
        if label == "gap":
            result["inside"] = float(found.interval[0] <= values.mean() <= found.interval[1])
            result["chance"] = float(values.std() / np.sqrt(len(values)) * np.sqrt(2 / np.pi)) / unit * 100
            result["binds"] = float(binds(found))
    return result


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--fitted", type=float, default=0.5, help="share of the prompts that is fitted to")
    given = parser.parse_args()
    table = Table(title=f"gap between held-out prompts and the aim, in points; {given.splits} splits")
    for title in (
        "pool",
        "fitted/held out",
        "policy",
        "aim",
        "mean gap",
        "mean |gap|",
        "chance",
        "within 2",
        "in interval",
    ):
        table.add_column(title)
    table.add_column("mean gap without outcomes")
    by_measure: dict[str, list[float]] = defaultdict(list)
    idle = 0
    for pool in track(load_pools(given), console=Console(stderr=True)):
        part = pool.test.rows(~np.isnan(pool.test.y).any(axis=1))
        rng = np.random.default_rng(0)
        splits = [rng.random(len(part.y)) < given.fitted for _ in range(given.splits)]
        for family in ("tradeoff", "cheapest"):
            for aim in aims(part, int(np.nanargmax(pool.level))):
                runs = [run for split in splits if (run := once(part, aim, family, split)) is not None]
                bound = [run for run in runs if run["binds"]]
                if len(bound) * 2 < given.splits:
                    idle += 1
                    continue
                _row(table, pool.name, splits[0], family, aim, bound)
                by_measure[aim.measure.value].append(float(np.mean([run["gap"] for run in bound])))
    Console(width=170).print(table)
    print(f"left out: {idle} rows whose aim is out of reach, or holds nothing back, in most splits")
    for measure, gaps in by_measure.items():
        near = np.mean(np.abs(gaps) <= 2)
        print(f"{measure}: mean gap within two points in {near:.0%} of {len(gaps)} rows, mean {np.mean(gaps):+.2f}")


def _row(table: Table, name: str, split: np.ndarray, family: str, aim: Aim, runs: list[dict[str, float]]) -> None:
    gaps = np.array([run["gap"] for run in runs])
    blind = [run["blind"] for run in runs if "blind" in run]
    table.add_row(
        name,
        f"{split.sum()}/{(~split).sum()}",
        family,
        str(aim),
        f"{gaps.mean():+.2f}",
        f"{np.abs(gaps).mean():.2f}",
        f"{np.mean([run['chance'] for run in runs]):.2f}",
        f"{np.mean(np.abs(gaps) <= 2):.0%}",
        f"{np.mean([run['inside'] for run in runs]):.0%}",
        f"{np.mean(blind):+.2f}" if blind else "out of reach",
    )


if __name__ == "__main__":
    main()
