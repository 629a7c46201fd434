"""The tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modelsat.evaluation.report.tables import COST, QUALITY, Column, best, cell, difference, present
from modelsat.evaluation.results import Evaluation, Role, SettingResult

_STYLES = {Role.ANCHOR: "dim", Role.BASELINE: "", Role.CEILING: "italic dim", Role.ROUTER: "bold cyan"}


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the tables of every setting."""
    for result in evaluation.settings:
        console.print()
        console.rule(
            f"[bold]{escape(result.name)}[/] · {result.prompts:,} prompts, {len(result.models)} models", align="left"
        )
        for columns in (QUALITY, COST):
            kept = present(result, columns)
            if kept:
                console.print(_table(result, kept))
        if result.comparisons:
            console.print(_comparisons(result))
        for note in result.notes:
            console.print(f"[dim]note: {escape(note)}[/]", highlight=False)
    for note in evaluation.notes:
        console.print(f"[dim]note: {escape(note)}[/]", highlight=False)


def _table(result: SettingResult, columns: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("router", no_wrap=True)
    for column in columns:
        table.add_column(column.title, justify="right")
    leaders = [best(result, column) for column in columns]
    for row in result.rows:
        cells = (
            f"[bold green]{cell(row, column)}[/]" if row.name == leader else cell(row, column)
            for column, leader in zip(columns, leaders, strict=True)
        )
        suffix = " (ceiling)" if row.role is Role.CEILING else ""
        table.add_row(escape(row.name) + suffix, *cells, style=_STYLES[row.role])
    return table


def _comparisons(result: SettingResult) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title, justify in (("difference", "left"), ("accuracy", "right"), ("AUC", "right"), ("Brier", "right")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    for comparison in result.comparisons:
        cells = (difference(comparison, metric) for metric in ("accuracy", "auc", "brier"))
        table.add_row(escape(f"{comparison.router} − {comparison.other}"), *cells)
    return table
