"""Policies: from scored candidates to a choice. One small class each, one protocol for all."""

from modelsat.routing.policies.base import NO_REQUEST, Choice, Policy, PolicyRequest, Scored
from modelsat.routing.policies.best import Best
from modelsat.routing.policies.budget import Budget
from modelsat.routing.policies.cascade import Cascade
from modelsat.routing.policies.cheapest import Cheapest
from modelsat.routing.policies.resolve import GivenPolicy, resolve_policy, spell_policy
from modelsat.routing.policies.sticky import Sticky
from modelsat.routing.policies.tradeoff import Tradeoff

__all__ = [
    "NO_REQUEST",
    "Best",
    "Budget",
    "Cascade",
    "Cheapest",
    "Choice",
    "GivenPolicy",
    "Policy",
    "PolicyRequest",
    "Scored",
    "Sticky",
    "Tradeoff",
    "resolve_policy",
    "spell_policy",
]
