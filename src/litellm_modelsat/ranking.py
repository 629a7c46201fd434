"""From a decision to an order: who answers first, who next, and who not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from modelsat.policies import Policy, Scored
from modelsat.policies.base import by_price
from modelsat.router.decision import RoutingDecision

Kind = Literal[
    "ability",
    "context_window",
    "max_output_tokens",
    "model",
    "provider",
    "region",
    "residency",
    "tags",
    "price",
    "policy",
]

_KINDS: tuple[tuple[str, Kind], ...] = (
    ("cannot do", "ability"),
    ("not known to do", "ability"),
    ("context window", "context_window"),
    ("answers have at most", "max_output_tokens"),
    ("requests with", "residency"),
    ("provider", "provider"),
    ("region", "region"),
    ("model is", "model"),
    ("lacks the tag", "tags"),
    ("carries the denied tag", "tags"),
    ("price is unknown, and a request", "price"),
    ("expected to cost", "price"),
)
_FORBIDDEN: frozenset[Kind] = frozenset({"model", "provider", "region", "residency", "tags", "price"})
_STATELESS = frozenset({"best", "cheapest", "tradeoff"})
NOT_ASKED = "not asked for"


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates of one request in the order in which they should be asked.

    Attributes:
        names: Who may answer, best first; those that surely cannot take the request come last.
        forbidden: Who must not be asked at all, with the reason.
        decision: What decided; ``None`` if nothing was scored.
        cause: Why nothing was scored; ``None`` if it was.
        struck: Who was struck, with the reason: forbidden or unable.
    """

    names: tuple[str, ...]
    forbidden: Mapping[str, str] = field(default_factory=dict)
    decision: RoutingDecision | None = None
    cause: str | None = None
    struck: Mapping[str, str] = field(default_factory=dict)


def kind_of(reason: str) -> Kind:
    """What kind of rule struck a candidate, out of the reason given."""
    return next((kind for start, kind in _KINDS if reason.startswith(start)), "policy")


def rank(decision: RoutingDecision, policy: Policy) -> Ranking:
    """Put the candidates of ``decision`` in order.

    First the chosen one, then where the policy escalates to, then the others as the policy would choose among them, or
    by P(success) where the policy keeps state. Candidates that cannot take the request come last; those that
    constraints forbid are left out.
    """
    struck = {name: why for name, why in decision.struck.items() if why != NOT_ASKED}
    forbidden = {name: why for name, why in struck.items() if kind_of(why) in _FORBIDDEN}
    unable = [name for name, why in struck.items() if kind_of(why) not in _FORBIDDEN and name != decision.model]
    asked = {name: score for name, score in decision.scores.items() if decision.struck.get(name) != NOT_ASKED}
    first = list(dict.fromkeys([decision.model, *(name for name in decision.escalation if name in asked)]))
    left = [
        Scored(name, score, decision.costs.get(name))
        for name, score in asked.items()
        if name not in first and name not in struck
    ]
    unable.sort(key=lambda name: (-asked.get(name, 0.0), name))
    names = tuple(dict.fromkeys([*first, *_in_turn(left, policy), *unable]))
    return Ranking(names, forbidden, decision, None, struck)


def unscored(names: Sequence[str], struck: Mapping[str, str], cause: str, fallback: str | None) -> Ranking:
    """An order without scores: the fallback first, the others level behind it, those that cannot answer last.

    Args:
        names: Who is there.
        struck: Who cannot or must not answer, with the reason.
        cause: Why nothing was scored.
        fallback: Who comes first, if it may.
    """
    forbidden = {name: why for name, why in struck.items() if kind_of(why) in _FORBIDDEN}
    able = [name for name in names if name not in struck]
    unable = [name for name in names if name in struck and name not in forbidden]
    if fallback in able:
        able.sort(key=lambda name: name != fallback)
    return Ranking((*able, *unable), forbidden, None, cause, struck)


def levels(ranking: Ranking, fallback: str | None = None) -> dict[str, int]:
    """Level by candidate, 0 best. Candidates of one level are left to LiteLLM's own strategy to choose among.

    Args:
        ranking: The ranking.
        fallback: The configured fallback, which has a level of its own.
    """
    if ranking.decision is not None:
        return {name: level for level, name in enumerate(ranking.names)}
    return {name: (3 if name in ranking.struck else 1 if name == fallback else 2) for name in ranking.names}


def in_steps(
    deployments: Sequence[dict[str, Any]], name_of: Mapping[str, str], level: Mapping[str, int], tried: Collection[str]
) -> list[list[dict[str, Any]]]:
    """``deployments`` in the steps in which they should be asked, best first; equals share a step.

    Those that have failed this request come after all others. Those of candidates without a level are left out.

    Args:
        deployments: LiteLLM's deployments.
        name_of: Candidate by deployment id.
        level: Level by candidate.
        tried: Ids that have failed already.
    """
    steps: dict[tuple[bool, int], list[dict[str, Any]]] = {}
    for deployment in deployments:
        identifier = id_of(deployment)
        name = name_of.get(identifier)
        if name is not None and name in level:
            steps.setdefault((identifier in tried, level[name]), []).append(deployment)
    return [steps[place] for place in sorted(steps)]


def id_of(deployment: Mapping[str, Any]) -> str:
    """LiteLLM's identifier of a deployment; empty if it has none."""
    info = deployment.get("model_info")
    found = info.get("id") if isinstance(info, Mapping) else getattr(info, "id", None)
    return str(found or "")


def _in_turn(left: list[Scored], policy: Policy) -> list[str]:
    """The names of ``left`` as ``policy`` would choose among what remains; by P(success) if it keeps state."""
    while getattr(policy, "inner", None) is not None:
        policy = policy.inner  # type: ignore[attr-defined]
    if policy.name not in _STATELESS:
        return [entry.name for entry in sorted(left, key=lambda entry: (-entry.score, *by_price(entry)))]
    chosen: list[str] = []
    while left:
        name = policy.choose(left).name
        chosen.append(name)
        left = [entry for entry in left if entry.name != name]
    return chosen
