"""``modelsat score``: probabilities for a table of prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli.console import (
    ProfilesOption,
    RayAddressOption,
    RayOption,
    WeightsOption,
    errors,
    load_registry,
    output,
    split_names,
)

if TYPE_CHECKING:
    from modelsat.candidates import Candidate
    from modelsat.capability.profile import CapabilityProfile

EXAMPLES = """[bold]Examples[/]

modelsat score items.parquet --profiles mine.json --output scores.parquet

modelsat score s3://bucket/items --models gpt-5,gpt-4o --output s3://bucket/scores --ray --ray-address auto

modelsat score items.jsonl --models gpt-5,claude-sonnet-4 --output scores.parquet --force
"""


def score(
    items: Annotated[
        str,
        typer.Argument(
            help="Table with the columns item_id and prompt: .parquet, .csv or .jsonl; with --ray Parquet files or "
            "folders anywhere, e.g. s3://bucket/items."
        ),
    ],
    scores: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Parquet file to write: item_id, model, p (float32); with --ray a folder anywhere."
        ),
    ],
    profiles: ProfilesOption = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--models", "-m", metavar="A,B,C", help="Candidates by name, besides those of --profiles."),
    ] = None,
    weights: WeightsOption = "modelsat-nano",
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts handed to the network at a time.")] = 256,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output if it exists.")] = False,
    ray: RayOption = False,
    ray_address: RayAddressOption = None,
    ray_workers: Annotated[int, typer.Option(min=1, help="Workers of --ray, each with one CPU.")] = 2,
) -> None:
    """Score every prompt of a table for every candidate.

    The table is read twice, in parts: once to check it before any work is done, once to score it. The output appears
    under its name only when it is complete.
    """
    candidates = _candidates(profiles, split_names(models))
    if ray:
        from modelsat.server.cluster.connection import connect

        connect(ray_address)
        from modelsat.server.cluster.data import score_parquet

        names, described = [c.name for c in candidates], [c.profile for c in candidates]
        options: dict[str, Any] = {"weights": weights, "batch_size": batch_size, "workers": ray_workers, "force": force}
        score_parquet(items, scores, names, described, **options)
        done = f"scores of {len(candidates)} candidates in {scores}"
    else:
        total = _here(Path(items), Path(scores), candidates, weights, batch_size, force)
        counts = f"{total:,} prompts × {len(candidates)} candidates = {total * len(candidates):,}"
        done = f"{counts} scores in {scores}"
    output().print(done, soft_wrap=True, highlight=False, markup=False)


def _here(
    items: Path, scores: Path, candidates: tuple[Candidate, ...], weights: str, batch_size: int, force: bool
) -> int:
    """Score in this process; returns the number of prompts."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from modelsat.cli.scoring import check_output, score_table
    from modelsat.cli.tables import check_items, open_items

    check_output(scores, items, force=force)
    table = open_items(items)
    total = check_items(table)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors()) as progress:
        task = progress.add_task("scoring", total=total)
        score_table(
            table,
            candidates,
            scores,
            weights=weights,
            batch_size=batch_size,
            advance=lambda prompts: progress.advance(task, prompts),
        )
    return total


def _candidates(profiles: Path | None, names: list[str]) -> tuple[Candidate, ...]:
    from modelsat.candidates import resolve_candidates
    from modelsat.errors import ConfigurationError

    registry, extra = load_registry(profiles)
    given = {profile.model for profile in extra}
    entries: list[str | CapabilityProfile] = [*extra, *(name for name in names if name not in given)]
    if not entries:
        raise ConfigurationError(
            "there are no candidates: give --profiles PROFILES.json, or names such as --models gpt-5,claude-sonnet-4"
        )
    return resolve_candidates(entries, registry)
