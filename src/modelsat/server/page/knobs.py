"""The one number that a policy is set by: how far a slider goes, and who is chosen as it moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from modelsat.policies import Abstain, Policy, Scored, resolve_policy
from modelsat.policies.base import usd
from modelsat.router import RoutingDecision

_STEPS = 60


@dataclass(frozen=True, slots=True)
class Knob:
    """The one number that a policy is set by."""

    field: str  # the policy's parameter
    says: str
    at: Callable[[float], float]  # its value at a share of the way, 0..1
    where: Callable[[float], float]  # the share of the way at which it has a value
    start: float
    shown: Callable[[float], str]


KNOBS: Mapping[str, Knob] = {
    "knob": Knob(
        *("position", "From the cheapest (0) to the best (10)"),
        lambda share: round(10 * share, 1),
        lambda value: value / 10,
        7.0,
        "{:.1f}".format,
    ),
    "cheapest": Knob(
        *("target", "P(success) that is good enough"),
        lambda share: round(share, 2),
        lambda value: value,
        0.8,
        "{:.2f}".format,
    ),
    "near_best": Knob(
        *("margin", "P(success) that may be given up"),
        lambda share: round(0.5 * share, 3),
        lambda value: 2 * value,
        0.02,
        "{:.3f}".format,
    ),
    "tradeoff": Knob(
        *("value_per_success", "USD that a good answer is worth"),
        lambda share: float(f"{10 ** (5 * share - 4):.2g}"),
        lambda value: (math.log10(max(value, 1e-4)) + 4) / 5,
        0.03,
        usd,
    ),
}
"""Policies that a slider sets, and from where to where it goes."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The choices as a knob moves."""

    policy: str
    knob: Knob
    at: float | None  # where it stands, as a share of the way; none if the policy in use has no knob
    steps: tuple[tuple[float, str], ...]  # where the choice changes, and who is chosen from there on; the first is 0

    def words(self, share: float) -> str:
        """The knob's value at a share of the way, for a reader."""
        return self.knob.shown(self.knob.at(share))


def sweep(decision: RoutingDecision, policy: Policy) -> Sweep | None:
    """Find who is chosen from the scores of ``decision`` as the knob of ``policy`` moves.

    Of a policy around another the inner one's knob; of one without any, that of the policy ``knob``. ``None`` after a
    fallback, or where a price is missing.
    """
    around = policy if isinstance(policy, Abstain) else None
    while policy.name not in KNOBS and (inner := getattr(policy, "inner", None)) is not None:
        policy = inner
    name = policy.name if policy.name in KNOBS else "knob"
    knob = KNOBS[name]
    if not decision.scores or len(decision.costs) < len(decision.scores):
        return None
    at = 1.0 if policy.name == "best" else None
    if policy.name == name:
        at = min(1.0, max(0.0, knob.where(float(getattr(policy, knob.field)))))
    ranked = [
        Scored(model, p, decision.costs.get(model), interval=decision.intervals.get(model))
        for model, p in decision.scores.items()
    ]
    steps: list[tuple[float, str]] = []
    for step in range(_STEPS + 1):
        share = step / _STEPS
        turned = resolve_policy({"name": name, knob.field: knob.at(share)})
        chosen = (replace(around, inner=turned, then="flag") if around is not None else turned).choose(ranked).name
        if not steps or steps[-1][1] != chosen:
            steps.append((share, chosen))
    return Sweep(name, knob, at, tuple(steps))
