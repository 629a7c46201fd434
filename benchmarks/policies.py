"""modelsat, kNN and MLP under the same policies: area under the cost-quality curve, and what is saved.

    python benchmarks/policies.py --embeddings DIR_OF_ALL_MINILM_L6_V2 [--datasets ...] [--cache DIR] [--json FILE]

Each pool is swept by ``tradeoff`` and ``cheapest``. The area is the mean height of the cost-quality hull between the
cheapest and the dearest single model (RouterBench); differences to the baselines come with 95 % intervals of a paired
bootstrap over prompts; the MLP is the mean of its seeds. "Saved" is the share of calls of the best single model that
need not be made for 95 % of its quality, the knob set in hindsight for all alike; * marks pairs of models. The last
router is modelsat with the level of each model corrected by its outcomes on half of the test prompts, measured on the
other half, and the other way round: what feedback on that many answers is worth.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from pools import KNN, MLP_NAME, ROUTER, ModelPool, Part, arguments, load_pools
from rich.console import Console
from rich.progress import track
from rich.table import Table

from modelsat.calibrate.fit import corrected
from modelsat.calibrate.sweep import Family, Pool
from modelsat.evaluation.metrics import Curve, aiq
from modelsat.evaluation.policies import KEPT, SWEPT

RESAMPLES = 200
CORRECTED = "modelsat-nano, levels corrected"


class Swept:
    """One router under one policy on the test prompts: what each value of the knob chose, per prompt."""

    def __init__(self, pool: Pool, part: Part, family: Family, strong: int) -> None:
        chosen = pool.sweep(family, pool.knobs(family, 120))
        rows = np.arange(chosen.shape[1])
        self.cost, self.quality = part.cost[rows, chosen], np.nan_to_num(part.y)[rows, chosen]
        self.strong = (chosen == strong).astype(float)
        self._single = strong
        self._part = part

    def area(self, weights: np.ndarray) -> float:
        known = ~np.isnan(self._part.y)
        singles = (weights[:, None] * self._part.cost * known).sum(axis=0) / (weights[:, None] * known).sum(axis=0)
        curve = Curve(self.cost @ weights / weights.sum(), self.quality @ weights / weights.sum())
        return aiq(curve, float(singles.min()), float(singles.max()))

    def saved(self) -> float:
        reference = np.nanmean(self._part.y[:, self._single])
        enough = self.quality.mean(axis=1) >= KEPT * reference - 1e-9
        return float(1 - self.strong.mean(axis=1)[enough].min()) if enough.any() else float("nan")


def with_corrected(pool: ModelPool) -> ModelPool:
    """The pool with modelsat's predictions shifted by outcomes, cross-fitted in two halves."""
    part = pool.test
    half = np.random.default_rng(0).permutation(len(part.y)) % 2
    p = part.p[ROUTER][0].astype(float)
    shifted = p.copy()
    for fold in (0, 1):
        known = np.where((half == fold)[:, None], np.nan, part.y)
        shifted[half == fold] = corrected(p, known)[half == fold]
    return replace(pool, test=replace(part, p={**part.p, CORRECTED: [shifted]}))


def measure(pool: ModelPool, routers: list[str], rng: np.random.Generator) -> list[dict[str, object]]:
    part, strong = pool.test, int(np.nanargmax(pool.level))
    weights = rng.multinomial(len(part.y), np.full(len(part.y), 1 / len(part.y)), size=RESAMPLES).astype(float)
    ones = np.ones(len(part.y))
    found = []
    for family in SWEPT:
        areas, resampled, saved = {}, {}, {}
        for router in routers:
            runs = [Swept(part.pool(router, seed), part, family, strong) for seed in range(len(part.p[router]))]
            areas[router] = float(np.mean([run.area(ones) for run in runs]))
            saved[router] = float(np.mean([run.saved() for run in runs]))
            resampled[router] = np.mean([[run.area(w) for w in weights] for run in runs], axis=0)
        row = {"pool": pool.name, "prompts": len(part.y), "models": len(part.names), "policy": family}
        row |= {"strong": part.names[strong], "area": areas, "strong_saved_95": saved}
        row["difference"] = {
            other: [areas[ROUTER] - areas[other], *np.quantile(resampled[ROUTER] - resampled[other], [0.025, 0.975])]
            for other in routers[1:]
        }
        found.append(row)
    return found


def show(rows: list[dict[str, object]], routers: list[str]) -> None:
    table = Table(title="area under the cost-quality curve, and strong calls saved at 95 % of the best model's quality")
    for title in ("pool", "prompts", "models", "policy", *(f"area {name}" for name in routers)):
        table.add_column(title)
    for title in (*(f"minus {name}" for name in routers[1:]), *(f"saved {name}" for name in routers)):
        table.add_column(title)
    for row in rows:
        pair = "*" if row["models"] == 2 else ""
        cells = [f"{row['area'][name]:.4f}" for name in routers]
        cells += ["{:+.4f} [{:+.4f}, {:+.4f}]".format(*row["difference"][name]) for name in routers[1:]]
        cells += [f"{row['strong_saved_95'][name]:.1%}" for name in routers]
        table.add_row(f"{row['pool']}{pair}", str(row["prompts"]), str(row["models"]), str(row["policy"]), *cells)
    Console(width=220).print(table)
    for other in routers[1:]:
        means = [row["difference"][other][0] for row in rows]
        sure = (
            sum(row["difference"][other][1] > 0 for row in rows),
            sum(row["difference"][other][2] < 0 for row in rows),
        )
        ahead = sum(mean > 0 for mean in means)
        print(
            f"{ROUTER} has the larger area in {ahead} of {len(rows)} rows against {other} ({sure[0]} beyond doubt; "
            f"behind beyond doubt in {sure[1]}); mean difference {np.mean(means):+.4f}"
        )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    pools = [with_corrected(pool) for pool in load_pools(given)]
    routers = [name for name in (ROUTER, KNN, MLP_NAME, CORRECTED) if name in pools[0].test.p]
    rng = np.random.default_rng(0)
    rows = [row for pool in track(pools, console=Console(stderr=True)) for row in measure(pool, routers, rng)]
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    show(rows, routers)


if __name__ == "__main__":
    main()
