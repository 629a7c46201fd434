"""Policies: from scored candidates to a choice. One small class each, one protocol for all."""

from modelsat.policies.base import (
    POLICIES,
    Best,
    Cascade,
    Cheapest,
    Choice,
    Knob,
    NearBest,
    Policy,
    PolicyRequest,
    Scored,
    Tradeoff,
)
from modelsat.policies.budget import Budget
from modelsat.policies.nested import Abstain, Sticky
from modelsat.policies.resolve import PolicyFile, resolve_policy

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
    {kind.name: kind for kind in (Abstain, Best, Budget, Cascade, Cheapest, Knob, NearBest, Sticky, Tradeoff)}
)
