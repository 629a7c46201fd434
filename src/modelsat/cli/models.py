"""``modelsat models`` and ``modelsat show``: what is known of models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column
from typer.core import TyperGroup

from modelsat.cli.console import JSONOption, ProfilesOption, bar, examples, grid, load_registry, note, output, say
from modelsat.errors import UnknownModelError

if TYPE_CHECKING:
    from modelsat.candidates.facts import ModelFacts
    from modelsat.capability.profile import CapabilityProfile
    from modelsat.capability.registry import Registry

_SURELY = 1.645
"""Standard errors below its level that a model is listed at: nineteen in twenty are better."""
EXAMPLES = examples(
    "modelsat models",
    'modelsat models "claude 3.5"',
    "modelsat models llama --json",
)


UPDATE_EXAMPLES = examples(
    "modelsat models update",
    "modelsat models update org/registry@v2",
)


class ModelsGroup(TyperGroup):
    """``modelsat models QUERY`` lists, ``modelsat models update`` is a command of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command ``list`` before what is none."""
        named = args and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["list", *args])


def update(
    repo: Annotated[
        str, typer.Argument(metavar="[ORG/NAME[@REVISION]]", help="Data set on the Hub that holds the registry.")
    ] = "",
    as_json: JSONOption = False,
) -> None:
    """Fetch the newest registry of known models and prices, check them, and say what they change.

    They are pinned to a commit, compared with their SHA-256 sums and read as data. Every router uses them from then on
    where they are newer than what the package brings; without a network, what is there stays in use.
    """
    from modelsat.storage.registry import DATA_SET, update_registry

    found = update_registry(repo or DATA_SET)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "source": str(found.source)}, ensure_ascii=False, indent=1))
        return
    for what, part in (("registry", found.models), ("prices", found.facts)):
        if part is None:
            continue
        use = "used from now on" if part.taken else f"not newer than those of {part.before}, which stay in use"
        say(f"{found.source}: the {what} of {part.date}: {use}")
        for name, names in (("added", part.added), ("changed", part.changed), ("removed", part.removed)):
            if names:
                more = f" and {len(names) - 12} more" if len(names) > 12 else ""
                say(f"{len(names)} {name}: {', '.join(names[:12])}{more}")


def models(
    query: Annotated[str, typer.Argument(help="Words that a name or alias must contain; all models if omitted.")] = "",
    profiles: ProfilesOption = None,
    as_json: JSONOption = False,
) -> None:
    """List the models the router knows: ability level and doubt, figures, efforts measured, date of the newest figure.

    Best first, by what the level is at least: a model of few figures stands behind one that many agree on.
    """
    registry, _ = load_registry(profiles)
    found = registry.search(query)
    if not found and not as_json:
        raise UnknownModelError(
            f"no model among {len(registry)} has {query!r} in its name: try a shorter word; `modelsat models` lists all"
        )
    rows = sorted((_row(profile, registry) for profile in found), key=lambda row: row["doubt"] * _SURELY - row["level"])
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        _show(rows, len(registry), registry.date)


def _row(profile: CapabilityProfile, registry: Registry) -> dict[str, Any]:
    from modelsat.capability.efforts import EFFORTS
    from modelsat.capability.equating import equate, level_error

    placed = equate(profile, report=False)
    measured = registry.figures(profile.model).statements
    efforts = {statement.effort for statement in measured}
    return {
        "model": profile.model,
        "aliases": list(profile.aliases),
        "statements": len(profile.statements),
        "level": round(placed.level, 3),
        "doubt": round(level_error(placed), 3),
        "efforts": [effort for effort in EFFORTS if effort in efforts],
        "date": max((statement.date for statement in measured), default="") or profile.date,
        "sources": sorted({statement.source for statement in profile.statements if statement.source}),
    }


def _show(rows: list[dict[str, Any]], total: int, date: str) -> None:
    numbers = [Column(name, justify="right", no_wrap=True) for name in ("level", "±", "figures")]
    efforts, dates = Column("efforts", no_wrap=True), Column("date", no_wrap=True, style="dim")
    table = grid(Column("model", overflow="fold", min_width=28), *numbers, efforts, dates)
    for row in rows:
        table.add_row(
            escape(row["model"]),
            f"{row['level']:+.2f}",
            f"{row['doubt']:.2f}",
            str(row["statements"]),
            "-".join(dict.fromkeys((*row["efforts"][:1], *row["efforts"][-1:]))),
            escape(row["date"][:7]),
        )
    output().print(table)
    note(
        f"{len(rows)} of {total} models{f', figures of {date}' if date else ''}, best first by what the level is "
        "at least. level: ability over all figures, each read against its task; ±: its standard error; efforts: "
        "those measured; date: of the newest figure. `modelsat show MODEL` has the figures"
    )


app = typer.Typer(
    cls=ModelsGroup,
    rich_markup_mode="rich",
    help="List the known models, and fetch newer figures.",
    epilog=f"{EXAMPLES}\n\nmodelsat models update",
)
app.command("list", epilog=EXAMPLES)(models)
app.command(epilog=UPDATE_EXAMPLES)(update)

SHOW_EXAMPLES = examples(
    "modelsat show claude-sonnet-4",
    "modelsat show gpt-5.6@low",
    "modelsat show ollama/llama3.1:8b-instruct-q4_K_M",
    "modelsat show my-model --profiles mine.json --json",
    "modelsat show azure/gpt-4o --facts",
)


def show(
    model: Annotated[str, typer.Argument(help="A model's name, in any of its spellings.")],
    profiles: ProfilesOption = None,
    facts: Annotated[
        bool, typer.Option("--facts", help="Only price, limits and abilities, each with where it comes from.")
    ] = False,
    as_json: JSONOption = False,
) -> None:
    """Show the capability profile of a model, as text and as bars, and its price, limits and abilities."""
    from modelsat.candidates import known_facts
    from modelsat.candidates.candidate import estimated
    from modelsat.capability.efforts import split_effort
    from modelsat.capability.equating import levels_by_effort

    if facts:
        _show_only_facts(model, as_json)
        return
    registry, _ = load_registry(profiles)
    name, effort = split_effort(model)
    known = model in registry
    guess = None if known else estimated(name, registry)
    profile = registry.find(model) if guess is None else guess.at_effort(effort)
    if as_json:
        typer.echo(profile.model_dump_json(indent=1))
        return
    _show_profile(profile)
    levels = levels_by_effort(registry.figures(model)) if known else {}
    if len(levels) > 1:
        shown = ", ".join(f"{effort} {level:+.2f}" for effort, level in levels.items())
        note(f"\nlevel by reasoning effort: {shown}")
    named = known_facts(name)
    _show_facts(named if named.origins else known_facts(profile.model))


def _show_only_facts(model: str, as_json: bool) -> None:
    from modelsat.candidates import known_facts

    found = known_facts(model)
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
    table = grid("fact", ">value", Column("origin", style="dim", overflow="fold"))
    for field, (value, origin) in facts.known().items():
        for name, shown in _fact_rows(field, value):
            table.add_row(escape(name), escape(shown), escape(origin))
    if table.row_count:
        output().print("", table, sep="\n")
        note("USD for a million tokens; what is not listed is unknown")
    else:
        note("\nprice, limits and abilities: unknown")


def _show_profile(profile: CapabilityProfile) -> None:
    from modelsat.capability.equating import equate, level_error

    placed = equate(profile)
    shrunk = placed.shrunk.tolist()
    rows = sorted(zip(profile.statements, shrunk, strict=True), key=lambda row: (-row[1], row[0].task))
    names = ("accuracy", "as given", "items", "effort")
    table = grid(
        Column("task", overflow="fold", min_width=20),
        Column("", no_wrap=True, min_width=10),
        *(Column(name, justify="right", no_wrap=True) for name in names),
        Column("source", style="dim", overflow="ellipsis", no_wrap=True, ratio=1),  # gives way to the others
        padding=(0, 1, 0, 0),
        expand=True,
    )
    for statement, accuracy in rows:
        doubt = f" ±{100 * statement.doubt:.0f}" if statement.doubt else ""
        table.add_row(
            escape(statement.task),
            bar(accuracy, width=10, mark=statement.accuracy),
            f"{accuracy:.1%}",
            f"{statement.accuracy:.1%}{doubt}",
            "?" if statement.items is None else f"{statement.items:,}",
            statement.effort,
            escape(statement.origin),
        )
        for source, other in statement.others.items():
            table.add_row("[yellow]  but[/]", "", "", f"[yellow]{other:.1%}[/]", "", "", escape(source))
    console = output()
    level = f"ability level {placed.level:+.2f} ± {level_error(placed):.2f}, {len(rows)} figures"
    level += f" at {profile.effort} effort" if profile.effort else ""
    guess = "~" if profile.estimated_from else ""
    console.print(f"[bold]{guess}{escape(profile.model)}[/]  [dim]{level}[/]", highlight=False)
    if profile.aliases:
        console.print(f"[dim]also: {escape(', '.join(profile.aliases))}[/]", highlight=False)
    if history := profile.history():
        console.print(f"[dim]{escape(history)}[/]", highlight=False, soft_wrap=True)
    console.print()
    console.print(table)
    console.print(
        "[dim]bar: accuracy drawn towards what the other figures say if items are few; ┃ as given; ±: doubt beyond "
        "that of the items, as sources differ (but: what another says), or it is of another effort or estimated[/]\n"
    )
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
