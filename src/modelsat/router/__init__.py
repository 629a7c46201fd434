"""The front door: messages, candidates and a policy in, a decision out."""

from modelsat.router.decision import RoutingDecision
from modelsat.router.failures import Failure
from modelsat.router.router import Router

__all__ = ["Failure", "Router", "RoutingDecision"]
