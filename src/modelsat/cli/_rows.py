"""What became of the rows of a file: one table at the end of a command that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelsat.cli.console import output

if TYPE_CHECKING:
    from modelsat.lab.tuning import Prompts


def show_rows(prompts: Prompts) -> None:
    """Print how many rows were read, how many left out, and why."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("rows", justify="right")
    table.add_column("")
    for kind, count in prompts.kinds.items():
        table.add_row(f"{count:,}", f"read: {kind}")
    if (merged := sum(prompts.kinds.values()) - len(prompts.records)) > 0:
        table.add_row(f"{merged:,}", "of these name another model or score of a prompt read before")
    for reason, count in prompts.skipped.items():
        table.add_row(f"{count:,}", f"left out: {escape(reason)}", style="yellow")
    output().print(table)
