"""``modelsat show``: what is known about one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelsat.cli.console import JSONOption, ProfilesOption, bar, load_registry, output

if TYPE_CHECKING:
    from modelsat.candidates.facts import ModelFacts
    from modelsat.capability.profile import CapabilityProfile

EXAMPLES = """[bold]Examples[/]

modelsat show claude-sonnet-4

modelsat show ollama/llama3.1:8b-instruct-q4_K_M

modelsat show my-model --profiles mine.json --json

modelsat show azure/gpt-4o --facts
"""


def show(
    model: Annotated[str, typer.Argument(help="A model's name, in any of its spellings.")],
    profiles: ProfilesOption = None,
    facts: Annotated[
        bool, typer.Option("--facts", help="Only price, limits and abilities, each with where it comes from.")
    ] = False,
    as_json: JSONOption = False,
) -> None:
    """Show the capability profile of a model, as text and as bars, and its price, limits and abilities."""
    if facts:
        _show_only_facts(model, as_json)
        return
    registry, _ = load_registry(profiles)
    profile = registry.find(model)
    if as_json:
        typer.echo(profile.model_dump_json(indent=1))
    else:
        _show(profile)
        _show_facts(_facts(model, profile.model))


def _facts(*names: str) -> ModelFacts:
    """What the table knows under the first name that it knows."""
    from modelsat.candidates.facts import known_facts

    return next((found for name in names if (found := known_facts(name)).origins), known_facts(names[0]))


def _show_only_facts(model: str, as_json: bool) -> None:
    from modelsat.errors import UnknownModelError

    found = _facts(model)
    if as_json:
        typer.echo(found.model_dump_json(indent=1, exclude_none=True))
    elif not found.origins:
        raise UnknownModelError(
            f"no price, limit or ability is known for {model!r}; give them where you route, "
            f"facts={{{model!r}: {{'input_usd_per_mtok': 0.5, 'output_usd_per_mtok': 1.5}}}}"
        )
    else:
        _show_facts(found)


def _show_facts(facts: ModelFacts) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("fact")
    table.add_column("value", justify="right")
    table.add_column("origin", style="dim", overflow="fold")
    for field, (value, origin) in facts.known().items():
        table.add_row(escape(field.removeprefix("abilities.")), escape(_plain(value)), escape(origin))
    console = output()
    console.print()
    if table.row_count:
        console.print(table)
        console.print("[dim]USD for a million tokens; what is not listed is unknown[/]", highlight=False)
    else:
        console.print("[dim]price, limits and abilities: unknown[/]", highlight=False)


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
    if history := profile.history():
        console.print(f"[dim]{escape(history)}[/]", highlight=False, soft_wrap=True)
    console.print()
    console.print(table)
    console.print("[dim]bar: accuracy drawn towards what the other figures say if items are few; ┃ as given[/]\n")
    console.print(escape(profile.text()), highlight=False)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)
