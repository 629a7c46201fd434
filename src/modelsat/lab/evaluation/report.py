"""The report: one HTML file that needs no network; its colours can be told apart in print and by the colour-blind."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modelsat._files import written_whole
from modelsat.errors import MissingDependencyError
from modelsat.lab.evaluation.costs import Curve
from modelsat.lab.evaluation.metrics import Interval
from modelsat.lab.evaluation.plan import Kind
from modelsat.lab.evaluation.results import Evaluation, Role, Row, SettingResult
from modelsat.lab.evaluation.tables import GLOSSARY, grids

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ABOUT = {
    Kind.SEEN: "The pool's models trained the baselines; the questions of the test prompts did not, in any data set.",
    Kind.UNSEEN_MODELS: "These models trained nothing. The routers know them by profile only, the baselines by the "
    "core items. Ceilings were given all their training outcomes; best single was chosen with these, too.",
    Kind.UNSEEN_DATASET: "No outcome of the data set was used for training, and no question of it that also stands in "
    "training prompts elsewhere is measured. Best single is chosen in hindsight.",
}
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "D", "^", "P", "X", "*")
_ROUTERS = 3
"""Routers whose choices are shown beside the accuracies."""


def as_svg(figure: Figure) -> str:
    """Return the figure as an ``<svg>`` element whose text can be searched."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return file.getvalue()[file.getvalue().index("<svg") :]


def _axes(width: float, height: float, title: str, setting: str, grid: str = "both") -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.set_title(f"{title}\n", loc="left", fontsize=13)
    axes.text(0.0, 1.015, setting, transform=axes.transAxes, fontsize=9, color="#555")
    axes.grid(axis=grid, color="#e5e5e5")  # type: ignore[arg-type]
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def _style(rows: Sequence[Row], row: Row) -> dict[str, Any]:
    """Colour, dash and width: routers bold and solid, the others thin, no two alike."""
    routers = [other.name for other in rows if other.role is Role.ROUTER]
    if row.role is Role.ROUTER:
        return {"color": OKABE_ITO[routers.index(row.name) % 8], "ls": "-", "lw": 3, "marker": "o", "ms": 4}
    place = [other.name for other in rows if other.role is not Role.ROUTER].index(row.name)
    return {"color": OKABE_ITO[(len(routers) + place) % 8], "ls": DASHES[place % 4], "lw": 1.5}


def cost_quality(result: SettingResult) -> Figure | None:
    """Cost against quality for every router, the single models, and the Pareto front of them all."""
    from matplotlib.ticker import LogLocator, NullFormatter

    shown = [row for row in result.rows if row.curve is not None and row.name != "oracle"]
    if not shown:
        return None
    figure, axes = _axes(9, 6, "Cost and quality", result.name)
    points = np.array(list(result.singles.values()))
    fair = [row.curve for row in shown if row.curve is not None and row.role is not Role.CEILING]
    costs = np.concatenate([points[:, 0], *(curve.cost for curve in fair)])
    front = Curve(costs, np.concatenate([points[:, 1], *(curve.quality for curve in fair)])).front()
    axes.step(1000 * front.cost, front.quality, where="post", color="#999", lw=8, alpha=0.35, label="Pareto front")
    for row in shown:
        curve = row.curve.front()  # type: ignore[union-attr]
        axes.plot(1000 * curve.cost, curve.quality, label=row.name, **_style(shown, row))
    axes.plot(1000 * points[:, 0], points[:, 1], "o", mfc="none", color="#555", label="single models")
    for name, (cost, quality) in zip(result.singles, points, strict=True):
        if len(points) <= 12:
            axes.annotate(name, (1000 * cost, quality), (0, -11), textcoords="offset points", fontsize=7, ha="center")
    axes.set(xscale="log", xlabel="mean cost of 1,000 prompts, USD (logarithmic)")
    axes.set_ylabel("accuracy of the routed answers")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=8)
    return figure


def reliability(result: SettingResult) -> Figure | None:
    """Predicted against observed success: routers after and, where known, before calibration, and kNN beside."""
    measured = [row for row in result.rows if row.reliability is not None]
    shown = [row for row in measured if row.role is Role.ROUTER or row.name.startswith("kNN")]
    if not shown:
        return None
    figure, axes = _axes(7, 5.5, "Reliability of P(success)", result.name)
    axes.plot([0, 1], [0, 1], "--", color="#999", lw=1, label="perfect")
    shown.sort(key=lambda row: row.role is not Role.ROUTER)
    for number, row in enumerate(shown):
        after = " (calibrated)" if row.uncalibrated is not None else ""
        for diagram, label, style in (
            (row.uncalibrated, f"{row.name} (before calibration)", {"ls": ":", "mfc": "none"}),
            (row.reliability, f"{row.name}{after}", {"ls": "-"}),
        ):
            if diagram is not None:
                look: dict[str, Any] = {"color": OKABE_ITO[number % 8], "marker": MARKERS[number % 7], **style}
                axes.plot(diagram.predicted, diagram.observed, label=f"{label}, ECE {diagram.ece:.3f}", **look)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="observed share of successes")
    axes.set_xlabel("predicted P(success), mean of each of 15 equally filled bins")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def heat_map(result: SettingResult) -> Figure:
    """Accuracy of every model on the largest tasks, and beside it the share of prompts each router sends it."""
    from matplotlib.figure import Figure

    routers = [row for row in result.rows if row.role is Role.ROUTER][:_ROUTERS]
    names = list(result.tasks)
    accuracy = np.array([result.tasks[task] for task in names]).T
    order = np.argsort(-np.nanmean(accuracy, axis=1))
    panels = [("accuracy", accuracy[order], "cividis")]
    panels += [
        (f"sent by {row.name}", np.array([row.share[task] for task in names]).T[order], "Blues") for row in routers
    ]
    width = min(15.0, max(8.0, 3.0 + len(panels) * max(1.8, 0.42 * len(names))))
    figure = Figure(figsize=(width, 2.6 + 0.27 * len(order)), layout="constrained")
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    title = f"Accuracy of each model by task, and share of prompts sent to it, in %\n{result.name}"
    figure.suptitle(title, x=0.0, ha="left", fontsize=11)
    for column, (axes, (panel, values, colours)) in enumerate(zip(every, panels, strict=True)):
        axes.imshow(values, cmap=colours, vmin=0, vmax=1, aspect="auto")
        axes.set_title(panel, fontsize=10)
        axes.set_xticks(range(len(names)), [f"{task} ({result.task_sizes[task]})" for task in names], fontsize=8)
        axes.tick_params(axis="x", rotation=60)
        axes.set_yticks(range(len(order)), [result.models[model] for model in order], fontsize=8)
        for (row, task), value in np.ndenumerate(values):
            if not np.isnan(value) and not (column and value < 0.005):
                dark = value < 0.5 if colours == "cividis" else value > 0.5
                colour = "white" if dark else "black"
                axes.text(task, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=7, color=colour)
    return figure


def win_loss(evaluation: Evaluation, kind: Kind) -> Figure | None:
    """Accuracy of each router minus best single and minus kNN, with intervals, for every data set of a setting."""
    results = [result for result in evaluation.settings if result.kind is kind and result.comparisons]
    points: dict[str, list[tuple[int, Interval]]] = defaultdict(list)
    for place, result in enumerate(results):
        for comparison in result.comparisons:
            if comparison.other.startswith(("best single", "kNN")):
                found = (place, comparison.differences["accuracy"])
                points[f"{comparison.router} − {comparison.other}"].append(found)
    if not points:
        return None
    height = 1.6 + len(results) * (0.25 + 0.16 * len(points))
    figure, axes = _axes(9, height, "Wins and losses by data set", kind.value, grid="x")
    for number, (label, differences) in enumerate(points.items()):
        mean, low, high = 100 * np.array([(of.mean, of.low, of.high) for _, of in differences]).T
        rows = np.array([place for place, _ in differences]) + 0.7 * ((number + 0.5) / len(points) - 0.5)
        look: dict[str, Any] = {"fmt": MARKERS[number % 7], "color": OKABE_ITO[number % 8], "ms": 5, "lw": 1.2}
        axes.errorbar(mean, rows, xerr=[mean - low, high - mean], label=label, **look)
    axes.axvline(0, color="#111", lw=1)
    axes.set_xlabel("←  loses      difference in accuracy, points (95 % interval)      wins  →")
    axes.set_yticks(range(len(results)), [str(result.dataset) for result in results])
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=8)
    return figure


def write_report(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Write the report of an evaluation.

    Raises:
        ConfigurationError: The file cannot be written.
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError.for_extra("the report", "eval") from error
    environment = jinja2.Environment(loader=jinja2.PackageLoader("modelsat.lab.evaluation"), autoescape=True)
    kinds = [
        {
            "title": kind.value.capitalize(),
            "about": _ABOUT[kind],
            "figure": _svg(win_loss(evaluation, kind)),
            "settings": [_setting(result) for result in evaluation.settings if result.kind is kind],
        }
        for kind in Kind
        if any(result.kind is kind for result in evaluation.settings)
    ]
    template = environment.get_template("report.html.j2")
    page = template.render(evaluation=evaluation, facts=_facts(evaluation.about), kinds=kinds, glossary=GLOSSARY)
    with written_whole(path) as partial:
        partial.write_text(page + "\n", "utf-8")


def _facts(about: Mapping[str, Any]) -> list[str]:
    routers = ", ".join(f"{name} ({version})" for name, version in about["routers"].items()) or "none"
    return [
        f"Measured: {routers}",
        f"{about['items']:,} items, {about['models']} models; split by question text into {about['train']:,} training, "
        f"{about['validation']:,} validation and {about['test']:,} test items",
        f"{about['seeds']} seeds for the baselines that depend on one (± standard deviation)",
        f"modelsat {about['modelsat']}",
    ]


def _setting(result: SettingResult) -> dict[str, Any]:
    figures = [_svg(plot(result)) for plot in (cost_quality, reliability, heat_map)]
    return {"result": result, "grids": list(grids(result)), "figures": figures}


def _svg(figure: Figure | None) -> str | None:
    return None if figure is None else as_svg(figure)
