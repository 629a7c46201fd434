"""``modelsat models``: the registry of known models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli.console import JSONOption, ProfilesOption, load_registry, output

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile

EXAMPLES = """[bold]Examples[/]

modelsat models

modelsat models "claude 3.5"

modelsat models llama --json
"""


def models(
    query: Annotated[str, typer.Argument(help="Words that a name or alias has to hold; all models if left out.")] = "",
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
