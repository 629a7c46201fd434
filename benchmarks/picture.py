"""The picture of the policies: docs/policies.svg.

    python benchmarks/picture.py [--datasets NAME] [--pool "NAME, seen models"] [--cache DIR] [--output FILE]

One pool on prompts that trained nothing: each model alone, what the policies reach over their whole range, some of
their settings, and where `tune --keep-quality` lands on the half of the prompts that it was not fitted to
(mean and standard deviation over splits).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from pools import ROUTER, ModelPool, Part, arguments, load_pools

from modelsat.lab.tuning import Aim, Evidence, Measure, fit
from modelsat.lab.tuning.sweep import Family

AIM = 0.95
SPLITS = 10
BLUE, GREEN, ORANGE, GREY, BLACK = "#1f5fa8", "#2f7d3b", "#c8501e", "#777777", "#111111"


def point(part: Part, chosen: np.ndarray) -> tuple[float, float]:
    rows = np.arange(len(chosen))
    return float(part.cost[rows, chosen].mean() * 1000), float(part.y[rows, chosen].mean())


def landings(part: Part, strong: int) -> np.ndarray:
    """Cost and share of the strong model's quality on the half that was left out, by split; shape (splits, 2)."""
    found = []
    rng = np.random.default_rng(0)
    for _ in range(SPLITS):
        fitted = rng.random(len(part.y)) < 0.5
        sample, held = part.rows(fitted), part.rows(~fitted)
        reached = fit(Evidence.of(sample.pool(ROUTER), sample.y), Aim(Measure.KEEP_QUALITY, AIM))
        cost, quality = point(held, held.pool(ROUTER).choose(reached.family, reached.knob))
        found.append((cost, quality / held.y[:, strong].mean()))
    return np.array(found)


def draw(pool: ModelPool) -> Figure:
    part = pool.test.rows(~np.isnan(pool.test.y).any(axis=1))
    router, strong = part.pool(ROUTER), int(np.argmax(pool.level))
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.add_subplot()
    cost, quality = part.cost.mean(axis=0) * 1000, part.y.mean(axis=0)
    _models(axes, part, cost, quality)
    styles: tuple[tuple[Family, str, str], ...] = (("tradeoff", BLUE, "-"), ("cheapest", GREEN, "--"))
    for family, colour, line in styles:
        points = [point(part, chosen) for chosen in router.sweep(family, router.knobs(family, 100))]
        axes.plot(
            *zip(*points, strict=True), color=colour, linestyle=line, linewidth=2, label=f"{family}, every setting"
        )
    low = int(cost.argmin())
    share = np.linspace(0, 1, 60)
    mixed = [share * values[strong] + (1 - share) * values[low] for values in (cost, quality)]
    axes.plot(*mixed, color=GREY, linestyle=":", label="cheapest and best model mixed at random")
    axes.scatter(*point(part, router.choose("tradeoff", 1e9)), color=BLACK, marker="D", s=40, zorder=4, label="best")
    for target in (0.5, 0.7):
        x, y = point(part, router.choose("cheapest", target))
        axes.scatter([x], [y], color=GREEN, s=28, zorder=4)
        axes.annotate(f"target={target}", (x, y), xytext=(6, -10), textcoords="offset points", fontsize=7, color=GREEN)
    found = landings(part, strong)
    (x, kept), (dx, dy) = found.mean(axis=0), found.std(axis=0)
    gives = f"{kept:.1%} ± {dy:.1%} for {x / cost[strong]:.0%} of the cost"
    axes.errorbar(
        [x], [kept * quality[strong]], xerr=[dx], yerr=[dy * quality[strong]], color=ORANGE, marker="*", markersize=14,
        capsize=3, linestyle="none", zorder=5,
        label=f"tune --keep-quality {AIM}, prompts left out:\n{gives}",
    )  # fmt: skip
    axes.axhline(AIM * quality[strong], color=ORANGE, linewidth=0.8, linestyle="--")
    axes.annotate(
        f"{AIM:.0%} of {part.names[strong]}", (0.56, AIM * quality[strong]), xycoords=("axes fraction", "data"),
        xytext=(0, 3), textcoords="offset points", fontsize=7, color=ORANGE,
    )  # fmt: skip
    title = f"{pool.name}: {len(part.y):,} prompts that trained nothing"
    axes.set(xlabel="expected USD per 1,000 requests", ylabel="share answered correctly", title=title)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_ylim(top=quality.max() + 0.13 * np.ptp(quality))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left")
    return figure


def _models(axes: Axes, part: Part, cost: np.ndarray, quality: np.ndarray) -> None:
    axes.scatter(cost, quality, color=GREY, marker="s", s=30, zorder=3, label="one model alone")
    middle = np.sqrt(cost.min() * cost.max())
    taken: list[tuple[float, float]] = []
    for column in np.argsort(cost):
        x, y = np.log(cost[column]), quality[column] / np.ptp(quality)
        close = sum(abs(x - other) < 0.3 and abs(y - height) < 0.06 for other, height in taken)
        taken.append((x, y))
        right = cost[column] > middle
        axes.annotate(
            part.names[column], (cost[column], quality[column]), xytext=(-6 if right else 6, -3 - 9 * close),
            textcoords="offset points", fontsize=7.5, color=BLACK, ha="right" if right else "left", va="top",
        )  # fmt: skip


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--pool", help="the first one if left out")
    parser.add_argument("--output", type=Path, default=Path("docs/policies.svg"))
    given = parser.parse_args()
    pools = load_pools(given)
    pool = next((pool for pool in pools if pool.name == given.pool), pools[0])
    draw(pool).savefig(given.output, metadata={"Date": None} if given.output.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
