"""Policies: from scored candidates to a choice. One small class each, one protocol for all."""

from modelsat.policies.base import NO_REQUEST, Choice, Policy, PolicyRequest, Scored
from modelsat.policies.best import Best
from modelsat.policies.budget import Budget
from modelsat.policies.cascade import Cascade
from modelsat.policies.cheapest import Cheapest
from modelsat.policies.near_best import NearBest
from modelsat.policies.resolve import GivenPolicy, resolve_policy, spell_policy
from modelsat.policies.sticky import Sticky
from modelsat.policies.tradeoff import Tradeoff

__all__ = [
    "NO_REQUEST",
    "Best",
    "Budget",
    "Cascade",
    "Cheapest",
    "Choice",
    "GivenPolicy",
    "NearBest",
    "Policy",
    "PolicyRequest",
    "Scored",
    "Sticky",
    "Tradeoff",
    "resolve_policy",
    "spell_policy",
]
