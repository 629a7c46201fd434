"""From a decision to an order: who answers first, who next, and who not at all; and who keeps a conversation."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any

from litellm_modelsat.deployments import id_of
from litellm_modelsat.requests import Job
from modelsat.errors import ModelSATError
from modelsat.policies import Policy, Scored, Sticky
from modelsat.policies.base import by_price
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.exclusion import Exclusion
from modelsat.router.arms import SHADOW
from modelsat.router.decision import RoutingDecision
from modelsat.router.plan import turn_key

KEY = "modelsat"
_DIGITS = 4

Steps = list[list[dict[str, Any]]]
"""Deployments in the order in which they should be asked; those of one step are equal."""

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
    """The order of ``names`` where nothing was scored: the fallback first, those that cannot answer last."""
    forbidden = {name: why for name, why in excluded.items() if why.forbidden}
    able = [name for name in names if name not in excluded]
    unable = [name for name in names if name in excluded and name not in forbidden]
    if fallback in able:
        able.sort(key=lambda name: name != fallback)
    return Ranking((*able, *unable), forbidden, None, cause, excluded)


def escalated(ranking: Ranking, rungs: int, efforts: Mapping[str, str] = MappingProxyType({})) -> Ranking:
    """``ranking`` with the candidate first that stands ``rungs`` above the chosen one, by P(success) of this request.

    Those above it come next, then the others in their order. The highest is the last rung; whoever stands there stays.
    A shadow's model stays, too. ``efforts`` holds the reasoning effort of the candidates that have one.
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
    """Level by candidate, 0 best; LiteLLM's own strategy chooses among those of one level."""
    if ranking.shadowed:
        return {name: int(name in ranking.excluded) for name in ranking.names}
    if ranking.decision is not None:
        return {name: level for level, name in enumerate(ranking.names)}
    return {name: (3 if name in ranking.excluded else 1 if name == fallback else 2) for name in ranking.names}


def in_steps(
    deployments: Sequence[dict[str, Any]], name_of: Mapping[str, str], level: Mapping[str, int], tried: Collection[str]
) -> Steps:
    """``deployments`` in the steps in which they should be asked, best first; equals share a step.

    Those that have failed this request (``tried``) come after all others; candidates without a level are left out.
    """
    steps: dict[tuple[bool, int], list[dict[str, Any]]] = {}
    for deployment in deployments:
        identifier = id_of(deployment)
        name = name_of.get(identifier)
        if name is not None and name in level:
            steps.setdefault((identifier in tried, level[name]), []).append(deployment)
    return [steps[place] for place in sorted(steps)]


def as_record(group: str, ranking: Ranking) -> dict[str, Any]:
    """The decision as plain data, under LiteLLM's own names where it has some; no prompt and no key in it."""
    decision = ranking.decision
    record: dict[str, Any] = {"router_model_name": group, "router_type": KEY, **_ranked(ranking)}
    if decision is None:
        return {**record, "fallback": True, "cause": ranking.cause or "unknown"}
    if not ranking.shadowed:
        record["routed_model"] = decision.model
    for name in ("arm", "routed", "effort"):
        if said := getattr(decision, name):
            record[name] = said
    if (score := decision.scores.get(decision.model)) is not None:
        record["score"] = round(score, _DIGITS)
    versions = dict(decision.versions)
    return {**record, **_decided(decision), "versions": versions, "decision_id": decision.id, "fallback": False}


def as_line(group: str, ranking: Ranking) -> dict[str, Any]:
    """The decision as a line of the log says it; no prompt and no key in it."""
    decision = ranking.decision
    line: dict[str, Any] = {
        "event": "modelsat.fallback" if decision is None else "modelsat.decision",
        "time": now(),
        "group": group,
        "chosen": None if ranking.shadowed else next(iter(ranking.names), None),
        **_ranked(ranking),
        "cause": ranking.cause,
    }
    if decision is None:
        return line
    said = {"id": decision.id, "effort": decision.effort or None, "arm": decision.arm or None}
    said |= {"routed": decision.routed, "weights": decision.versions.get("weights")}
    return {**line, **said, **_decided(decision)}


def _ranked(ranking: Ranking) -> dict[str, Any]:
    excluded = {name: {"kind": why.kind, "reason": why.reason} for name, why in ranking.excluded.items()}
    return {"ranking": list(ranking.names), "excluded": excluded}


def _decided(decision: RoutingDecision) -> dict[str, Any]:
    return {
        "policy": decision.policy,
        "reason": decision.reason,
        "scores": {name: round(score, _DIGITS) for name, score in decision.scores.items()},
        "costs": {name: float(f"{cost:.4g}") for name, cost in decision.costs.items()},
        "notes": list(decision.notes),
        "elapsed_ms": round(decision.elapsed_ms, 2),
    }


class Affinity:
    """Keeps a conversation on the deployment that answered last, while its provider's prompt cache is assumed warm.

    A prompt cache is the account's and the region's, not the model's. That is for as long as policy ``sticky`` assumes
    it (``cache_s``), and only with that policy. Thread-safe.

    Args:
        policy: The policy of the group.
        reader: Separates what the user said from what an agent put around it.
    """

    def __init__(self, policy: Policy, reader: EnvelopeReader) -> None:
        self._reader = reader
        self._policy = policy if isinstance(policy, Sticky) else None
        self._kept: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def key_of(self, job: Job) -> str | None:
        """What identifies the conversation: its session, or with ``per="turn"`` the user turn."""
        if self._policy is None or job.context.thread is not None or self._policy.per != "turn":
            return None if self._policy is None else job.context.thread
        try:
            return f"turn {turn_key(self._reader.turns(job.messages))}"
        except ModelSATError:
            return None

    def remember(self, key: str, deployment: str) -> None:
        """Keep the conversation ``key`` on ``deployment``, which has answered."""
        if self._policy is None:
            return
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = deployment, self._policy.clock()
            while len(self._kept) > self._policy.max_threads:
                del self._kept[next(iter(self._kept))]

    def first(self, key: str | None, steps: Steps, tried: Collection[str]) -> Steps:
        """``steps`` with the deployment of the conversation ``key`` before its equals, if it is among the best."""
        kept = self._kept.get(key) if key is not None else None
        if self._policy is None or kept is None or not steps or len(steps[0]) == 1:
            return steps
        deployment, at = kept
        if deployment in tried or self._policy.clock() - at > self._policy.cache_s:
            return steps
        own = [entry for entry in steps[0] if id_of(entry) == deployment]
        return [own, [entry for entry in steps[0] if id_of(entry) != deployment], *steps[1:]] if own else steps


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


def now() -> str:
    """The time, as lines and records say it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
