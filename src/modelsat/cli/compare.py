"""``modelsat compare``: two capability profiles side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from modelsat.cli.console import JSONOption, ProfilesOption, bar, examples, grid, load_registry, output

if TYPE_CHECKING:
    from modelsat.lab.aptitude.compare import Comparison, Difference

EXAMPLES = examples(
    "modelsat compare my-model gpt-4o-mini",
    "modelsat compare Mixtral-8x7B-v0.1 Meta-Llama-3-70B --plot both.png",
)


def compare(
    first: Annotated[str, typer.Argument(help="A model's name, in any of its spellings.")],
    second: Annotated[str, typer.Argument(help="The model to compare it with.")],
    profiles: ProfilesOption = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw both (.png, .svg or .pdf).")] = None,
    as_json: JSONOption = False,
) -> None:
    """Compare the capability profiles of two models and mark what differs by more than chance."""
    from modelsat.lab.aptitude.compare import compare as compared
    from modelsat.lab.aptitude.compare import draw

    registry, _ = load_registry(profiles)
    found = registry.find(first), registry.find(second)
    comparison = compared(*found)
    if plot is not None:
        draw(found, plot)
    if as_json:
        typer.echo(json.dumps(asdict(comparison), ensure_ascii=False, indent=1))
    else:
        _show_comparison(comparison)


def _show_comparison(comparison: Comparison) -> None:
    console = output()
    first, second = (escape(name) for name in comparison.models)
    surely = "surely" if comparison.level_p < 0.05 else "not surely"
    console.print(
        f"ability level: [bold]{first}[/] {comparison.levels[0]:+.2f}, [bold]{second}[/] {comparison.levels[1]:+.2f} "
        f"({surely} different, p = {comparison.level_p:.2g})\n",
        highlight=False,
    )
    if comparison.fields:
        console.print(_table("field", comparison.fields, (first, second)))
    different = [line for line in comparison.tasks if line.significant]
    if different:
        console.print()
        console.print(_table("task", different, (first, second)))
    if not comparison.tasks:
        console.print("The two profiles share no task: only their levels compare.")
    for name, tasks in zip(comparison.models, comparison.only, strict=True):
        if tasks:
            listed = ", ".join(tasks[:6]) + (f" and {len(tasks) - 6} more" if len(tasks) > 6 else "")
            console.print(f"[dim]only of {escape(name)}: {escape(listed)}[/]", highlight=False)
    if comparison.tasks:
        console.print("[dim]*: more than chance, at most 5 % of those marked are wrongly so[/]", highlight=False)


def _table(title: str, lines: Sequence[Difference], models: tuple[str, str]) -> Table:
    from modelsat.lab.aptitude.compare import plain_name

    numbers = [Column(name, justify="right", overflow="fold") for name in (*models, "difference", "items")]
    table = grid(title, Column("", no_wrap=True, min_width=20), *numbers)
    for line in lines:
        difference = line.first - line.second
        style = ("green" if difference > 0 else "red") if line.significant else "dim"
        mark = "*" if line.significant else " "
        table.add_row(
            escape(plain_name(line.name)),
            bar(line.first, mark=line.second),
            f"{line.first:.1%}",
            f"{line.second:.1%}",
            f"[{style}]{100 * difference:+.1f}{mark}[/]",
            f"{line.items[0]} / {line.items[1]}",
        )
    return table
