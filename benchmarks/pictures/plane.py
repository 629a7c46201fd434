"""Cost against quality, in dollars: ``agents`` on issues with logged costs, ``exams`` with expected ones."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from adjustText import adjust_text
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "recipes"))
import outcomes as oc
import pools
import tables
import traffic

from modelsat.inference import load_scorer
from modelsat.lab.evaluation.baselines import MLP, NearestNeighbours, Slice
from modelsat.lab.tuning.sweep import Pool

from .style import Theme

SAMPLES = 1000
SEEDS = 3


@dataclass(frozen=True)
class Issues:
    """What is drawn.

    Attributes:
        y: Outcomes, shape (prompts, models).
        usd: What each answer cost, of the same shape.
        expected: What the policy takes it to cost.
        p: P(success) by router, once for each seed.
    """

    title: str
    money: str
    names: list[str]
    y: np.ndarray
    usd: np.ndarray
    expected: np.ndarray
    p: dict[str, list[np.ndarray]]


def exams(given: Namespace) -> Issues:
    """The models of MMLU-Pro that trained the network, on test prompts; costs are those that every decision expects."""
    options = pools.arguments(None).parse_args(["--datasets", "mmlu_pro", "--weights", str(given.weights)])
    pool = pools.load_pools(options)[0]
    part = pool.test.rows(~np.isnan(pool.test.y).any(axis=1))
    title = f"MMLU-Pro: {len(part.y):,} questions that never trained, {len(part.names)} models"
    own, usd = {pools.ROUTER: part.p[pools.ROUTER]}, part.cost * 1000
    return Issues(title, "1,000 requests, expected", list(part.names), part.y, usd, usd, own)


def agents(given: Namespace) -> Issues:
    """Issues with logged costs; a candidate's expected cost is its mean on those that the baselines learn from."""
    case = traffic.cases(oc.DATA, 10_000, [given.dataset], traffic.registered)[0]
    spent = _spent(case)
    kept = np.mean(~np.isnan(spent.asked), axis=0) > 0.8
    rows = ~np.isnan(case.scores[:, kept]).any(axis=1)
    names = [name for name, keep in zip(case.models, kept, strict=True) if keep]
    expected = np.nanmean(spent.learn[:, kept], axis=0)
    usd = np.where(np.isnan(spent.asked), np.nanmean(spent.learn, axis=0), spent.asked)[np.ix_(rows, kept)]
    prompts = [prompt for prompt, keep in zip(case.prompts, rows, strict=True) if keep]
    profiles = [profile for name in names if (profile := traffic.registered(name, case.dataset))]
    p = {"modelsat": [np.asarray(load_scorer(given.weights).score(prompts, profiles).p, float)]}
    if given.embeddings:
        embed = traffic.embedder(given.embeddings)
        learn = Slice(embed(case.learn), np.array([""] * len(case.learn)), case.learn_scores[:, kept])
        asked = Slice(embed(prompts), np.array([""] * len(prompts)), case.scores[np.ix_(rows, kept)])
        p["kNN"] = [NearestNeighbours(k=20).fit(learn)(asked)]
        p["MLP"] = [MLP().fit(learn, seed)(asked) for seed in range(SEEDS)]
    title = f"{given.dataset}: {len(prompts)} issues that never trained, {len(names)} models"
    return Issues(
        title,
        "a request, as logged",
        names,
        case.scores[np.ix_(rows, kept)],
        usd,
        np.tile(expected, (len(prompts), 1)),
        p,
    )


def _spent(case: traffic.Case) -> Namespace:
    log = tables.outcomes().pivot_table(index="item_id", columns="model", values="cost_usd")
    items = tables.items(oc.DATA)
    own = items[items.dataset == case.dataset]
    text = own.prompt.map(lambda prompt: traffic.extract_instruction(prompt)[0])
    by_text = dict(zip(text, own.item_id, strict=True))
    table = log.reindex(columns=case.models)
    asked, learn = (
        table.reindex([by_text[p] for p in prompts]).to_numpy(float) for prompts in (case.prompts, case.learn)
    )
    return Namespace(asked=asked, learn=learn)


def curve(issues: Issues, p: np.ndarray, grid: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Quality that ``tradeoff`` reaches at each mean USD of the grid, over all settings of its knob."""
    pool = Pool(tuple(issues.names), p[rows], issues.expected[rows])
    chosen = pool.sweep("tradeoff", pool.knobs("tradeoff", 80))
    at = np.arange(len(rows))
    usd, quality = (np.array([table[rows][at, row].mean() for row in chosen]) for table in (issues.usd, issues.y))
    order = np.argsort(usd)
    return np.interp(grid, usd[order], np.maximum.accumulate(quality[order]), left=np.nan)


def draw(issues: Issues, theme: Theme) -> Figure:
    """The plane."""
    figure = Figure(figsize=(8.2, 5.2), layout="constrained")
    axes = figure.add_subplot()
    usd, quality = issues.usd.mean(axis=0), issues.y.mean(axis=0)
    grid = np.geomspace(usd.min(), usd.max(), 60)
    everything = np.arange(len(issues.y))
    low, high = int(usd.argmin()), int(quality.argmax())
    share = np.linspace(0, 1, 60)
    axes.plot(
        *(share * table[high] + (1 - share) * table[low] for table in (usd, quality)),
        color=theme.faint, linestyle=":", linewidth=1.6, label="cheapest and best model mixed at random",
    )  # fmt: skip
    for name, colour, line in (("kNN", theme.orange, "--"), ("MLP", theme.violet, "-.")):
        if name in issues.p:
            mean = np.mean([curve(issues, p, grid, everything) for p in issues.p[name]], axis=0)
            axes.plot(grid, mean, color=colour, linestyle=line, linewidth=1.6, label=f"{name} that knows the outcomes")
    (own,) = issues.p["modelsat"]
    rng = np.random.default_rng(0)
    draws = [curve(issues, own, grid, rng.integers(len(everything), size=len(everything))) for _ in range(SAMPLES)]
    axes.fill_between(grid, *np.nanpercentile(draws, [5, 95], axis=0), color=theme.blue, alpha=0.18, linewidth=0)
    axes.plot(
        grid, curve(issues, own, grid, everything), color=theme.blue, linewidth=2.4,
        label="modelsat, from descriptions alone (90 % interval)",
    )  # fmt: skip
    axes.scatter(usd, quality, color=theme.ink, marker="s", s=16, zorder=4, label="one model for everything")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("${x:g}")
    steps = [digit * 10.0**power for power in range(-5, 2) for digit in (1, 2, 5)]
    axes.set_xticks([step for step in steps if usd.min() * 0.8 <= step <= usd.max() * 1.3])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set(xlabel=f"mean cost of {issues.money}, USD", ylabel="answered well")
    axes.set_title(issues.title, fontsize=10)
    axes.margins(0.08)
    axes.grid(alpha=0.2)
    axes.legend(fontsize=7.5, loc="upper left")
    _label(axes, issues.names, usd, quality, theme)
    return figure


def _label(axes: Axes, names: list[str], usd: np.ndarray, quality: np.ndarray, theme: Theme) -> None:
    axes.figure.draw_without_rendering()
    halo = [patheffects.withStroke(linewidth=2.5, foreground=theme.ground)]
    points = zip(usd, quality, names, strict=True)
    texts = [axes.text(x, y, name, fontsize=7, path_effects=halo, zorder=6) for x, y, name in points]
    adjust_text(
        texts, x=usd, y=quality, ax=axes, objects=[axes.get_legend()], expand=(1.08, 1.25), iter_lim=400,
        arrowprops={"arrowstyle": "-", "color": theme.faint, "linewidth": 0.6},
    )  # fmt: skip
