"""The tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modelsat.lab.evaluation.report.tables import (
    COST,
    POLICY,
    QUALITY,
    Column,
    best,
    cell,
    difference,
    policy_order,
    present,
)
from modelsat.lab.evaluation.results import Evaluation, Role, Row, SettingResult

_GAP = 2
_WIDE = 110
"""Terminals at least this wide show differences in all metrics; narrower ones, in accuracy."""
_METRICS = ("accuracy", "auc", "brier")
_TITLES = {"auc": "AUC", "brier": "Brier"}
_STYLES = {Role.ANCHOR: "dim", Role.BASELINE: "", Role.CEILING: "italic dim", Role.ROUTER: "bold cyan"}


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the tables of every setting."""
    for result in evaluation.settings:
        console.print()
        console.rule(
            f"[bold]{escape(result.name)}[/] · {result.prompts:,} prompts, {len(result.models)} models", align="left"
        )
        for columns in (QUALITY, COST):
            for part in _parts(result, present(result, columns), console.width):
                console.print(_table(result, part))
        if result.policies:
            console.print(_policies(result))
        if result.comparisons:
            console.print(_comparisons(result, console.width))
        for note in result.notes:
            console.print(f"[dim]note: {escape(note)}[/]", highlight=False)
    for note in evaluation.notes:
        console.print(f"[dim]note: {escape(note)}[/]", highlight=False)


def _parts(result: SettingResult, columns: Sequence[Column], width: int) -> list[list[Column]]:
    """The columns in groups that fit beside the routers' names: numbers are never cut."""
    left = width - max(len(_name(row)) for row in result.rows) - _GAP
    parts: list[list[Column]] = []
    room = 0
    for column in columns:
        needed = max(len(column.title), *(len(cell(row, column)) for row in result.rows)) + _GAP
        if not parts or needed > room:
            parts.append([])
            room = left
        parts[-1].append(column)
        room -= needed
    return parts


def _name(row: Row) -> str:
    return f"{row.name} (ceiling)" if row.role is Role.CEILING else row.name


def _table(result: SettingResult, columns: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="bold")
    table.add_column("router", no_wrap=True)
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    leaders = [best(result, column) for column in columns]
    for row in result.rows:
        cells = (
            f"[bold green]{cell(row, column)}[/]" if row.name == leader else cell(row, column)
            for column, leader in zip(columns, leaders, strict=True)
        )
        table.add_row(escape(_name(row)), *cells, style=_STYLES[row.role])
    return table


def _policies(result: SettingResult) -> Table:
    """Grouped by policy, so that routers and baselines under one policy stand below each other."""
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="bold")
    table.add_column("policy")
    table.add_column("router")
    for column in POLICY:
        table.add_column(column.title, justify="right")
    for row in sorted(result.policies, key=lambda row: policy_order(result, row)):
        table.add_row(escape(row.policy), escape(row.router), *(cell(row, c) for c in POLICY), style=_STYLES[row.role])
    return table


def _comparisons(result: SettingResult, width: int) -> Table:
    shown = _METRICS if width >= _WIDE else _METRICS[:1]
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="bold")
    table.add_column("difference")
    for metric in shown:
        table.add_column(_TITLES.get(metric, metric), justify="right", no_wrap=True)
    for comparison in result.comparisons:
        cells = (difference(comparison, metric) for metric in shown)
        table.add_row(escape(f"{comparison.router} − {comparison.other}"), *cells)
    return table
