"""``modelsat route``: which candidate answers a prompt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from modelsat.cli.console import JSONOption, ProfilesOption, WeightsOption, bar, load_registry, output, split_names

if TYPE_CHECKING:
    from modelsat.routing import RoutingDecision

EXAMPLES = """[bold]Examples[/]

modelsat route "Prove that the square root of 2 is irrational." --models gpt-5,claude-sonnet-4,Qwen3-8B

cat question.txt | modelsat route - --models gpt-4o,gpt-4o-mini --json

modelsat route "Translate this letter into Korean." --profiles mine.json
"""


def route(
    prompt: Annotated[str, typer.Argument(help='The request; "-" reads it from standard input.')],
    models: Annotated[
        list[str] | None,
        typer.Option("--models", "-m", metavar="A,B,C", help="Candidates: names of the registry or of --profiles."),
    ] = None,
    profiles: ProfilesOption = None,
    policy: Annotated[str, typer.Option(help="How the choice is made from the probabilities.")] = "best",
    weights: WeightsOption = "modelsat-nano",
    as_json: JSONOption = False,
) -> None:
    """Decide which candidate will answer a prompt well."""
    from modelsat.errors import ConfigurationError
    from modelsat.routing import Router

    registry, extra = load_registry(profiles)
    names = split_names(models) or [profile.model for profile in extra]
    if not names:
        raise ConfigurationError(
            "there are no candidates: give model names, e.g. --models gpt-5,claude-sonnet-4,Qwen3-8B "
            "(see `modelsat models`), or profiles of your own with --profiles FILE.json"
        )
    text = sys.stdin.read() if prompt == "-" else prompt
    decision = Router(names, registry=registry, policy=policy, weights=weights).route(text)
    if as_json:
        typer.echo(decision.model_dump_json(indent=2))
    else:
        _show(decision)


def _show(decision: RoutingDecision) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    table.add_column("candidate", overflow="fold")
    table.add_column("P(success)", justify="right")
    table.add_column("", min_width=20)
    for name, score in decision.scores.items():
        chosen = name == decision.model
        label = f"[bold green]{escape(name)}[/]" if chosen else escape(name)
        table.add_row(
            "[bold green]→[/]" if chosen else "", label, f"{score:.3f}", bar(score, style="green" if chosen else "cyan")
        )
    for name, why in decision.struck.items():
        table.add_row("", f"[dim]{escape(name)}[/]", "[dim]–[/]", f"[dim]{escape(why)}[/]")
    console = output()
    console.print(table)
    console.print(f"\n[bold]{escape(decision.model)}[/]: {escape(decision.reason)}", highlight=False)
    for note in decision.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", highlight=False)
    versions = ", ".join(f"{part} {version}" for part, version in decision.versions.items())
    details = f"policy {decision.policy}, {decision.elapsed_ms:.1f} ms, {versions}"
    console.print(f"[dim]{escape(details)}[/]", highlight=False)
