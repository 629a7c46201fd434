"""``modelsat explain``: why a decision came out as it did."""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from modelsat.cli.console import (
    JSONOption,
    PolicyWeightsOption,
    ProfilesOption,
    examples,
    grid,
    load_registry,
    output,
    progress,
    split_names,
)
from modelsat.errors import ConfigurationError, UnknownModelError

if TYPE_CHECKING:
    from rich.table import Table

    from modelsat.capability.profile import CapabilityProfile
    from modelsat.capability.registry import Registry
    from modelsat.inference import Scorer
    from modelsat.inference.attribution import Influence
    from modelsat.router import RoutingDecision

EXAMPLES = examples(
    'modelsat explain "Prove that the square root of 2 is irrational." --models gpt-5,claude-sonnet-4,Qwen3-8B',
    "modelsat route - --models gpt-4o,gpt-4o-mini --json < question.txt > decision.json",
    "modelsat explain decision.json --prompt - < question.txt",
)


_OTHER_POLICIES = ("best", "near_best(margin=0.02)", "cheapest(target=0.8)", "knob(5)", "knob(0)")
"""What else could have been asked for; the last is the cheapest whatever it can do."""
_MATTERS = 0.01
"""Change of P(success) below which a figure does not matter."""
_FIGURES = 3
_KINDS = {
    "arithmetic": "an amount",
    "mathematics": "a derivation",
    "choice": "one of the options it gives",
    "code reading": "what a program does",
    "fact": "a plain fact",
    "courtesy": "small talk",
    "call": "a call of a tool",
    "open": "free text",
}


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
    """Explain a decision: the prompt, the candidates, who was struck by what, which figures mattered, how sure.

    What mattered is found by leaving out one capability statement at a time, for the chosen model and the runner-up; it
    needs the prompt.
    """
    from modelsat.inference import load_scorer
    from modelsat.request import extract_instruction
    from modelsat.storage.checkpoint import SHIPPED, shipped_name

    registry, extra = load_registry(profiles)
    names = split_names(models) or [profile.model for profile in extra]
    decision, text = _decide(what, prompt, names, registry, policy, weights)
    found = _Explanation(decision, others=_other_choices(decision))
    if text is None:
        found.notes.append(
            "with the prompt (--prompt TEXT, or - for standard input) it is shown which figures mattered"
        )
    else:
        scorer = load_scorer(weights or shipped_name(decision.versions.get("weights", "")) or SHIPPED, keep=False)
        instruction = extract_instruction(text)[0]
        _weigh_figures(found, registry, scorer, instruction)
        _read_prompt(found, scorer, instruction)
        if (made := decision.versions.get("weights", scorer.version)) != scorer.version:
            found.notes.append(f"decided with {made}, explained with {scorer.version}")
    if as_json:
        typer.echo(json.dumps(found.data(), indent=2))
    else:
        _show(found, statements)


@dataclass
class _Explanation:
    """What is known about a decision besides itself."""

    decision: RoutingDecision
    kind: str = ""  # of answer that the prompt asks for; empty without the prompt
    fields: Mapping[str, float] = field(default_factory=dict)  # their shares in the prompt, largest first
    difficulty: float | None = None  # share of the known models that more likely fail than not, 0..1
    known: int = 0  # how many models that is a share of
    percentile: float | None = None  # share of the first field's logged prompts that are easier to them, 0..1
    profiles: dict[str, CapabilityProfile] = field(default_factory=dict)  # of the candidates that are known
    influences: dict[str, Sequence[Influence]] = field(default_factory=dict)  # by model: the chosen, the runner-up
    others: Mapping[str, str] = field(default_factory=dict)  # policy -> what it would have chosen
    notes: list[str] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "decision": self.decision.model_dump(mode="json"),
            "kind": self.kind,
            "fields": dict(self.fields),
            "difficulty": self.difficulty,
            "percentile": self.percentile,
            "sure": _sureness(self.decision),
            "known_by": {name: _known_by(profile) for name, profile in self.profiles.items()},
            "statements": {
                name: [
                    {"task": entry.statement.task, "accuracy": entry.statement.accuracy, "effect": entry.effect}
                    for entry in found
                ]
                for name, found in self.influences.items()
            },
            "other_policies": dict(self.others),
            "notes": self.notes,
        }


def _decide(
    what: str, prompt: str | None, names: list[str], registry: Registry, policy: str, weights: str | None
) -> tuple[RoutingDecision, str | None]:
    """Return the decision to explain, and its prompt if there is one."""
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
    from pydantic import ValidationError

    from modelsat.router import RoutingDecision
    from modelsat.validation import faults

    try:
        content: Any = json.loads(sys.stdin.read() if path == "-" else Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read a decision from {path}: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("routing_decision"), dict):
        content = content["routing_decision"]
    try:
        return RoutingDecision.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(
            f"{path} holds no decision ({faults(error)[0]}): give what `modelsat route --json` or "
            "decision.model_dump_json() wrote"
        ) from error


def _weigh_figures(found: _Explanation, registry: Registry, scorer: Scorer, text: str) -> None:
    """Add the known profiles, and what mattered for the chosen model and the runner-up."""
    from modelsat.inference.attribution import influences

    decision = found.decision
    for name in decision.scores:
        try:
            found.profiles[name] = registry.find(name)
        except UnknownModelError:
            found.notes.append(f"no profile is known for {name}: give it with --profiles to see what it is known by")
    others = [name for name in decision.scores if name != decision.model]
    for name in [decision.model, *others[:1]]:
        if (profile := found.profiles.get(name)) is None:
            continue
        with progress(f"leaving out figures of {name}", len(profile.statements)) as advance:
            found.influences[name] = influences(scorer, profile, text, advance)
        if not found.influences[name]:
            found.notes.append(f"the profile of {name} has one figure only: there is none to leave out")


def _read_prompt(found: _Explanation, scorer: Scorer, text: str) -> None:
    """Add what the prompt asks for, its fields, and how hard it is, among the field's prompts too."""
    from modelsat.candidates.completion import answer_kind
    from modelsat.capability.registry import Registry

    found.kind = answer_kind(text)
    known = list(Registry.shipped())
    scores = scorer.score([text], known)
    (shares,) = scores.by_field()
    found.fields = dict(sorted(shares.items(), key=lambda entry: -entry[1]))
    found.known = len(known)
    found.difficulty = round(float((scores.p[0] < 0.5).mean()), 3)
    if found.fields:
        found.percentile = percentile(scorer.version, next(iter(found.fields)), 1.0 - float(scores.p[0].mean()))


def percentile(weights: str, field: str, difficulty: float) -> float | None:
    """The share of a field's prompts that are easier, 0..1, to a twentieth; ``None`` where none were scored.

    The prompts are logged ones, of exams and traffic: ``recipes/difficulty.py``.

    Args:
        weights: Version of the weights that scored.
        field: Name of the field.
        difficulty: One minus the mean P(success) of the shipped registry's models.
    """
    scored = json.loads(files("modelsat.cli").joinpath("data", "difficulty.json").read_text("utf-8"))
    quantiles = scored.get(weights.partition("@")[0], {}).get("fields", {}).get(field)
    if quantiles is None:
        return None
    return max(0, bisect_left(quantiles, difficulty) - 1) / (len(quantiles) - 1)


def _other_choices(decision: RoutingDecision) -> dict[str, str]:
    """Find what other policies choose of the same scores; those that weigh costs only where all prices are known."""
    from modelsat.policies import Scored, resolve_policy

    scored = [
        Scored(name, score, decision.costs.get(name), interval=decision.intervals.get(name))
        for name, score in decision.scores.items()
    ]
    priced = all(candidate.cost is not None for candidate in scored)
    chosen = {}
    for text in _OTHER_POLICIES if scored else ():
        policy = resolve_policy(text)
        if priced or not getattr(policy, "needs_prices", False):
            chosen[text] = policy.choose(scored).name
    return chosen


def _sureness(decision: RoutingDecision) -> str:
    """Say how sure the decision is, in a sentence; empty where nothing was scored."""
    score, interval = decision.score, decision.intervals.get(decision.model)
    if score is None:
        return ""
    said = f"P(success) of {decision.model} is {score:.2f}"
    if interval is not None:
        said += f", between {interval[0]:.2f} and {interval[1]:.2f} as far as its profile is known (90 %)"
    other = next((name for name in decision.scores if name != decision.model), None)
    if other is None:
        return said
    lead = score - decision.scores[other]
    if interval is None or (around := decision.intervals.get(other)) is None:
        return f"{said}; {abs(lead):.2f} {'above' if lead >= 0 else 'below'} {other}"
    apart = interval[0] > around[1] or interval[1] < around[0]
    verdict = "more than" if apart else "no more than"
    where = "above" if lead >= 0 else "below"
    return f"{said}; {abs(lead):.2f} {where} {other}, {verdict} what the profiles leave open"


def _known_by(profile: CapabilityProfile) -> str:
    """Say what a model is known by: how many figures, and those on the most items."""
    statements = profile.statements
    if profile.estimated_from:
        return f"nobody has measured it: estimated from {', '.join(profile.estimated_from)}"
    largest = sorted(statements, key=lambda statement: -statement.effective_items(100))[:_FIGURES]
    figures = ", ".join(f"{statement.accuracy:.0%} on {statement.task}" for statement in largest)
    count = len(statements)
    return f"{count} figure{'s' if count > 1 else ''}: {figures}{', ...' if count > len(largest) else ''}"


def _show(found: _Explanation, count: int) -> None:
    """Print it: the choice, the prompt, the candidates, who was struck, what mattered, what else, how sure."""
    console, decision = output(), found.decision

    def section(head: str, lines: Sequence[str]) -> None:
        if lines:
            console.print(f"\n[bold]{escape(head)}[/]")
        for line in lines:
            console.print(f"  {escape(line)}", highlight=False)

    console.print(f"[bold]{escape(decision.explain())}[/]\n", highlight=False)
    if found.kind:
        console.print(f"[bold]Prompt:[/] {escape(_prompt(found))}\n", highlight=False)
    console.print(_candidates(decision))
    struck = {name: why for name, why in decision.excluded.items() if name not in decision.scores}
    section("Struck", [f"{name}: {why} ({why.kind.replace('_', ' ')})" for name, why in struck.items()])
    section("Known by", [f"{name}: {_known_by(profile)}" for name, profile in found.profiles.items()])
    for name, effects in found.influences.items():
        section(f"What mattered for {name}", _mattered(effects, count) if effects else [])
    if found.others:
        console.print("\n[bold]Other policies, on the same scores[/]")
        console.print(_policies(found.others, decision))
    if sure := _sureness(decision):
        console.print(f"\n[bold]How sure:[/] {escape(sure)}.", highlight=False)
    for note in found.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", highlight=False)


def _prompt(found: _Explanation) -> str:
    said = f"asks for {_KINDS[found.kind]}"
    shares = [f"{name} {share:.0%}" for name, share in list(found.fields.items())[:2] if share >= 0.1]
    if shares:
        said += f"; field: {', '.join(shares)}"
    if found.percentile is not None:
        said += f"; harder than {found.percentile:.0%} of the prompts of {next(iter(found.fields))}"
    if found.difficulty is not None:
        said += f"; {found.difficulty:.0%} of {found.known} known models more likely fail at it than not"
    return said + "."


def _candidates(decision: RoutingDecision) -> Table:
    moves = [">of which feedback"] if decision.corrections else []
    table = grid("candidate", ">P(success)", ">90 %", ">USD", *moves, "")
    for name, score in decision.scores.items():
        chosen = name == decision.model
        interval, moved = decision.intervals.get(name), decision.corrections.get(name)
        cells = [f"[bold green]{escape(name)}[/]" if chosen else escape(name), f"{score:.3f}"]
        cells.append("[dim]–[/]" if interval is None else f"{interval[0]:.2f}–{interval[1]:.2f}")
        cells.append(f"{decision.costs[name]:.2g}" if name in decision.costs else "[dim]–[/]")
        cells += ["" if moved is None else f"{moved:+.3f}"] if decision.corrections else []
        remark = "[green]chosen[/]" if chosen else f"[dim]{escape(str(decision.excluded.get(name, '')))}[/]"
        table.add_row(*cells, remark)
    return table


def _mattered(effects: Sequence[Influence], count: int) -> list[str]:
    """Sentences on the figures that moved P(success), the largest first."""
    large = [entry for entry in effects if abs(entry.effect) >= _MATTERS]
    if not large:
        return [f"no single figure moves its P(success) by {_MATTERS:.2f} or more"]
    lines = [
        f"without its {entry.statement.accuracy:.0%} on {entry.statement.task} it would be "
        f"{'less' if entry.effect > 0 else 'more'} likely to succeed, by {abs(entry.effect):.2f}"
        for entry in large[:count]
    ]
    rest = len(effects) - len(lines)
    return [*lines, f"the other {rest} figures matter less"] if rest else lines


def _policies(others: Mapping[str, str], decision: RoutingDecision) -> Table:
    table = grid("policy", "candidate", ">P(success)", ">USD", padding=(0, 2, 0, 2))
    for policy, name in others.items():
        cost = f"{decision.costs[name]:.2g}" if name in decision.costs else "–"
        table.add_row(escape(policy), escape(name), f"{decision.scores[name]:.2f}", cost)
    return table
