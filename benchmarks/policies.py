"""modelsat, kNN and MLP under the same policies: area under the cost-quality curve, and what is saved.

    python benchmarks/policies.py --embeddings DIR_OF_ALL_MINILM_L6_V2 [--datasets ...] [--cache DIR] [--json FILE]

Each pool is swept by ``tradeoff`` and ``cheapest``. The area is the mean height of the cost-quality hull between the
cheapest and the dearest single model (RouterBench); differences to the baselines come with 95 % intervals of a paired
bootstrap over prompts; the MLP is the mean of its seeds. "Saved" is the share of calls of the best single model that
need not be made for 95 % of its quality, the knob set in hindsight for all alike; * marks pairs of models. The last
router is modelsat that was given outcomes of training prompts, as the baselines were, by ``modelsat feedback import``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pools import IMPORTED, KNN, MLP_NAME, ROUTER, ModelPool, Part, arguments, load_pools
from rich.console import Console
from rich.progress import track
from rich.table import Table

from modelsat.lab.evaluation.costs import Curve, aiq
from modelsat.lab.evaluation.policies import KEPT, SWEPT
from modelsat.lab.tuning.sweep import Family, Pool

RESAMPLES = 200
OURS = (ROUTER, IMPORTED)


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
            ours: {
                other: [areas[ours] - areas[other], *np.quantile(resampled[ours] - resampled[other], [0.025, 0.975])]
                for other in routers
                if other not in OURS
            }
            for ours in OURS
        }
        found.append(row)
    return found


def show(rows: list[dict[str, object]], routers: list[str], weights: str) -> None:
    baselines = [name for name in routers if name not in OURS]
    title = f"{weights}: area under the cost-quality curve, and strong calls saved at 95 % of the best model's quality"
    table = Table(title=title)
    titles = (*(f"area {name}" for name in routers), *(f"saved {name}" for name in routers))
    for title in ("pool", "prompts", "models", "policy", *titles):
        table.add_column(title)
    apart = Table(title="differences of areas, with 95 % intervals")
    for title in ("pool", "policy", *(f"{ours} minus {other}" for ours in OURS for other in baselines)):
        apart.add_column(title)
    for row in rows:
        pool = f"{row['pool']}{'*' if row['models'] == 2 else ''}"
        cells = [f"{row['area'][name]:.4f}" for name in routers]
        cells += [f"{row['strong_saved_95'][name]:.1%}" for name in routers]
        table.add_row(pool, str(row["prompts"]), str(row["models"]), str(row["policy"]), *cells)
        differences = (row["difference"][ours][other] for ours in OURS for other in baselines)
        cells = ["{:+.4f} [{:+.4f}, {:+.4f}]".format(*found) for found in differences]
        apart.add_row(pool, str(row["policy"]), *cells)
    console = Console(width=220)
    console.print(table)
    console.print(apart)
    for ours in OURS:
        for other in baselines:
            found = np.array([row["difference"][ours][other] for row in rows])
            mean, low, high = found.T
            print(
                f"{ours} has the larger area in {(mean > 0).sum()} of {len(rows)} rows against {other} "
                f"({(low > 0).sum()} beyond doubt; behind beyond doubt in {(high < 0).sum()}); "
                f"mean difference {mean.mean():+.4f}"
            )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    pools = load_pools(given)
    routers = [name for name in (*OURS, KNN, MLP_NAME) if name in pools[0].test.p]
    rng = np.random.default_rng(0)
    rows = [row for pool in track(pools, console=Console(stderr=True)) for row in measure(pool, routers, rng)]
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    show(rows, routers, given.weights)


if __name__ == "__main__":
    main()
