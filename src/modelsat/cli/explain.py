"""``modelsat explain``: why a decision came out as it did."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli._progress import progress
from modelsat.cli.console import JSONOption, PolicyWeightsOption, ProfilesOption, load_registry, output, split_names

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile
    from modelsat.capability.registry import Registry
    from modelsat.cli._explained import Explanation
    from modelsat.inference import Scorer
    from modelsat.inference.attribution import Influence
    from modelsat.router import RoutingDecision

EXAMPLES = """[bold]Examples[/]

modelsat explain "Prove that the square root of 2 is irrational." --models gpt-5,claude-sonnet-4,Qwen3-8B

modelsat route - --models gpt-4o,gpt-4o-mini --json < question.txt > decision.json

modelsat explain decision.json --prompt - < question.txt
"""


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
    from modelsat.cli._explained import Explanation, other_choices, show
    from modelsat.inference import load_scorer
    from modelsat.request import extract_instruction
    from modelsat.storage.checkpoint import SHIPPED, shipped_name

    registry, extra = load_registry(profiles)
    names = split_names(models) or [profile.model for profile in extra]
    decision, text = _decide(what, prompt, names, registry, policy, weights)
    found = Explanation(decision, others=other_choices(decision))
    if text is None:
        found.notes.append(
            "with the prompt (--prompt TEXT, or - for standard input) it is shown which figures mattered"
        )
    else:
        scorer = load_scorer(weights or shipped_name(decision.versions.get("weights", "")) or SHIPPED, keep=False)
        instruction = extract_instruction(text)[0]
        found.profiles = _profiles(decision, registry, found.notes)
        found.influences = _influences(decision, found.profiles, scorer, instruction, found.notes)
        _read_prompt(found, scorer, instruction)
        if (made := decision.versions.get("weights", scorer.version)) != scorer.version:
            found.notes.append(f"decided with {made}, explained with {scorer.version}")
    if as_json:
        import json

        typer.echo(json.dumps(found.data(), indent=2))
    else:
        show(found, output(), statements)


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


def _profiles(decision: RoutingDecision, registry: Registry, notes: list[str]) -> dict[str, CapabilityProfile]:
    """Return the profiles of the scored candidates, as far as they are known."""
    from modelsat.errors import UnknownModelError

    found = {}
    for name in decision.scores:
        try:
            found[name] = registry.find(name)
        except UnknownModelError:
            notes.append(f"no profile is known for {name}: give it with --profiles to see what it is known by")
    return found


def _influences(
    decision: RoutingDecision,
    profiles: Mapping[str, CapabilityProfile],
    scorer: Scorer,
    text: str,
    notes: list[str],
) -> dict[str, list[Influence]]:
    """Return what mattered for the chosen model and the runner-up, as far as their profiles are known."""
    from modelsat.inference.attribution import influences

    others = [name for name in decision.scores if name != decision.model]
    found = {}
    for name in [decision.model, *others[:1]]:
        if (profile := profiles.get(name)) is None:
            continue
        with progress(f"leaving out figures of {name}", len(profile.statements)) as advance:
            found[name] = influences(scorer, profile, text, advance)
        if not found[name]:
            notes.append(f"the profile of {name} has one figure only: there is none to leave out")
    return found


def _read_prompt(found: Explanation, scorer: Scorer, text: str) -> None:
    """Add what the prompt asks for, its fields, and how hard it is, among the field's prompts too."""
    from modelsat.candidates.completion import answer_kind
    from modelsat.capability.registry import Registry
    from modelsat.cli._difficulty import percentile

    found.kind = answer_kind(text)
    known = list(Registry.shipped())
    scores = scorer.score([text], known)
    (shares,) = scores.by_field()
    found.fields = dict(sorted(shares.items(), key=lambda entry: -entry[1]))
    found.known = len(known)
    found.difficulty = round(float((scores.p[0] < 0.5).mean()), 3)
    if found.fields:
        found.percentile = percentile(scorer.version, next(iter(found.fields)), 1.0 - float(scores.p[0].mean()))
