"""The tables of a setting: their columns, how numbers are written, and how a terminal shows them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modelsat.lab.evaluation.results import Comparison, Evaluation, PolicyRow, Role, Row, SettingResult


class Column(NamedTuple):
    """One metric as a column: its name in the results, its title, how it is written, +1 if higher is better or -1.

    A style is ``"share"`` (three decimals), ``"signed"``, ``"percent"``, or ``"usd"`` (for 1,000 prompts).
    """

    metric: str
    title: str
    style: str = "share"
    better: int = 1


QUALITY = (
    Column("accuracy", "accuracy"),
    Column("gain_over_random", "over random", "signed"),
    Column("gain_over_best_single", "over best single", "signed"),
    Column("gap_to_oracle", "to oracle", better=-1),
    Column("gap_closed", "gap closed", "percent"),
    Column("auc", "AUC"),
    Column("brier", "Brier", better=-1),
    Column("ece", "ECE", better=-1),
)
COST = (
    Column("apgr", "APGR"),
    Column("cpt_50", "CPT(50)", "percent", -1),
    Column("cpt_80", "CPT(80)", "percent", -1),
    Column("cpt_95", "CPT(95)", "percent", -1),
    Column("cost", "USD / 1,000", "usd", -1),
    Column("aiq", "AIQ"),
    Column("cost_saved_95", "saved at 95 %", "percent"),
    Column("cost_saved_99", "at 99 %", "percent"),
    Column("cost_saved_100", "at 100 %", "percent"),
    Column("pareto_distance", "to Pareto front", better=-1),
)
POLICY = (
    Column("cost", "USD / 1,000", "usd", -1),
    Column("accuracy", "accuracy"),
    Column("strong_share", "strong calls", "percent", -1),
    Column("aiq", "AIQ"),
    Column("cost_saved_95", "cost saved at 95 %", "percent"),
    Column("strong_saved_95", "strong calls saved at 95 %", "percent"),
)
_COMPARED = ("accuracy", "auc", "brier")
_GAP = 2
_STYLES = {Role.ANCHOR: "dim", Role.BASELINE: "", Role.CEILING: "italic dim", Role.ROUTER: "bold cyan"}
GLOSSARY = {
    "accuracy": "mean outcome of the routed answers",
    "gap closed": "share of the way from best single to oracle",
    "AUC": "mean over models of the area under the ROC curve of predicted success",
    "Brier": "mean squared error of P(success)",
    "ECE": "expected calibration error, 15 equally filled bins",
    "APGR, CPT(x)": "for the strongest model with each one at least 5 points weaker: mean gap recovered over all "
    "shares of strong calls, and the smallest share that recovers x % of the gap (RouteLLM)",
    "USD / 1,000": "cost of 1,000 prompts when quality alone decides",
    "AIQ": "mean height of the cost-quality hull between the cheapest and the dearest model (RouterBench)",
    "saved at x %": "cost saved against the best single model at x % of its quality, trade-off set in hindsight; – if "
    "not reached",
    "strong calls": "prompts sent to the best single model under a policy; saved at 95 %: the share that need not be "
    "sent there for 95 % of its quality, knob set in hindsight",
    "to Pareto front": "mean distance of a router's curve to the front of all, both axes scaled to the pool's span",
    "ceiling": "was given the unseen models' outcomes, which routers never saw",
}


def cell(row: Row | PolicyRow, column: Column) -> str:
    """Return a number as it is printed, with its spread over the seeds; a dash where there is none."""
    value = row.metrics.get(column.metric)
    if value is None or math.isnan(value):
        return "–"
    spread = row.spread.get(column.metric, 0.0) if isinstance(row, Row) else 0.0
    if column.style == "percent":
        return f"{round(100 * value)} %"
    if column.style == "usd":
        return f"{1000 * value:.3g}"
    text = f"{value:+.3f}" if column.style == "signed" else f"{value:.3f}"
    return f"{text} ±{spread:.3f}" if spread >= 0.0005 and column.metric in ("accuracy", "auc", "brier") else text


class Grid(NamedTuple):
    """A table as text: titles of labels and numbers, role, labels and numbers of each row, best row by column."""

    labels: list[str]
    titles: list[str]
    rows: list[tuple[Role, list[str], list[str]]]
    leaders: list[str | None]


def grids(result: SettingResult) -> Iterator[Grid]:
    """Yield the tables of a setting: quality, cost, policies and comparisons, as far as there are any."""
    for columns in (QUALITY, COST):
        kept = [column for column in columns if any(column.metric in row.metrics for row in result.rows)]
        if kept:
            rows = [(row.role, [_name(row)], [cell(row, column) for column in kept]) for row in result.rows]
            yield Grid(["router"], [c.title for c in kept], rows, [_best(result, column) for column in kept])
    if result.policies:
        order = [row.policy for row in result.policies]  # rows of one policy stand together
        ordered = sorted(result.policies, key=lambda row: order.index(row.policy))
        rows = [(row.role, [row.policy, row.router], [cell(row, column) for column in POLICY]) for row in ordered]
        yield Grid(["policy", "router"], [column.title for column in POLICY], rows, [None] * len(POLICY))
    if result.comparisons:
        rows = [
            (Role.BASELINE, [f"{pair.router} − {pair.other}"], [_difference(pair, metric) for metric in _COMPARED])
            for pair in result.comparisons
        ]
        label = "difference [95 % interval, paired bootstrap over prompts]"
        yield Grid([label], ["accuracy", "AUC", "Brier"], rows, [None] * len(_COMPARED))


def _best(result: SettingResult, column: Column) -> str | None:
    """Name of the row that is best in a column, anchors and ceilings aside."""
    rows = [row for row in result.rows if row.role in (Role.BASELINE, Role.ROUTER) and column.metric in row.metrics]
    return max(rows, key=lambda row: column.better * row.metrics[column.metric]).name if len(rows) > 1 else None


def _difference(comparison: Comparison, metric: str) -> str:
    """Return a difference with its interval, e.g. ``+0.012 [+0.003, +0.021]``; a dash where it was not measured."""
    found = comparison.differences.get(metric)
    return "–" if found is None else f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _name(row: Row) -> str:
    return f"{row.name} (ceiling)" if row.role is Role.CEILING else row.name


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the tables of every setting."""
    for result in evaluation.settings:
        console.print()
        console.rule(
            f"[bold]{escape(result.name)}[/] · {result.prompts:,} prompts, {len(result.models)} models", align="left"
        )
        for grid in grids(result):
            for part in _parts(grid, console.width):
                console.print(part)
        _show_notes(result.notes, console)
    _show_notes(evaluation.notes, console)


def _show_notes(notes: Sequence[str], console: Console) -> None:
    for note in notes:
        console.print(f"[dim]note: {escape(note)}[/]", highlight=False)


def _parts(grid: Grid, width: int) -> Iterator[Table]:
    """Yield the columns in groups that fit beside the labels: numbers are never cut."""
    beside = width - sum(max(len(row[1][place]) for row in grid.rows) + _GAP for place in range(len(grid.labels)))
    columns: list[int] = []
    room = beside
    for column, title in enumerate(grid.titles):
        needed = max(len(title), *(len(row[2][column]) for row in grid.rows)) + _GAP
        if columns and needed > room:
            yield _table(grid, columns)
            columns, room = [], beside
        columns.append(column)
        room -= needed
    yield _table(grid, columns)


def _table(grid: Grid, columns: list[int]) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="bold")
    for label in grid.labels:
        table.add_column(label.partition(" [")[0], no_wrap=True)
    for column in columns:
        table.add_column(grid.titles[column], justify="right", no_wrap=True)
    for role, labels, numbers in grid.rows:
        cells = (
            f"[bold green]{numbers[column]}[/]" if labels[0] == grid.leaders[column] else escape(numbers[column])
            for column in columns
        )
        table.add_row(*map(escape, labels), *cells, style=_STYLES[role])
    return table
