"""What ``modelsat explain`` says about a decision, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from modelsat.capability.profile import CapabilityProfile
    from modelsat.inference.attribution import Influence
    from modelsat.router import RoutingDecision

OTHER_POLICIES = ("best", "near_best(margin=0.02)", "cheapest(target=0.8)", "knob(5)", "knob(0)")
"""What else could have been asked for; the last is the cheapest whatever it can do."""
MATTERS = 0.01
"""Change of P(success) below which a figure does not matter."""
_FIGURES = 3


@dataclass
class Explanation:
    """What is known about a decision besides itself.

    Attributes:
        decision: The decision.
        kind: What kind of answer the prompt asks for; empty without the prompt.
        fields: Share of each field in the prompt, largest first.
        difficulty: Share of the known models that more likely fail at the prompt than not, 0..1; ``None`` if unknown.
        known: How many models that is a share of.
        percentile: Share of the first field's logged prompts that are easier to them, 0..1; ``None`` if unknown.
        profiles: Profiles of the candidates, as far as they are known.
        influences: What each figure did to P(success), for the chosen model and the runner-up.
        others: What other policies would have chosen of the same scores: policy -> candidate.
        notes: What a reader should know.
    """

    decision: RoutingDecision
    kind: str = ""
    fields: Mapping[str, float] = field(default_factory=dict)
    difficulty: float | None = None
    known: int = 0
    percentile: float | None = None
    profiles: Mapping[str, CapabilityProfile] = field(default_factory=dict)
    influences: Mapping[str, Sequence[Influence]] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "decision": self.decision.model_dump(mode="json"),
            "kind": self.kind,
            "fields": dict(self.fields),
            "difficulty": self.difficulty,
            "percentile": self.percentile,
            "sure": sureness(self.decision),
            "known_by": {name: known_by(profile) for name, profile in self.profiles.items()},
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


def other_choices(decision: RoutingDecision) -> dict[str, str]:
    """What other policies choose of the same scores; those that weigh costs only where all prices are known."""
    from modelsat.policies import Scored, resolve_policy

    scored = [
        Scored(name, score, decision.costs.get(name), interval=decision.intervals.get(name))
        for name, score in decision.scores.items()
    ]
    priced = all(candidate.cost is not None for candidate in scored)
    chosen = {}
    for text in OTHER_POLICIES if scored else ():
        policy = resolve_policy(text)
        if priced or not getattr(policy, "needs_prices", False):
            chosen[text] = policy.choose(scored).name
    return chosen


def sureness(decision: RoutingDecision) -> str:
    """How sure the decision is, in a sentence; empty where nothing was scored."""
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


def known_by(profile: CapabilityProfile) -> str:
    """What a model is known by: how many figures, and those on the most items."""
    statements = profile.statements
    if profile.estimated_from:
        return f"nobody has measured it: estimated from {', '.join(profile.estimated_from)}"
    told = sorted(statements, key=lambda statement: -statement.effective_items(100))[:_FIGURES]
    figures = ", ".join(f"{statement.accuracy:.0%} on {statement.task}" for statement in told)
    count = len(statements)
    return f"{count} figure{'s' if count > 1 else ''}: {figures}{', ...' if count > len(told) else ''}"


def show(found: Explanation, console: Console, count: int) -> None:
    """Print it: the choice, the prompt, the candidates, who was struck, what mattered, what else, how sure."""
    from rich.markup import escape

    decision = found.decision
    console.print(f"[bold]{escape(decision.explain())}[/]\n", highlight=False)
    if found.kind:
        console.print(f"[bold]Prompt:[/] {escape(_prompt(found))}\n", highlight=False)
    console.print(_candidates(decision))
    struck = {name: why for name, why in decision.excluded.items() if name not in decision.scores}
    _section(console, "Struck", [f"{name}: {why} ({why.kind.replace('_', ' ')})" for name, why in struck.items()])
    _section(console, "Known by", [f"{name}: {known_by(profile)}" for name, profile in found.profiles.items()])
    for name, effects in found.influences.items():
        _section(console, f"What mattered for {name}", _mattered(effects, count) if effects else [])
    if found.others:
        console.print("\n[bold]Other policies, on the same scores[/]")
        console.print(_policies(found.others, decision))
    if sure := sureness(decision):
        console.print(f"\n[bold]How sure:[/] {escape(sure)}.", highlight=False)
    for note in found.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", highlight=False)


def _section(console: Console, head: str, lines: Sequence[str]) -> None:
    """A heading with its lines, or nothing where there are none."""
    from rich.markup import escape

    if lines:
        console.print(f"\n[bold]{escape(head)}[/]")
    for line in lines:
        console.print(f"  {escape(line)}", highlight=False)


def _prompt(found: Explanation) -> str:
    said = f"asks for {_KINDS[found.kind]}"
    shares = [f"{name} {share:.0%}" for name, share in list(found.fields.items())[:2] if share >= 0.1]
    if shares:
        said += f"; field: {', '.join(shares)}"
    if found.percentile is not None:
        said += f"; harder than {found.percentile:.0%} of the prompts of {next(iter(found.fields))}"
    if found.difficulty is not None:
        said += f"; {found.difficulty:.0%} of {found.known} known models more likely fail at it than not"
    return said + "."


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


def _candidates(decision: RoutingDecision) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("candidate", "P(success)", "90 %", "USD", *(["of which feedback"] if decision.corrections else [])):
        table.add_column(name, justify="left" if name == "candidate" else "right")
    table.add_column("")
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
    told = [entry for entry in effects if abs(entry.effect) >= MATTERS]
    if not told:
        return [f"no single figure moves its P(success) by {MATTERS:.2f} or more"]
    lines = [
        f"without its {entry.statement.accuracy:.0%} on {entry.statement.task} it would be "
        f"{'less' if entry.effect > 0 else 'more'} likely to succeed, by {abs(entry.effect):.2f}"
        for entry in told[:count]
    ]
    rest = len(effects) - len(lines)
    return [*lines, f"the other {rest} figures matter less"] if rest else lines


def _policies(others: Mapping[str, str], decision: RoutingDecision) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 2), header_style="bold")
    for name in ("policy", "candidate", "P(success)", "USD"):
        table.add_column(name, justify="right" if name in ("P(success)", "USD") else "left")
    for policy, name in others.items():
        cost = f"{decision.costs[name]:.2g}" if name in decision.costs else "–"
        table.add_row(escape(policy), escape(name), f"{decision.scores[name]:.2f}", cost)
    return table
