"""Which candidate answers: messages, candidates and a policy in, a decision out."""

from modelsat.routing.candidates import Candidate, GivenFacts, resolve_candidates
from modelsat.routing.completion import CompletionModel, ConstantCompletion
from modelsat.routing.constraints import Constraints, ResidencyRule, strike
from modelsat.routing.context import RequestContext
from modelsat.routing.conversation import Extractor, extract_instruction, last_user_turn_with_tail
from modelsat.routing.costs import Cost, expected_costs
from modelsat.routing.decision import RoutingDecision
from modelsat.routing.facts import ABILITIES, Ability, ModelFacts, known_facts
from modelsat.routing.messages import Turn, parse_messages
from modelsat.routing.needs import Needs, find_needs
from modelsat.routing.policies import (
    Best,
    Budget,
    Cascade,
    Cheapest,
    Choice,
    GivenPolicy,
    Policy,
    PolicyRequest,
    Scored,
    Sticky,
    Tradeoff,
    resolve_policy,
    spell_policy,
)
from modelsat.routing.policy_file import PolicyFile
from modelsat.routing.router import Router
from modelsat.routing.tokens import estimate_tokens

__all__ = [
    "ABILITIES",
    "Ability",
    "Best",
    "Budget",
    "Candidate",
    "Cascade",
    "Cheapest",
    "Choice",
    "CompletionModel",
    "ConstantCompletion",
    "Constraints",
    "Cost",
    "Extractor",
    "GivenFacts",
    "GivenPolicy",
    "ModelFacts",
    "Needs",
    "Policy",
    "PolicyFile",
    "PolicyRequest",
    "RequestContext",
    "ResidencyRule",
    "Router",
    "RoutingDecision",
    "Scored",
    "Sticky",
    "Tradeoff",
    "Turn",
    "estimate_tokens",
    "expected_costs",
    "extract_instruction",
    "find_needs",
    "known_facts",
    "last_user_turn_with_tail",
    "parse_messages",
    "resolve_candidates",
    "resolve_policy",
    "spell_policy",
    "strike",
]
