"""``modelsat profile push | pull``: profiles shared as a data set on the Hub."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from modelsat.cli.console import fail, grid, output, say, split_names
from modelsat.errors import UnknownModelError

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile

PUSH_EXAMPLES = """[bold]Examples[/]

hf auth login

modelsat profile push org/profiles

modelsat profile push org/profiles --models my-model,my-other-model --tested-by "Evaluation team" --private
"""
PULL_EXAMPLES = """[bold]Examples[/]

modelsat profile pull org/profiles

modelsat profile pull org/profiles@5f0c9a... --models some-model

modelsat profile pull org/profiles --dry-run
"""
_ModelsOption = Annotated[
    list[str] | None, typer.Option("--models", "-m", metavar="A,B,C", help="Models by name; all if not given.")
]


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
    say(f"pushed {count(chosen)}: {pinned}")
    say(f"others read them with: modelsat profile pull {pinned}")


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
    output().print(profile_table(chosen))
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
        say(f"{count(new)} of {pulled.source} saved in {store.folder}{unchanged}")
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
        hint = closest(unknown[0], {name: profile.model for name, profile in by_name.items()})
        raise UnknownModelError(f"no profile of {', '.join(map(repr, unknown))} in {where}{hint and f': {hint}'}")
    return list(dict.fromkeys(by_name[name.strip().casefold()] for name in names)) if names else list(profiles)


def _repository(profile: CapabilityProfile) -> str:
    """Where a profile was pulled from, without the commit; empty for one's own."""
    return profile.origin.partition("@")[0]


def closest(name: str, models: Mapping[str, str]) -> str:
    """Say which models are spelled most like ``name``, given models by spelling; empty if none is."""
    near = difflib.get_close_matches(name.casefold(), models, n=3)
    return f"the closest are {', '.join(models[spelling] for spelling in near)}" if near else ""


def count(profiles: Sized) -> str:
    """Say how many profiles there are."""
    return f"{len(profiles)} profile{'' if len(profiles) == 1 else 's'}"


def profile_table(profiles: Sequence[CapabilityProfile]) -> Table:
    """Build a table of profiles: level, number of figures, and who measured when with what."""
    from modelsat.capability.equating import equate

    details = [Column(name, style="dim", overflow="fold") for name in ("date", "tested by", "with", "from")]
    table = grid(Column("model", overflow="fold", min_width=20), ">level", ">figures", *details)
    for p in profiles:
        level = f"{equate(p).level:+.2f}"
        texts = (p.date, p.tested_by, p.version, p.origin or p.provenance)
        table.add_row(escape(p.model), level, str(len(p.statements)), *map(escape, texts))
    return table
