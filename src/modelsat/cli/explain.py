"""``modelsat explain``: why a decision came out as it did."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli._progress import progress
from modelsat.cli.console import JSONOption, PolicyWeightsOption, ProfilesOption, load_registry, output, split_names

if TYPE_CHECKING:
    from rich.table import Table

    from modelsat.capability.registry import Registry
    from modelsat.inference import Scorer
    from modelsat.inference.attribution import Influence
    from modelsat.router import RoutingDecision

EXAMPLES = """[bold]Examples[/]

modelsat explain "Prove that the square root of 2 is irrational." --models gpt-5,claude-sonnet-4,Qwen3-8B

modelsat route - --models gpt-4o,gpt-4o-mini --json < question.txt > decision.json

modelsat explain decision.json --prompt - < question.txt
"""
_TASKS = 3


def explain(
    what: Annotated[
        str,
        typer.Argument(
            metavar="DECISION.json|PROMPT", help='A decision in a file ("-": on standard input), or a prompt.'
        ),
    ],
    prompt: Annotated[
        str | None,
        typer.Option(help='The prompt of the decision, which decisions do not hold; "-" reads it from standard input.'),
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option("--models", "-m", metavar="A,B,C", help="Candidates, where a prompt is given.")
    ] = None,
    profiles: ProfilesOption = None,
    policy: Annotated[str, typer.Option(help="How the choice is made, where a prompt is given.")] = "best",
    weights: PolicyWeightsOption = None,
    statements: Annotated[int, typer.Option(min=1, help="Number of statements shown for each model.")] = 5,
    as_json: JSONOption = False,
) -> None:
    """Explain a decision: scores, costs, who was left out, which figures mattered, which core tasks are near.

    What mattered is found by leaving out one capability statement at a time, for the chosen model and the runner-up; it
    needs the prompt.
    """
    from modelsat.inference import load_scorer
    from modelsat.request import extract_instruction
    from modelsat.storage.checkpoint import SHIPPED, shipped_name

    registry, extra = load_registry(profiles)
    names = split_names(models) or [profile.model for profile in extra]
    decision, text = _decide(what, prompt, names, registry, policy, weights)
    why: dict[str, list[Influence]] = {}
    near: list[tuple[str, float]] = []
    notes: list[str] = []
    if text is None:
        notes.append("with the prompt (--prompt TEXT, or - for standard input) it is shown which figures mattered")
    else:
        scorer = load_scorer(weights or shipped_name(decision.versions.get("weights", "")) or SHIPPED, keep=False)
        instruction = extract_instruction(text)[0]
        why = _influences(decision, scorer, registry, instruction, notes)
        near = _near(scorer, instruction)
        if (made := decision.versions.get("weights", scorer.version)) != scorer.version:
            notes.append(f"decided with {made}, explained with {scorer.version}")
    if as_json:
        typer.echo(_json(decision, why, near, notes))
    else:
        _show(decision, why, near, notes, statements)


def _decide(
    what: str, prompt: str | None, names: list[str], registry: Registry, policy: str, weights: str | None
) -> tuple[RoutingDecision, str | None]:
    """Return the decision to explain, and its prompt if there is one."""
    from modelsat.errors import ConfigurationError
    from modelsat.router import Router

    if what == "-" or what.endswith(".json") or _is_file(what):
        if what == prompt == "-":
            raise ConfigurationError("the decision and the prompt cannot both come from standard input")
        return _read(what), sys.stdin.read() if prompt == "-" else prompt
    if prompt is not None:
        raise ConfigurationError("give a decision and --prompt, or only a prompt: there is no file " + repr(what[:60]))
    if not names:
        raise ConfigurationError(
            f"{what[:60]!r} is not a file, so it is taken for a prompt, and there are no candidates: give model names, "
            "e.g. --models gpt-5,claude-sonnet-4 (see `modelsat models`)"
        )
    return Router(names, registry=registry, policy=policy, weights=weights).route(what), what


def _is_file(what: str) -> bool:
    try:
        return Path(what).is_file()
    except OSError:  # a prompt may be too long for a name
        return False


def _read(path: str) -> RoutingDecision:
    import json

    from pydantic import ValidationError

    from modelsat.errors import ConfigurationError
    from modelsat.router import RoutingDecision

    try:
        content: Any = json.loads(sys.stdin.read() if path == "-" else Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read a decision from {path}: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("routing_decision"), dict):
        content = content["routing_decision"]
    try:
        return RoutingDecision.model_validate(content)
    except ValidationError as error:
        from modelsat.validation import faults

        raise ConfigurationError(
            f"{path} holds no decision ({faults(error)[0]}): give what `modelsat route --json` or "
            "decision.model_dump_json() wrote"
        ) from error


def _influences(
    decision: RoutingDecision, scorer: Scorer, registry: Registry, text: str, notes: list[str]
) -> dict[str, list[Influence]]:
    """Return what mattered for the chosen model and the runner-up, as far as their profiles are known."""
    from modelsat.errors import UnknownModelError
    from modelsat.inference.attribution import influences

    others = [name for name in decision.scores if name != decision.model]
    found = {}
    for name in [decision.model, *others[:1]]:
        try:
            profile = registry.find(name)
        except UnknownModelError:
            notes.append(f"no profile is known for {name}: give it with --profiles to see which figures mattered")
            continue
        with progress(f"leaving out figures of {name}", len(profile.statements)) as advance:
            found[name] = influences(scorer, profile, text, advance)
        if not found[name]:
            notes.append(f"the profile of {name} has one figure only: there is none to leave out")
    return found


def _near(scorer: Scorer, text: str) -> list[tuple[str, float]]:
    from modelsat.inference.batched import BatchedScorer

    return scorer.nearest_tasks(text, _TASKS) if isinstance(scorer, BatchedScorer) else []


def _show(
    decision: RoutingDecision,
    why: dict[str, list[Influence]],
    near: list[tuple[str, float]],
    notes: list[str],
    count: int,
) -> None:
    from rich.markup import escape

    console = output()
    console.print(f"[bold]{escape(decision.explain())}[/]\n", highlight=False)
    console.print(_candidates(decision))
    for name, found in why.items():
        if found:
            role = "chosen" if name == decision.model else "runner-up"
            console.print(f"\n[bold]{escape(name)}[/] [dim]({role}): what its figures did to P(success)[/]")
            console.print(_statements(found, count))
    if near:
        console.print("\n[bold]Core tasks the prompt is most like[/] [dim](cosine)[/]")
        console.print(_tasks(near))
    for note in notes:
        console.print(f"[yellow]note:[/] {escape(note)}", highlight=False)


def _candidates(decision: RoutingDecision) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    names = ["candidate", "P(success)", "USD"]
    names += ["of which feedback"] if decision.corrections else []
    for name in names:
        table.add_column(name, justify="left" if name == "candidate" else "right")
    table.add_column("")
    for name, score in decision.scores.items():
        chosen = name == decision.model
        moved = decision.corrections.get(name)
        cells = [f"[bold green]{escape(name)}[/]" if chosen else escape(name), f"{score:.3f}"]
        cells.append(f"{decision.costs[name]:.2g}" if name in decision.costs else "[dim]–[/]")
        cells += ["" if moved is None else f"{moved:+.3f}"] if decision.corrections else []
        remark = "[green]chosen[/]" if chosen else f"[dim]{escape(str(decision.excluded.get(name, '')))}[/]"
        table.add_row(*cells, remark)
    for name, why in decision.excluded.items():
        if name not in decision.scores:
            table.add_row(f"[dim]{escape(name)}[/]", *["[dim]–[/]"] * (len(names) - 1), f"[dim]{escape(why.reason)}[/]")
    return table


def _tasks(near: list[tuple[str, float]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from modelsat.capability.tasks import find_task

    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    for name, cosine in near:
        known = find_task(name)
        about = f"[dim]{escape(known.description)}[/]" if known else ""
        table.add_row(f"{cosine:.2f}", escape(name), about)
    return table


def _statements(found: list[Influence], count: int) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 2), header_style="bold")
    table.add_column("effect", justify="right")
    table.add_column("figure", justify="right")
    table.add_column("task")
    for entry in found[:count]:
        style = "green" if entry.effect > 0 else "red"
        table.add_row(
            f"[{style}]{entry.effect:+.3f}[/]", f"{entry.statement.accuracy:.1%}", escape(entry.statement.task)
        )
    if len(found) > count:
        table.add_row("", "", f"[dim]and {len(found) - count} more[/]")
    return table


def _json(
    decision: RoutingDecision, why: dict[str, list[Influence]], near: list[tuple[str, float]], notes: list[str]
) -> str:
    import json

    content = {
        "decision": decision.model_dump(mode="json"),
        "statements": {
            name: [
                {"task": entry.statement.task, "accuracy": entry.statement.accuracy, "effect": entry.effect}
                for entry in found
            ]
            for name, found in why.items()
        },
        "core_tasks": [{"task": task, "cosine": cosine} for task, cosine in near],
        "notes": notes,
    }
    return json.dumps(content, indent=2)
