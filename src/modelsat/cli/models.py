"""``modelsat models``, ``modelsat show`` and ``modelsat compare``: what is known of models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli.console import JSONOption, ProfilesOption, bar, load_registry, output

if TYPE_CHECKING:
    from rich.table import Table

    from modelsat.candidates.facts import ModelFacts
    from modelsat.capability.profile import CapabilityProfile
    from modelsat.lab.aptitude import Comparison
    from modelsat.lab.aptitude.compare import Difference

EXAMPLES = """[bold]Examples[/]

modelsat models

modelsat models "claude 3.5"

modelsat models llama --json
"""


def models(
    query: Annotated[str, typer.Argument(help="Words that a name or alias has to hold; all models if omitted.")] = "",
    profiles: ProfilesOption = None,
    as_json: JSONOption = False,
) -> None:
    """List the models the router knows, with their ability level."""
    from modelsat.errors import UnknownModelError

    registry, _ = load_registry(profiles)
    found = registry.search(query)
    if not found and not as_json:
        raise UnknownModelError(
            f"no model among {len(registry)} has {query!r} in its name: try a shorter word; `modelsat models` lists all"
        )
    rows = sorted((_row(profile) for profile in found), key=lambda row: -row["level"])
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        _show(rows, len(registry))


def _row(profile: CapabilityProfile) -> dict[str, Any]:
    from modelsat.capability.equating import equate

    return {
        "model": profile.model,
        "aliases": list(profile.aliases),
        "statements": len(profile.statements),
        "level": round(equate(profile, report=False).level, 3),
        "sources": sorted({statement.source for statement in profile.statements if statement.source}),
    }


def _show(rows: list[dict[str, Any]], total: int) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    table.add_column("model", no_wrap=True, min_width=28)
    for name in ("level", "figures", "aliases"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("sources", style="dim", overflow="ellipsis", no_wrap=True, ratio=1)  # gives way to the others
    for row in rows:
        table.add_row(*_cells(row))
    console = output()
    console.print(table)
    console.print(
        f"[dim]{len(rows)} of {total} models, best first. level: ability over all figures, each read against its task; "
        "`modelsat show MODEL` has the figures[/]",
        highlight=False,
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    from rich.markup import escape

    return (
        escape(row["model"]),
        f"{row['level']:+.2f}",
        str(row["statements"]),
        str(len(row["aliases"])),
        escape("; ".join(row["sources"])),
    )


SHOW_EXAMPLES = """[bold]Examples[/]

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
        _show_profile(profile)
        _show_facts(_facts(model, profile.model))


def _facts(*names: str) -> ModelFacts:
    """Return what the table knows under the first name that it knows."""
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
        for name, shown in _fact_rows(field, value):
            table.add_row(escape(name), escape(shown), escape(origin))
    console = output()
    console.print()
    if table.row_count:
        console.print(table)
        console.print("[dim]USD for a million tokens; what is not listed is unknown[/]", highlight=False)
    else:
        console.print("[dim]price, limits and abilities: unknown[/]", highlight=False)


def _show_profile(profile: CapabilityProfile) -> None:
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


def _fact_rows(field: str, value: Any) -> Iterator[tuple[str, str]]:
    """Name and value of the rows of one fact: of rates by length or service tier one for each."""
    services = {"": value} if field == "tiers" else value if field == "services" else None
    if services is None:
        yield field.removeprefix("abilities."), _plain(value)
        return
    for service, rates in services.items():
        for rate in rates:
            above = f"above {rate.above_tokens:,} tokens" if rate.above_tokens else ""
            yield ", ".join(filter(None, (service, above))), str(rate)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)


COMPARE_EXAMPLES = """[bold]Examples[/]

modelsat compare my-model gpt-4o-mini

modelsat compare Mixtral-8x7B-v0.1 Meta-Llama-3-70B --plot both.png
"""


def compare(
    first: Annotated[str, typer.Argument(help="A model's name, in any of its spellings.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    profiles: ProfilesOption = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw both (.png, .svg or .pdf).")] = None,
    as_json: JSONOption = False,
) -> None:
    """Compare the capability profiles of two models and mark what differs by more than chance."""
    from modelsat.lab.aptitude import compare as compared

    registry, _ = load_registry(profiles)
    found = registry.find(first), registry.find(second)
    comparison = compared(*found)
    if plot is not None:
        from modelsat.lab.aptitude.plot import draw

        draw(found, plot)
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(comparison), ensure_ascii=False, indent=1))
    else:
        _show_comparison(comparison)


def _show_comparison(comparison: Comparison) -> None:
    from rich.markup import escape

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
    from rich.markup import escape
    from rich.table import Table

    from modelsat.lab.aptitude.compare import plain_name

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(title)
    table.add_column("", no_wrap=True, min_width=20)
    for name in (*models, "difference", "items"):
        table.add_column(name, justify="right", overflow="fold")
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
