"""``modelsat route``: which candidate answers a prompt."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column

from modelsat._files import read_json
from modelsat.cli.console import (
    JSONOption,
    ModelsOption,
    PolicyWeightsOption,
    ProfilesOption,
    RulesOption,
    bar,
    examples,
    grid,
    load_registry,
    output,
    split_names,
)
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from modelsat.capability.registry import Registry
    from modelsat.router import RoutingDecision

EXAMPLES = examples(
    'modelsat route "Prove that the square root of 2 is irrational." --models gpt-5,claude-sonnet-4,Qwen3-8B',
    "cat question.txt | modelsat route - --models gpt-4o,gpt-4o-mini --json",
    'modelsat route "Translate this letter into Korean." --profiles mine.json',
    'modelsat route "What is 17 + 25?" --models gpt-5,gpt-4o-mini --policy "cheapest(target=0.7)" --needs tools',
    'modelsat route "Summarise this contract." --models gpt-5,gpt-4o-mini --policy policy.json --json',
)


def route(
    prompt: Annotated[str, typer.Argument(help='The request; "-" reads it from standard input.')],
    models: ModelsOption = None,
    profiles: ProfilesOption = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            "--like",
            metavar="NAME=KNOWN",
            help="Treat a model as being as good as a known one; its price stays its own.",
        ),
    ] = None,
    policy: Annotated[
        str,
        typer.Option(help='Name, e.g. "cheapest(target=0.8)", or a policy file that `modelsat tune` wrote.'),
    ] = "best",
    facts: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Prices, limits and abilities of your own, {model: {fact: value}}."),
    ] = None,
    constraints: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="What no policy may overrule; the options below hold as well."),
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Models that may answer.")] = None,
    deny: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Models that must not answer.")] = None,
    providers: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Providers that may serve.")] = None,
    regions: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Regions that may serve.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="Maximum expected cost of the request.")] = None,
    needs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B",
            help="What the request needs: tools, parallel_tools, vision, audio, pdf, json_schema, reasoning.",
        ),
    ] = None,
    answer_tokens: Annotated[int | None, typer.Option(help="Maximum tokens of the answer.")] = None,
    thread: Annotated[str | None, typer.Option(help="Identifier of the conversation.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="What residency rules look at; may be repeated.")
    ] = None,
    rules: RulesOption = None,
    weights: PolicyWeightsOption = None,
    as_json: JSONOption = False,
) -> None:
    """Decide which candidate will answer a prompt well."""
    from modelsat.request import Constraints, RequestContext
    from modelsat.router import Router

    registry, extra = load_registry(profiles)
    names = split_names(models) or [profile.model for profile in extra]
    if not names:
        raise ConfigurationError(
            "there are no candidates: give model names, e.g. --models gpt-5,claude-sonnet-4,Qwen3-8B "
            "(see `modelsat models`), or profiles of your own with --profiles FILE.json"
        )
    limits = {
        "allow_models": split_names(allow),
        "deny_models": split_names(deny),
        "allow_providers": split_names(providers),
        "allow_regions": split_names(regions),
        "max_usd_per_request": max_usd,
    }
    limits = {field: value for field, value in limits.items() if value or value == 0.0}
    router = Router(
        names,
        registry=_likened(registry, like),
        unknown_models="estimate",
        policy=policy,
        constraints=_read_object(constraints, "constraints"),
        facts=_read_object(facts, "facts"),
        weights=weights,
        rules=rules,
    )
    needed: Any = split_names(needs)
    context = RequestContext(
        needs=needed,
        answer_tokens=answer_tokens,
        thread=thread,
        metadata=_pairs(metadata or ()),
        constraints=Constraints.of(limits) if limits else None,
    )
    decision = router.route(sys.stdin.read() if prompt == "-" else prompt, context=context)
    if as_json:
        typer.echo(decision.model_dump_json(indent=2))
    else:
        _show(decision, {c.name for c in router.candidates if c.profile.estimated_from})


def _likened(registry: Registry, like: list[str] | None) -> Registry:
    """``registry`` with the models that ``--like NAME=KNOWN`` describes by known ones."""
    borrowed = []
    for part in split_names(like):
        name, equals, known = (piece.strip() for piece in part.partition("="))
        if not (name and equals and known):
            raise ConfigurationError(f"--like {part}: write --like NAME=KNOWN, e.g. --like my-model=gpt-5.5")
        borrowed.append(registry.find(known).lent_to(name))
    return registry.with_profiles(borrowed) if borrowed else registry


def _read_object(path: Path | None, what: str) -> dict[str, Any] | None:
    if path is None:
        return None
    found = read_json(path, what)
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} must hold a JSON object, {{...}}, not a {type(found).__name__}")
    return found


def _pairs(entries: Collection[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in entries]
    if bad := [key for key, sign, _ in pairs if not sign or not key]:
        raise ConfigurationError(f"--metadata takes KEY=VALUE, not {bad[0]!r}")
    return {key: value for key, _, value in pairs}


def _show(decision: RoutingDecision, guessed: Collection[str]) -> None:
    folded, drawn = Column("candidate", overflow="fold"), Column("", min_width=20)
    table = grid("", folded, ">P(success)", ">USD", drawn)
    for name, score in decision.scores.items():
        chosen = name == decision.model
        shown = escape(f"{'~' * (name in guessed)}{name}")
        cost = decision.costs.get(name)
        table.add_row(
            "[bold green]→[/]" if chosen else "",
            f"[bold green]{shown}[/]" if chosen else shown,
            f"{score:.3f}",
            "[dim]?[/]" if cost is None else f"{cost:.6f}",
            bar(score, style="green" if chosen else "cyan"),
        )
    for name, why in decision.excluded.items():
        if name not in decision.scores:
            table.add_row("", f"[dim]{escape(name)}[/]", "[dim]–[/]", "[dim]–[/]", f"[dim]{escape(why.reason)}[/]")
    console = output()
    console.print(table)
    effort = f" at {decision.effort} effort" if decision.effort else ""
    console.print(f"\n[bold]{escape(decision.model)}[/]{effort}: {escape(decision.reason)}", highlight=False)
    for note in decision.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", highlight=False)
    versions = ", ".join(f"{part} {version}" for part, version in decision.versions.items())
    details = f"policy {decision.policy}, {decision.elapsed_ms:.1f} ms, {versions}"
    console.print(f"[dim]{escape(details)}[/]", highlight=False)
