"""``modelsat show``: what is known about one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelsat.cli.console import JSONOption, ProfilesOption, bar, load_registry, output

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile

EXAMPLES = """[bold]Examples[/]

modelsat show claude-sonnet-4

modelsat show ollama/llama3.1:8b-instruct-q4_K_M

modelsat show my-model --profiles mine.json --json
"""


def show(
    model: Annotated[str, typer.Argument(help="A model's name, in any of its spellings.")],
    profiles: ProfilesOption = None,
    as_json: JSONOption = False,
) -> None:
    """Show the capability profile of a model, as text and as bars."""
    registry, _ = load_registry(profiles)
    profile = registry.find(model)
    if as_json:
        typer.echo(profile.model_dump_json(indent=1))
    else:
        _show(profile)


def _show(profile: CapabilityProfile) -> None:
    from rich.markup import escape
    from rich.table import Table

    from modelsat.capability.equating import equate

    placed = equate(profile)
    shrunk = placed.shrunk.tolist()
    rows = sorted(zip(profile.statements, shrunk, strict=True), key=lambda row: (-row[1], row[0].task))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("task", overflow="fold")
    table.add_column("", no_wrap=True, min_width=20)
    table.add_column("accuracy", justify="right")
    table.add_column("as given", justify="right")
    table.add_column("items", justify="right")
    table.add_column("source", style="dim", overflow="ellipsis", no_wrap=True)
    for statement, accuracy in rows:
        items = "?" if statement.items is None else f"{statement.items:,}"
        table.add_row(
            escape(statement.task),
            bar(accuracy, mark=statement.accuracy),
            f"{accuracy:.1%}",
            f"{statement.accuracy:.1%}",
            items,
            escape(statement.source),
        )
    console = output()
    level = f"ability level {placed.level:+.2f}, {len(rows)} figures"
    console.print(f"[bold]{escape(profile.model)}[/]  [dim]{level}[/]", highlight=False)
    if profile.aliases:
        console.print(f"[dim]also: {escape(', '.join(profile.aliases))}[/]", highlight=False)
    console.print()
    console.print(table)
    console.print("[dim]bar: accuracy drawn towards what the other figures say if items are few; ┃ as given[/]\n")
    console.print(escape(profile.text()), highlight=False)
