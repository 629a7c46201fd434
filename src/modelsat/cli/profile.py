"""``modelsat profile``: make, keep, change and share capability profiles."""

from __future__ import annotations

import datetime
import difflib
import json
from collections.abc import Mapping, Sequence, Sized
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from modelsat.cli.console import JSONOption, check_output, errors, examples, fail, grid, note, output, say, split_names
from modelsat.errors import ConfigurationError, UnknownModelError

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile
    from modelsat.capability.store import ProfileStore


app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Make, keep and share profiles of models.")


@app.callback(
    epilog=examples(
        'modelsat profile add my-model --benchmarks "GPQA=71.2, LiveCodeBench=62"',
        "modelsat profile add --csv figures.csv",
        "modelsat profile list",
        "modelsat profile push org/profiles",
        "modelsat profile pull org/profiles",
        "modelsat profile from-outcomes outcomes.parquet --output profiles.json",
    )
)
def _profile() -> None:
    """Make, keep and share capability profiles of models.

    What is added, pulled or tested goes to your profile store, and every router and command knows it by name from then
    on. The store is a folder (MODELSAT_PROFILES names another), one JSON file a model.
    """


@app.command(
    epilog=examples(
        "modelsat profile from-outcomes outcomes.parquet --output profiles.json",
        "modelsat profile from-outcomes outcomes.csv --items items.csv --models my-model,my-other-model "
        "--output profiles.json",
    )
)
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

    check_output(profiles, ".json", inputs=[outcomes, items], force=force)
    table = read_core_outcomes(outcomes, items)
    made = profiles_from_outcomes(table, split_names(models) or None)
    save_profiles(made, profiles)
    _show(made, profiles)
    if not models and len(made) < len(table.models):
        left = len(table.models) - len(made)
        output().print(f"[dim]left out: {left} models without an outcome on a core item[/]", highlight=False)


def _show(made: Sequence[CapabilityProfile], path: Path) -> None:
    from modelsat.capability.equating import equate

    table = grid(Column("model", overflow="fold", min_width=28), ">tasks", ">items", ">accuracy", ">level")
    for profile in made:
        counts = [statement.items or 0 for statement in profile.statements]
        mean = sum(s.accuracy * n for s, n in zip(profile.statements, counts, strict=True)) / sum(counts)
        level = equate(profile).level
        table.add_row(escape(profile.model), str(len(counts)), f"{sum(counts):,}", f"{mean:.1%}", f"{level:+.2f}")
    output().print(table)
    say(f"{_count(made)} in {path}")


class UnitChoice(str, Enum):
    """What figures are in."""

    auto = "auto"
    percent = "percent"
    share = "share"


@app.command(
    epilog=examples(
        'modelsat profile add my-model --benchmarks "GPQA=71.2, LiveCodeBench=62"',
        'modelsat profile add my-model -b "GPQA=0.712" --source "https://example.com/card" --alias prod-chat',
        'modelsat profile add my-model -b "Support tickets=81" --allow-unknown --update',
        'modelsat profile add --csv figures.csv --tested-by "Evaluation team"',
    )
)
def add(
    model: Annotated[str | None, typer.Argument(help="The model's name, as routers will call it.")] = None,
    benchmarks: Annotated[
        str | None,
        typer.Option("--benchmarks", "-b", metavar='"NAME=VALUE, ..."', help="Published figures, percent or shares."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE.csv",
            help="Figures of many models: a column 'model' and one per benchmark, or the columns model, benchmark, "
            "accuracy and, if known, items and source.",
        ),
    ] = None,
    unit: Annotated[
        UnitChoice, typer.Option(help="Whether figures are percent (71.2) or shares (0.712), where that is ambiguous.")
    ] = UnitChoice.auto,
    source: Annotated[str, typer.Option(help="Where the figures come from: a page, a paper, a run.")] = "",
    tested_by: Annotated[str, typer.Option(help="Who measured.")] = "",
    date: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="When it was measured; today if not given.")] = "",
    alias: Annotated[list[str] | None, typer.Option("--alias", "-a", help="Another name of the model.")] = None,
    notes: Annotated[str, typer.Option(help="Free text, e.g. languages.")] = "",
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Accept unknown benchmarks; they count little.")
    ] = False,
    update: Annotated[bool, typer.Option("--update", help="Keep the other figures of an existing profile.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing profile.")] = False,
) -> None:
    """Add published figures of one or many models, so that they can be routed to by name.

    Percent and shares are both understood, mixed ones are refused: 71.2 is percent, 0.712 a share, 0.8% percent.
    """
    from modelsat.capability.figures import parse_benchmarks, profile_of_figures, read_figures, with_figures
    from modelsat.capability.store import ProfileStore

    _check_date(date)
    how: Any = {"unit": unit.value, "allow_unknown": allow_unknown}
    if table is not None:
        if model is not None or benchmarks is not None or alias:
            raise ConfigurationError(
                "--csv names the models and figures itself: leave MODEL, --benchmarks, --alias out"
            )
        found, origin = read_figures(table, **how), f"given in {table.name}"
    elif model and model.strip() and benchmarks is not None:
        found, origin = {model.strip(): parse_benchmarks(benchmarks, **how)}, "given"
    else:
        raise ConfigurationError(
            'give a model and its figures, e.g. my-model --benchmarks "GPQA=71.2, LiveCodeBench=62", or --csv FILE.csv'
        )
    fields: Any = {"tested_by": tested_by, "date": date, "aliases": tuple(split_names(alias)), "notes": notes}
    store = ProfileStore.default()
    made = [profile_of_figures(name, figures, source=source or origin, **fields) for name, figures in found.items()]
    there = {profile.model.strip().casefold(): profile for profile in store.load()}
    clash = [profile.model for profile in made if profile.model.casefold() in there]
    if clash and not (update or force):
        raise ConfigurationError(
            f"your store has a profile of {', '.join(clash)} already: --update keeps its other figures, --force "
            "replaces it"
        )
    if update:
        made = [
            with_figures(there[profile.model.casefold()], profile) if profile.model in clash else profile
            for profile in made
        ]
    for profile in made:
        store.save(profile)
    _show_added(made, store)


@app.command("list", epilog=examples("modelsat profile list", "modelsat profile list --json"))
def list_(as_json: JSONOption = False) -> None:
    """List the profiles in your store: added, pulled or tested."""
    from modelsat.capability.store import ProfileStore

    store = ProfileStore.default()
    profiles = store.load()
    if as_json:
        typer.echo(json.dumps([p.model_dump(mode="json") for p in profiles], ensure_ascii=False, indent=1))
        return
    if not profiles:
        say(f"No profiles in {store.folder} yet. Add one: modelsat profile add my-model --benchmarks 'GPQA=71.2'")
        return
    output().print(_profile_table(profiles))
    note(f"{len(profiles)} in {store.folder}; `modelsat show MODEL` has the figures")


@app.command(epilog=examples("modelsat profile remove my-model"))
def remove(models: Annotated[list[str], typer.Argument(help="Models of your store, by their own names.")]) -> None:
    """Remove profiles from your store; a shipped profile of the same name counts again."""
    from modelsat.capability.store import ProfileStore

    store = ProfileStore.default()
    names = {profile.model.strip().casefold(): profile.model for profile in store.load()}
    for model in models:
        if not store.delete(model):
            hint = _closest(model, names) or "see modelsat profile list"
            raise UnknownModelError(f"your store has no profile of {model!r}: {hint}")
        say(f"removed: {model}")


@app.command(epilog=examples("modelsat profile benchmarks", "modelsat profile benchmarks code"))
def benchmarks(query: Annotated[str, typer.Argument(help="Words to look for; all if omitted.")] = "") -> None:
    """List the benchmarks whose difficulty is known, under the names that figures are given by."""
    from modelsat.capability.tasks import catalogue

    words = query.casefold().split()
    dim = [Column(name, overflow="fold", style="dim") for name in ("about", "also called")]
    table = grid(Column("benchmark", overflow="fold"), *dim)
    for task in catalogue().values():
        text = " ".join((task.name, task.description, *task.aliases)).casefold()
        if task.family == "benchmark" and all(word in text for word in words):
            table.add_row(escape(task.name), escape(task.description), escape(", ".join(task.aliases)))
    if not table.row_count:
        raise ConfigurationError(f"no known benchmark has {query!r} in its name or keywords: try a shorter word")
    output().print(table)


def _check_date(text: str) -> None:
    try:
        if text:
            datetime.date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"--date takes YYYY-MM-DD, not {text!r}") from error


def _show_added(made: Sequence[CapabilityProfile], store: ProfileStore) -> None:
    from modelsat.capability.registry import Registry
    from modelsat.capability.tasks import reference

    for profile in made:
        figures = ", ".join(f"{s.task} {s.accuracy:.1%}" for s in profile.statements)
        output().print(f"[bold]{escape(profile.model)}[/]  {escape(figures)}", highlight=False, soft_wrap=True)
        if profile.model in Registry.shipped():
            shipped = Registry.shipped().find(profile.model).model
            errors().print(f"[dim]from now on it stands before the shipped profile of {escape(shipped)}[/]")
    if unplaced := sorted({s.task for profile in made for s in profile.statements if not reference(s.task).known}):
        errors().print(
            f"[dim]{escape(', '.join(unplaced))}: its difficulty is not known, so the figure counts little; "
            "give others too, or let the model take the test: modelsat test[/]",
            highlight=False,
            soft_wrap=True,
        )
    note(f"{_count(made)} saved in {store.folder}. Try: modelsat show {made[0].model}")


_ModelsOption = Annotated[
    list[str] | None, typer.Option("--models", "-m", metavar="A,B,C", help="Models by name; all if not given.")
]


@app.command(
    epilog=examples(
        "hf auth login",
        "modelsat profile push org/profiles",
        'modelsat profile push org/profiles --models my-model,my-other-model --tested-by "Evaluation team" --private',
    )
)
def push(
    repository: Annotated[
        str, typer.Argument(metavar="ORG/NAME[@BRANCH]", help="Data set; created if it does not exist.")
    ],
    models: _ModelsOption = None,
    tested_by: Annotated[
        str, typer.Option(help="Who tested, for measured profiles that do not say; your account if not given.")
    ] = "",
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Of a new data set; your account's default if neither.")
    ] = None,
    message: Annotated[str | None, typer.Option("--message", help="Message of the commit.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace other profiles of the same models.")] = False,
) -> None:
    """Share profiles of your store as a data set on the Hub, in one commit.

    Each file says who tested, when, with what version and settings.
    """
    from modelsat.capability.store import ProfileStore
    from modelsat.storage.profiles import push as push_profiles

    chosen = _chosen(ProfileStore.default().load(), split_names(models), "your store")
    pinned = push_profiles(chosen, repository, tested_by=tested_by, force=force, private=private, message=message)
    say(f"pushed {_count(chosen)}: {pinned}")
    say(f"others read them with: modelsat profile pull {pinned}")


@app.command(
    epilog=examples(
        "modelsat profile pull org/profiles",
        "modelsat profile pull org/profiles@5f0c9a... --models some-model",
        "modelsat profile pull org/profiles --dry-run",
    )
)
def pull(
    repository: Annotated[str, typer.Argument(metavar="ORG/NAME[@REVISION]", help="Data set of profiles.")],
    models: _ModelsOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace other profiles of the same models.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the profiles without saving them.")] = False,
) -> None:
    """Copy profiles from a data set on the Hub into your store.

    They are data: checked, bounded in size, never run. What cannot be used is named and left out; a profile of your own
    is never replaced without --force.
    """
    from modelsat.capability.store import ProfileStore
    from modelsat.storage.profiles import pull as pull_profiles

    pulled = pull_profiles(repository)
    chosen = _chosen(pulled.profiles, split_names(models), str(pulled.source))
    output().print(_profile_table(chosen))
    store = ProfileStore.default()
    there = {profile.model.strip().casefold(): profile for profile in store.load()}
    new, kept = [], []
    for profile in chosen:
        old = there.get(profile.model.strip().casefold())
        if force or old is None or _repository(old) == _repository(profile):
            new.append(profile)
        elif old.digest != profile.digest:
            kept.append(profile)
    if not dry_run:
        for profile in new:
            store.save(profile)
        same = len(chosen) - len(new) - len(kept)
        unchanged = f", {same} of your own are the same" if same else ""
        say(f"{_count(new)} of {pulled.source} saved in {store.folder}{unchanged}")
    problems = []
    if kept:
        problems.append(f"your store has other profiles of {', '.join(p.model for p in kept)}: --force replaces them")
    if pulled.refused:
        problems.append(f"left out: {', '.join(pulled.refused)}; see above")
    if problems:
        raise fail(". ".join(problems))


def _chosen(profiles: Sequence[CapabilityProfile], names: Sequence[str], where: str) -> list[CapabilityProfile]:
    by_name = {name.strip().casefold(): p for p in profiles for name in (*p.aliases, p.model)}
    unknown = [name for name in names if name.strip().casefold() not in by_name]
    if unknown:
        hint = _closest(unknown[0], {name: profile.model for name, profile in by_name.items()})
        raise UnknownModelError(f"no profile of {', '.join(map(repr, unknown))} in {where}{hint and f': {hint}'}")
    return list(dict.fromkeys(by_name[name.strip().casefold()] for name in names)) if names else list(profiles)


def _repository(profile: CapabilityProfile) -> str:
    """Where a profile was pulled from, without the commit; empty for one's own."""
    return profile.origin.partition("@")[0]


def _closest(name: str, models: Mapping[str, str]) -> str:
    """Say which models are spelled most like ``name``, given models by spelling; empty if none is."""
    near = difflib.get_close_matches(name.casefold(), models, n=3)
    return f"the closest are {', '.join(models[spelling] for spelling in near)}" if near else ""


def _count(profiles: Sized) -> str:
    """Say how many profiles there are."""
    return f"{len(profiles)} profile{'' if len(profiles) == 1 else 's'}"


def _profile_table(profiles: Sequence[CapabilityProfile]) -> Table:
    """Build a table of profiles: level, number of figures, and who measured when with what."""
    from modelsat.capability.equating import equate

    details = [Column(name, style="dim", overflow="fold") for name in ("date", "tested by", "with", "from")]
    table = grid(Column("model", overflow="fold", min_width=20), ">level", ">figures", *details)
    for p in profiles:
        level = f"{equate(p).level:+.2f}"
        texts = (p.date, p.tested_by, p.version, p.origin or p.provenance)
        table.add_row(escape(p.model), level, str(len(p.statements)), *map(escape, texts))
    return table
