"""Policies: from scored candidates to a choice. One small class each, one protocol for all."""

from modelsat.policies.abstain import Abstain
from modelsat.policies.base import POLICIES, Choice, Policy, PolicyRequest, Scored
from modelsat.policies.best import Best
from modelsat.policies.budget import Budget
from modelsat.policies.cascade import Cascade
from modelsat.policies.cheapest import Cheapest
from modelsat.policies.knob import Knob
from modelsat.policies.near_best import NearBest
from modelsat.policies.resolve import PolicyFile, resolve_policy
from modelsat.policies.sticky import Sticky
from modelsat.policies.tradeoff import Tradeoff

__all__ = [
    "Abstain",
    "Best",
    "Budget",
    "Cascade",
    "Cheapest",
    "Choice",
    "Knob",
    "NearBest",
    "Policy",
    "PolicyFile",
    "PolicyRequest",
    "Scored",
    "Sticky",
    "Tradeoff",
    "resolve_policy",
]

POLICIES.update(
    {
        "abstain": Abstain,
        "best": Best,
        "budget": Budget,
        "cascade": Cascade,
        "cheapest": Cheapest,
        "knob": Knob,
        "near_best": NearBest,
        "sticky": Sticky,
        "tradeoff": Tradeoff,
    }
)
