"""``modelsat feedback import``: outcomes that were logged before, as feedback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelsat.cli._progress import progress
from modelsat.cli.console import ProfilesOption, WeightsOption, load_registry, output, split_names

EXAMPLES = """[bold]Examples[/]

modelsat feedback import feedback.sqlite answered.jsonl --models gpt-4o,gpt-4o-mini,claude-3-haiku

modelsat feedback import redis://localhost:6379/0 runs.jsonl --models gpt-5,gpt-5-mini --outcomes scores.parquet
"""


def import_(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="The file of a feedback store, or redis://host:port/db.")
    ],
    prompts: Annotated[
        Path,
        typer.Argument(
            help="Prompts with outcomes: rows with prompt or messages, and outcomes, or model and score (.jsonl, "
            ".json, .csv, .parquet); or an export of LangSmith runs."
        ),
    ],
    models: Annotated[
        list[str] | None,
        typer.Option("--models", "-m", metavar="A,B,C", help="Candidates, by the names they have in the router."),
    ] = None,
    profiles: ProfilesOption = None,
    outcomes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Outcomes as a table: item_id, model, score in 0..1.")
    ] = None,
    weights: WeightsOption = "modelsat-nano",
    source: Annotated[str, typer.Option(help="Who says so.")] = "log",
    keep_prompts: Annotated[bool, typer.Option("--keep-prompts", help="Keep the texts, for an export.")] = False,
) -> None:
    """Start with what you know: outcomes of prompts that were answered before become feedback.

    A router with this store, the same weights and profiles, corrects its scores by them from its first request on.
    The store is made if it is not there. What was imported before is not counted twice.
    """
    from modelsat.candidates import resolve_candidates
    from modelsat.errors import ConfigurationError
    from modelsat.feedback import open_store
    from modelsat.feedback.logged import import_outcomes
    from modelsat.inference import load_scorer
    from modelsat.lab.tuning.prompts import read_prompts
    from modelsat.lab.tuning.run import read_outcomes_table
    from modelsat.request import extract_instruction

    registry, extra = load_registry(profiles)
    names = split_names(models) or [profile.model for profile in extra]
    if not names:
        raise ConfigurationError("there are no candidates: give --models A,B,C or --profiles FILE.json")
    candidates = {candidate.name: candidate.profile for candidate in resolve_candidates(names, registry)}
    more: dict[str, dict[str, float]] = {}
    if outcomes is not None:
        for (item, model), score in read_outcomes_table(outcomes).items():
            more.setdefault(item, {})[model] = score
    read = read_prompts(prompts)
    answered = [
        (extract_instruction(record.messages)[0], {**more.get(record.id, {}), **record.outcomes})
        for record in read.records
    ]
    opened = open_store(store)
    try:
        with progress("importing", len(answered)) as advance:
            found = import_outcomes(
                opened,
                load_scorer(weights),
                candidates,
                answered,
                source=source,
                keep_prompts=keep_prompts,
                advance=advance,
            )
    finally:
        opened.close()
    console = output()
    console.print(f"{found.feedback:,} outcomes of {found.prompts:,} prompts are feedback now", highlight=False)
    if found.known:
        console.print(f"{found.known:,} had been imported before", highlight=False)
    if found.others:
        console.print(f"{found.others:,} left out: of models that are no candidates", highlight=False)
    for reason, count in read.skipped.items():
        console.print(f"{count:,} row{'s' if count > 1 else ''} left out: {reason}", highlight=False, markup=False)
