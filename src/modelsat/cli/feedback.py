"""``modelsat feedback``: what a store holds, export, import of outcomes that were logged before."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from modelsat.cli.console import (
    JSONOption,
    ProfilesOption,
    WeightsOption,
    examples,
    grid,
    load_registry,
    note,
    output,
    progress,
    say,
    show_rows,
    split_names,
)
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from modelsat.feedback import Calibrator
    from modelsat.feedback.calibration import ModelState

EXAMPLES = examples(
    "modelsat feedback status feedback.sqlite",
    "modelsat feedback export redis://localhost:6379/0 --output outcomes.parquet --items items.parquet",
    "modelsat feedback give feedback.sqlite 8f0c0f7e5a9b4d6f 1.0",
)
_NAMED_FIELDS = 3
_REPORTED_POINTS = 1.0

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Feedback on answers: what it says about each model, its import from logs and its export for training.",
    epilog=EXAMPLES,
)

StoreArgument = Annotated[
    str, typer.Argument(metavar="STORE", help="The file of a feedback store, or redis://host:port/db.")
]


@app.command()
def status(store: StoreArgument, as_json: JSONOption = False) -> None:
    """Show how each model does against what the network expects, and which ones got worse or better."""
    from modelsat.feedback import Calibrator, open_store

    calibrator = Calibrator(quiet=True)
    with closing(open_store(store, create=False)) as opened:
        counts = opened.counts()
        with progress("reading feedback", counts.feedback) as advance:
            for observation in opened.observations():
                calibrator.observe(observation)
                advance()
    if as_json:
        found = {"store": opened.name, "decisions": counts.decisions, "feedback": counts.feedback}
        typer.echo(json.dumps({**found, **_content(calibrator)}, indent=2))
        return
    share = f" ({counts.feedback / counts.decisions:.0%})" if counts.decisions else ""
    kept = f", {counts.prompts:,} with their prompt" if counts.prompts else ", prompts are not kept"
    say(f"{counts.decisions:,} decisions{kept}; {counts.feedback:,} with feedback{share}\n")
    _show(calibrator)


@app.command()
def export(
    store: StoreArgument,
    destination: Annotated[Path, typer.Option("--output", "-o", metavar="OUTCOMES.parquet", help="Table to write.")],
    items: Annotated[
        Path | None,
        typer.Option(metavar="ITEMS.parquet", help="Write the prompts as well, where the store keeps them."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Write the feedback as a table of outcomes that modelsat train and modelsat evaluate read."""
    from modelsat.feedback import open_store
    from modelsat.feedback.outcomes import export_outcomes

    for path in (destination, items):
        if path is not None and path.exists() and not force:
            raise ConfigurationError(f"{path} exists: choose another name, or overwrite it with --force")
    with (
        closing(open_store(store, create=False)) as opened,
        progress("exporting", opened.counts().feedback) as advance,
    ):
        written = export_outcomes(opened, destination, items, advance)
    say(f"{written.outcomes:,} outcomes written to {destination}")
    if written.merged:
        say(f"{written.merged:,} feedbacks on the same prompt and model were averaged")
    if items is not None:
        say(f"{written.items:,} prompts written to {items}")
        if written.without_prompt:
            say(f"{written.without_prompt:,} feedbacks left out: their prompt is not kept")


@app.command(epilog="[bold]Example[/]\n\nmodelsat feedback give feedback.sqlite 8f0c0f7e5a9b4d6f 0.0 --source judge")
def give(
    store: StoreArgument,
    decision: Annotated[str, typer.Argument(help="The decision's id.")],
    score: Annotated[float, typer.Argument(help="0 (bad) to 1 (good).")],
    source: Annotated[str, typer.Option(help="Source of the outcomes, recorded with the feedback.")] = "user",
) -> None:
    """Record how good the answer to a decision was."""
    from modelsat.feedback import open_store
    from modelsat.feedback.base import check_feedback

    record = check_feedback(decision, score, source)
    with closing(open_store(store, create=False)) as opened:
        opened.add_feedback(record)
    say(f"{record.score:g} recorded for {record.decision}")


def _content(calibrator: Calibrator) -> dict[str, object]:
    return {
        "models": [
            {
                **subject._asdict(),
                "feedback": state.seen,
                "score": state.score / state.seen,
                "expected": state.expected / state.seen,
                "offset": state.shift,
                "offset_deviation": state.deviation,
                "fields": {
                    name: float(state.offset.mean[0] + mean)
                    for name, mean in zip(state.offset.fields, state.offset.mean[1:], strict=True)
                },
                "suspicion": state.test.suspicion,
                "last": state.time,
            }
            for subject, state in calibrator.models.items()
        ],
        "drifts": [asdict(drift) for drift in calibrator.drifts],
    }


def _show(calibrator: Calibrator) -> None:
    models = calibrator.models
    if not models:
        say("no feedback yet: give it with router.feedback(decision.id, score)")
        return
    table = grid("candidate", ">feedbacks", ">mean", ">expected", ">now", "most in", "changes")
    for subject, state in models.items():
        table.add_row(
            escape(subject.model),
            f"{state.seen:,}",
            f"{state.score / state.seen:.2f}",
            f"{state.expected / state.seen:.2f}",
            _points(state),
            escape(_fields(state)),
            _changes(state),
        )
    output().print(table)
    note(
        "mean: of the feedback; expected: of the network's P(success) on the same prompts; now: what is added to it, "
        "in points around its mean, ± one standard deviation"
    )
    if len({subject.model for subject in models}) < len(models):
        note(
            "a candidate stands there once for each version of weights and profile; only the present ones count in a "
            "router"
        )


def _points(state: ModelState) -> str:
    """Return the offset as points around the mean of the network's scores."""
    from modelsat.feedback.offsets import logit, sigmoid

    middle = state.expected / state.seen
    p = sigmoid(logit(middle) + state.shift)
    return f"{100.0 * (p - middle):+.0f} ± {100.0 * p * (1.0 - p) * state.deviation:.0f}"


def _fields(state: ModelState) -> str:
    """Return the fields in which the model differs most from what it is on the whole, in points."""
    middle = state.expected / state.seen
    slope = 100.0 * middle * (1.0 - middle)
    found = sorted(
        ((slope * (state.offset.shift({name: 1.0}) - state.shift), name) for name in state.offset.fields),
        key=lambda pair: -abs(pair[0]),
    )
    return ", ".join(
        f"{name} {points:+.0f}" for points, name in found[:_NAMED_FIELDS] if abs(points) >= _REPORTED_POINTS
    )


def _changes(state: ModelState) -> str:
    if not state.drifts:
        return "[dim]none[/]" if state.test.suspicion < 0.5 else f"[yellow]suspected ({state.test.suspicion:.0%})[/]"
    drift = state.drifts[-1]
    style = "red" if drift.direction == "worse" else "green"
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(drift.time))
    ago = state.seen - drift.seen
    return f"[{style}]{drift.direction} by {abs(drift.points):.0f} points[/], noticed {day}, {ago} feedbacks ago"


IMPORT_EXAMPLES = examples(
    "modelsat feedback import feedback.sqlite answered.jsonl --models gpt-4o,gpt-4o-mini,claude-3-haiku",
    "modelsat feedback import redis://localhost:6379/0 runs.jsonl --models gpt-5,gpt-5-mini --outcomes scores.parquet",
)


@app.command("import", epilog=IMPORT_EXAMPLES)
def import_(
    store: StoreArgument,
    prompts: Annotated[
        Path,
        typer.Argument(
            help="Prompts with outcomes: rows with prompt or messages, and outcomes, or model and score (.jsonl, "
            ".json, .csv, .parquet); or an export of LangSmith or Langfuse, results of Promptfoo, Inspect or lm-eval."
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
    source: Annotated[str, typer.Option(help="Source of the outcomes, recorded with the feedback.")] = "log",
    keep_prompts: Annotated[bool, typer.Option("--keep-prompts", help="Keep the texts, for an export.")] = False,
) -> None:
    """Import outcomes of prompts that were answered before as feedback.

    A router with this store, the same weights and profiles, corrects its scores by them from its first request on.
    The store is created if it does not exist. What was imported before is not counted twice.
    """
    from modelsat.candidates import resolve_candidates
    from modelsat.feedback import open_store
    from modelsat.feedback.outcomes import import_outcomes
    from modelsat.inference import load_scorer
    from modelsat.lab.outcomes.names import NameMatcher
    from modelsat.lab.tuning.prompts import read_prompts
    from modelsat.lab.tuning.run import read_outcomes_table
    from modelsat.request import extract_instruction

    registry, extra = load_registry(profiles)
    names = split_names(models) or [profile.model for profile in extra]
    if not names:
        raise ConfigurationError("there are no candidates: give --models A,B,C or --profiles FILE.json")
    candidates = resolve_candidates(names, registry)
    matcher = NameMatcher(candidates, registry)
    more: dict[str, dict[str, float]] = {}
    if outcomes is not None:
        for (item, model), score in read_outcomes_table(outcomes).items():
            more.setdefault(item, {})[model] = score
    read = read_prompts(prompts)
    answered = [
        (
            extract_instruction(record.messages)[0],
            {**matcher.outcomes(more.get(record.id, {})), **matcher.outcomes(record.outcomes)},
        )
        for record in read.records
    ]
    matcher.check()
    with closing(open_store(store)) as opened, progress("importing", len(answered)) as advance:
        found = import_outcomes(
            opened,
            load_scorer(weights),
            {candidate.name: candidate.profile for candidate in candidates},
            answered,
            source=source,
            keep_prompts=keep_prompts,
            advance=advance,
        )
    say(f"{found.feedback:,} outcomes of {found.prompts:,} prompts are feedback now")
    if found.known:
        say(f"{found.known:,} had been imported before")
    if matcher.unmatched:
        say(f"{matcher.unmatched.total():,} left out: of models that are not candidates: {matcher.listed()}")
    if read.unjudged:
        say(f"{read.unjudged:,} results carry no outcome")
    show_rows(read)
