"""Which candidate answers: messages, candidates and a policy in, a decision out."""

from modelsat.routing.candidates import Candidate, resolve_candidates
from modelsat.routing.conversation import Extractor, extract_instruction, last_user_turn_with_tail
from modelsat.routing.decision import RoutingDecision
from modelsat.routing.messages import Turn, parse_messages
from modelsat.routing.policy import Best, Choice, Policy, Scored, resolve_policy
from modelsat.routing.router import Router

__all__ = [
    "Best",
    "Candidate",
    "Choice",
    "Extractor",
    "Policy",
    "Router",
    "RoutingDecision",
    "Scored",
    "Turn",
    "extract_instruction",
    "last_user_turn_with_tail",
    "parse_messages",
    "resolve_candidates",
    "resolve_policy",
]
