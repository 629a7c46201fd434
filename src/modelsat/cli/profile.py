"""``modelsat profile``: making, keeping and sharing capability profiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelsat.cli import profile_hub, profile_store
from modelsat.cli.console import output, split_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelsat.capability.profile import CapabilityProfile

EXAMPLES = """[bold]Examples[/]

modelsat profile from-outcomes outcomes.parquet --output profiles.json

modelsat profile from-outcomes outcomes.csv --items items.csv --models my-model,my-other-model --output profiles.json
"""

_GROUP_EXAMPLES = """[bold]Examples[/]

modelsat profile add my-model --benchmarks "GPQA=71.2, LiveCodeBench=62"

modelsat profile add --csv figures.csv

modelsat profile list

modelsat profile push org/profiles

modelsat profile pull org/profiles

modelsat profile from-outcomes outcomes.parquet --output profiles.json
"""

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Make, keep and share profiles of models.")


@app.callback(epilog=_GROUP_EXAMPLES)
def _profile() -> None:
    """Make, keep and share capability profiles of models.

    What is added, pulled or tested goes to your profile store, and every router and command knows it by name from then
    on. The store is a folder (MODELSAT_PROFILES names another), one JSON file a model.
    """


app.command(epilog=profile_store.ADD_EXAMPLES)(profile_store.add)
app.command("list", epilog=profile_store.LIST_EXAMPLES)(profile_store.list_)
app.command(epilog=profile_store.REMOVE_EXAMPLES)(profile_store.remove)
app.command(epilog=profile_store.BENCHMARKS_EXAMPLES)(profile_store.benchmarks)
app.command(epilog=profile_hub.PUSH_EXAMPLES)(profile_hub.push)
app.command(epilog=profile_hub.PULL_EXAMPLES)(profile_hub.pull)


@app.command(epilog=EXAMPLES)
def from_outcomes(
    outcomes: Annotated[
        Path, typer.Argument(help="Table with the columns item_id, model and score (0..1): .parquet, .csv or .jsonl.")
    ],
    profiles: Annotated[Path, typer.Option("--output", "-o", metavar="PROFILES.json", help="JSON file to write.")],
    items: Annotated[
        Path | None,
        typer.Option(help="Table with item_id, dataset and prompt; without it the ids alone say which items are core."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--models", "-m", metavar="A,B,C", help="Models by name; all that answered a core item if none."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output if it exists.")] = False,
) -> None:
    """Make profiles from logged outcomes on the items of the core tasks alone.

    A core item is an item of MMLU-Pro that the shipped manifest names, with the item_id mmlu_pro/QUESTION_ID or the
    plain QUESTION_ID. An outcome that is missing counts as not asked, not as wrong.
    """
    from modelsat.capability import save_profiles
    from modelsat.lab.outcomes.profiles import profiles_from_outcomes, read_core_outcomes

    _check_output(profiles, {outcomes, *([items] if items else [])}, force=force)
    table = read_core_outcomes(outcomes, items)
    made = profiles_from_outcomes(table, split_names(models) or None)
    save_profiles(made, profiles)
    _show(made, profiles)
    if not models and len(made) < len(table.models):
        count = len(table.models) - len(made)
        output().print(f"[dim]left out: {count} models without an outcome on a core item[/]", highlight=False)


def _check_output(path: Path, inputs: set[Path], *, force: bool) -> None:
    from modelsat.errors import ConfigurationError

    if path.suffix.casefold() != ".json":
        raise ConfigurationError(f"the output {path} must end in .json")
    if path.is_dir():
        raise ConfigurationError(f"cannot write {path}: it is a folder")
    if not path.parent.is_dir():
        raise ConfigurationError(f"cannot write {path}: there is no folder {path.parent}")
    if path.exists():
        if any(other.exists() and path.samefile(other) for other in inputs):
            raise ConfigurationError(f"cannot write {path}: it is the input")
        if not force:
            raise ConfigurationError(f"{path} exists: give --force to overwrite it")


def _show(made: Sequence[CapabilityProfile], path: Path) -> None:
    from rich.markup import escape
    from rich.table import Table

    from modelsat.capability.equating import equate

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("model", overflow="fold", min_width=28)
    for name in ("tasks", "items", "accuracy", "level"):
        table.add_column(name, justify="right")
    for profile in made:
        counts = [statement.items or 0 for statement in profile.statements]
        mean = sum(s.accuracy * n for s, n in zip(profile.statements, counts, strict=True)) / sum(counts)
        level = equate(profile).level
        table.add_row(escape(profile.model), str(len(counts)), f"{sum(counts):,}", f"{mean:.1%}", f"{level:+.2f}")
    console = output()
    console.print(table)
    plural = "" if len(made) == 1 else "s"
    console.print(f"{len(made)} profile{plural} in {path}", soft_wrap=True, highlight=False, markup=False)
