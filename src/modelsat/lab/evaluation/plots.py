"""The plots of the report: axes labelled, colours that colour-blind readers and printers can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modelsat.lab.evaluation.metrics import Curve, Interval, pareto_front
from modelsat.lab.evaluation.plan import Kind
from modelsat.lab.evaluation.results import Evaluation, Role, Row, SettingResult

if TYPE_CHECKING:
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
_ROUTERS = 3
"""Routers whose choices are shown beside the accuracies."""


def _figure(height: int, **layout: Any) -> Figure:
    from plotly.graph_objects import Figure

    figure = Figure()
    figure.update_layout(
        template="simple_white",
        font={"family": "Helvetica, Arial, sans-serif", "size": 14, "color": "#111"},
        title_font_size=17,
        height=height,
        width=1000,
        margin={"l": 80, "r": 30, "t": 80, "b": 70},
        **layout,
    )
    figure.update_xaxes(showgrid=True, gridcolor="#e5e5e5", ticks="outside")
    figure.update_yaxes(showgrid=True, gridcolor="#e5e5e5", ticks="outside")
    return figure


def _title(title: str, setting: str) -> str:
    return f"{title}<br><span style='font-size:13px;color:#555'>{setting}</span>"


def _decades(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2 and 5 of every power of ten in the range."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [digit * 10.0**power for power in powers for digit in (1, 2, 5)]


def _style(rows: Sequence[Row], row: Row) -> tuple[str, str, float]:
    """Colour, dash and width: routers bold and solid, the others thin, no two alike."""
    routers = [other.name for other in rows if other.role is Role.ROUTER]
    if row.role is Role.ROUTER:
        return OKABE_ITO[routers.index(row.name) % 8], "solid", 4
    others = [other.name for other in rows if other.role is not Role.ROUTER]
    place = others.index(row.name)
    return OKABE_ITO[(len(routers) + place) % 8], DASHES[1 + place % 4], 2


def cost_quality(result: SettingResult) -> Figure | None:
    """Cost against quality for every router, the single models, and the Pareto front of them all."""
    shown = [row for row in result.rows if row.curve is not None and row.name != "oracle"]
    if not shown:
        return None
    figure = _figure(620, title=_title("Cost and quality", result.name), legend={"x": 1.02, "y": 1, "font_size": 12})
    for row in shown:
        colour, dash, width = _style(shown, row)
        curve = _own_front(row.curve)  # type: ignore[arg-type]
        mode = "lines+markers" if row.role is Role.ROUTER else "lines"
        figure.add_scatter(
            x=1000 * curve.cost,
            y=curve.quality,
            name=row.name,
            mode=mode,
            line={"color": colour, "dash": dash, "width": width},
            marker={"size": 6},
        )
    names, points = list(result.singles), np.array(list(result.singles.values()))
    figure.add_scatter(
        x=1000 * points[:, 0],
        y=points[:, 1],
        text=names,
        name="single models",
        mode="markers+text" if len(names) <= 12 else "markers",
        textposition="bottom center",
        cliponaxis=False,
        textfont={"size": 10, "color": "#555"},
        marker={"symbol": "circle-open", "size": 8, "color": "#555"},
    )
    fair = [row.curve for row in shown if row.curve is not None and row.role is not Role.CEILING]
    front = _own_front(
        Curve(
            np.concatenate([points[:, 0], *(curve.cost for curve in fair)]),
            np.concatenate([points[:, 1], *(curve.quality for curve in fair)]),
        )
    )
    figure.add_scatter(
        x=1000 * front.cost,
        y=front.quality,
        name="Pareto front",
        mode="lines",
        line={"color": "#999", "width": 9, "shape": "hv"},
        opacity=0.35,
    )
    ticks = _decades(1000 * points[:, 0].min(), 1000 * points[:, 0].max())
    figure.update_xaxes(title="mean cost of 1,000 prompts, USD (logarithmic)", type="log", tickvals=ticks)
    figure.update_xaxes(ticktext=[f"{tick:g}" for tick in ticks])
    figure.update_yaxes(title="accuracy of the routed answers")
    figure.update_layout(width=1150, margin_r=300)
    return figure


def reliability(result: SettingResult) -> Figure | None:
    """Predicted against observed success: routers after and, where known, before calibration, and kNN beside."""
    shown = [
        row
        for row in result.rows
        if row.reliability is not None and (row.role is Role.ROUTER or row.name.startswith("kNN"))
    ]
    if not shown:
        return None
    figure = _figure(
        560, title=_title("Reliability of P(success)", result.name), legend={"x": 0.02, "y": 0.98, "font_size": 12}
    )
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="perfect", line={"color": "#999", "width": 1, "dash": "dash"}
    )
    shown.sort(key=lambda row: row.role is not Role.ROUTER)
    for number, row in enumerate(shown):
        colour = OKABE_ITO[number % 8]
        after = " (calibrated)" if row.uncalibrated is not None else ""
        for diagram, label, dash, symbol in (
            (row.uncalibrated, f"{row.name} (before calibration)", "dot", SYMBOLS[number % 7] + "-open"),
            (row.reliability, f"{row.name}{after}", "solid", SYMBOLS[number % 7]),
        ):
            if diagram is not None:
                figure.add_scatter(
                    x=diagram.predicted,
                    y=diagram.observed,
                    name=f"{label}, ECE {diagram.ece:.3f}",
                    mode="lines+markers",
                    line={"color": colour, "dash": dash, "width": 2},
                    marker={"symbol": symbol, "size": 8},
                )
    figure.update_xaxes(title="predicted P(success), mean of each of 15 equally filled bins", range=[0, 1])
    figure.update_yaxes(title="observed share of successes", range=[0, 1])
    figure.update_layout(width=760)
    return figure


def heat_map(result: SettingResult) -> Figure | None:
    """Accuracy of every model on the largest tasks, and beside it the share of prompts each router sends it."""
    from plotly.subplots import make_subplots  # type: ignore[import-untyped]

    routers = [row for row in result.rows if row.role is Role.ROUTER][:_ROUTERS]
    if not result.tasks:
        return None
    names = list(result.tasks)
    accuracy = np.array([result.tasks[task] for task in names]).T
    order = np.argsort(np.nanmean(accuracy, axis=1))
    panels = [("accuracy", accuracy[order], "Cividis")]
    panels += [
        (f"sent by {row.name}", np.array([row.share[task] for task in names]).T[order], "Blues") for row in routers
    ]
    figure = make_subplots(
        rows=1,
        cols=len(panels),
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[title for title, *_ in panels],
    )
    for column, (_, values, colours) in enumerate(panels, start=1):
        text = [
            ["" if np.isnan(v) or (column > 1 and v < 0.005) else f"{100 * v:.0f}" for v in line] for line in values
        ]
        figure.add_heatmap(
            z=values,
            x=[f"{task} ({result.task_sizes[task]})" for task in names],
            y=[result.models[model] for model in order],
            text=text,
            texttemplate="%{text}",
            textfont={"size": 10},
            colorscale=colours,
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=1,
            ygap=1,
            row=1,
            col=column,
        )
    layout = _figure(190 + 24 * len(order) + (200 if len(names) > 1 else 0)).layout
    figure.update_layout(layout)
    figure.update_layout(
        title=_title("Accuracy of each model by task, and share of prompts sent to it, in %", result.name),
        width=min(1400, max(760, 330 + len(panels) * max(180, 40 * len(names)))),
        margin={"t": 110, "l": 20},
    )
    figure.update_xaxes(tickangle=-60, tickfont_size=11, showgrid=False)
    figure.update_yaxes(tickfont_size=11, automargin=True, showgrid=False)
    figure.update_xaxes(title="task (test prompts)", automargin=True)
    return figure


def win_loss(evaluation: Evaluation, kind: Kind) -> Figure | None:
    """Accuracy of each router minus best single and minus kNN, with intervals, for every data set of a setting."""
    results = [result for result in evaluation.settings if result.kind is kind and result.comparisons]
    points: dict[str, list[tuple[int, Interval]]] = {}
    for place, result in enumerate(results):
        for comparison in result.comparisons:
            if comparison.other.startswith(("best single", "kNN")) and "accuracy" in comparison.differences:
                label = f"{comparison.router} − {comparison.other}"
                points.setdefault(label, []).append((place, comparison.differences["accuracy"]))
    if not points:
        return None
    figure = _figure(
        230 + len(results) * (24 + 16 * len(points)),
        title=_title("Wins and losses by data set", kind.value),
        legend={"x": 1.02, "y": 1, "font_size": 12},
    )
    for number, (label, found) in enumerate(points.items()):
        mean, low, high = (
            100 * np.array([getattr(interval, part) for _, interval in found]) for part in ("mean", "low", "high")
        )
        shift = (number + 0.5) / len(points) - 0.5
        figure.add_scatter(
            x=mean,
            y=[place + 0.7 * shift for place, _ in found],
            name=label,
            mode="markers",
            marker={"symbol": SYMBOLS[number % 7], "size": 9, "color": OKABE_ITO[number % 8]},
            error_x={"type": "data", "array": high - mean, "arrayminus": mean - low, "thickness": 1.5},
        )
    figure.add_vline(x=0, line_color="#111", line_width=1)
    figure.update_xaxes(title="←  loses      difference in accuracy, points (95 % interval)      wins  →")
    figure.update_yaxes(
        tickvals=list(range(len(results))),
        ticktext=[result.dataset for result in results],
        range=[len(results) - 0.5, -0.5],
        automargin=True,
        showgrid=False,
    )
    figure.update_layout(width=1150, margin_r=300)
    return figure


def _own_front(curve: Curve) -> Curve:
    kept = np.flatnonzero(pareto_front(curve.cost, curve.quality))
    order = kept[np.argsort(curve.cost[kept], kind="stable")]
    return Curve(curve.cost[order], curve.quality[order])
