"""From a decision to an order: who answers first, who next, and who not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from modelsat.policies import Policy, Scored
from modelsat.policies.base import by_price
from modelsat.request.exclusion import Exclusion
from modelsat.router.arms import SHADOW
from modelsat.router.decision import RoutingDecision

_STATELESS = frozenset({"best", "cheapest", "tradeoff"})


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates of one request in the order in which they should be asked.

    Attributes:
        names: Who may answer, best first; those that surely cannot take the request come last.
        forbidden: Who must not be asked at all, with the reason.
        decision: What decided; ``None`` if nothing was scored.
        cause: Why nothing was scored; ``None`` if it was.
        excluded: Who is out, with the reason: forbidden or unable.
        shadowed: Whether LiteLLM's own strategy chooses among all that may answer, while the router only decides.
    """

    names: tuple[str, ...]
    forbidden: Mapping[str, Exclusion] = field(default_factory=dict)
    decision: RoutingDecision | None = None
    cause: str | None = None
    excluded: Mapping[str, Exclusion] = field(default_factory=dict)
    shadowed: bool = False


def rank(decision: RoutingDecision, policy: Policy) -> Ranking:
    """Put the candidates of ``decision`` in order.

    First the chosen one, then where the policy escalates to, then the others as the policy would choose among them, or
    by P(success) where the policy keeps state. Candidates that cannot take the request come last; those that
    constraints forbid are left out.
    """
    excluded = {name: why for name, why in decision.excluded.items() if why.kind != "not_asked"}
    forbidden = {name: why for name, why in excluded.items() if why.forbidden}
    unable = [name for name in excluded if name not in forbidden and name != decision.model]
    asked = decision.scores
    first = list(dict.fromkeys([decision.model, *(name for name in decision.escalation if name in asked)]))
    left = [
        Scored(name, score, decision.costs.get(name))
        for name, score in asked.items()
        if name not in first and name not in excluded
    ]
    unable.sort(key=lambda name: (-asked.get(name, 0.0), name))
    names = tuple(dict.fromkeys([*first, *_in_turn(left, policy), *unable]))
    return Ranking(names, forbidden, decision, None, excluded, shadowed=decision.routed == decision.model)


def unscored(names: Sequence[str], excluded: Mapping[str, Exclusion], cause: str, fallback: str | None) -> Ranking:
    """An order without scores: the fallback first, the others level behind it, those that cannot answer last.

    Args:
        names: Who is there.
        excluded: Who cannot or must not answer, with the reason.
        cause: Why nothing was scored.
        fallback: Who comes first, if it may.
    """
    forbidden = {name: why for name, why in excluded.items() if why.forbidden}
    able = [name for name in names if name not in excluded]
    unable = [name for name in names if name in excluded and name not in forbidden]
    if fallback in able:
        able.sort(key=lambda name: name != fallback)
    return Ranking((*able, *unable), forbidden, None, cause, excluded)


def escalated(ranking: Ranking, rungs: int, efforts: Mapping[str, str] = MappingProxyType({})) -> Ranking:
    """``ranking`` with the candidate first that stands ``rungs`` above the chosen one, by P(success) of this request.

    Those above it come next, then the others in their order. The highest is the last rung; whoever stands there stays.
    A shadow's model stays, too.

    Args:
        ranking: The ranking.
        rungs: How far to climb.
        efforts: Reasoning effort by candidate, of those that have one.
    """
    decision = ranking.decision
    if rungs < 1 or decision is None or decision.arm == SHADOW or decision.model not in decision.scores:
        return ranking
    scores, costs = decision.scores, decision.costs
    able = [name for name in ranking.names if name in scores and name not in ranking.excluded]
    ladder = sorted(able, key=lambda name: (scores[name], costs.get(name, 0.0), name))
    at = ladder.index(decision.model)
    above = ladder[min(at + rungs, len(ladder) - 1) :]
    if above[0] == decision.model:
        return ranking
    reason = f"escalated from {decision.model}, where the work is stuck, by {rungs} rung{'s' if rungs > 1 else ''}"
    return replace(
        ranking,
        names=tuple(dict.fromkeys([*above, *ranking.names])),
        decision=decision.model_copy(update={"model": above[0], "effort": efforts.get(above[0], ""), "reason": reason}),
    )


def behind(ranking: Ranking, unfit: Mapping[str, Exclusion]) -> Ranking:
    """``ranking`` with the candidates of ``unfit`` behind all others, but for those that are forbidden."""
    if not unfit:
        return ranking
    forbidden = {**{name: why for name, why in unfit.items() if why.forbidden}, **ranking.forbidden}
    names = tuple(dict.fromkeys([*ranking.names, *(name for name in sorted(unfit) if name not in forbidden)]))
    return replace(ranking, names=names, forbidden=forbidden, excluded={**unfit, **ranking.excluded})


def levels(ranking: Ranking, fallback: str | None = None) -> dict[str, int]:
    """Level by candidate, 0 best. Candidates of one level are left to LiteLLM's own strategy to choose among.

    Args:
        ranking: The ranking.
        fallback: The configured fallback, which has a level of its own.
    """
    if ranking.shadowed:
        return {name: int(name in ranking.excluded) for name in ranking.names}
    if ranking.decision is not None:
        return {name: level for level, name in enumerate(ranking.names)}
    return {name: (3 if name in ranking.excluded else 1 if name == fallback else 2) for name in ranking.names}


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
