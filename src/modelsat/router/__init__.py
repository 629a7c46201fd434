"""The front door: messages, candidates and a policy in, a decision out."""

from modelsat.router.config import RouterConfig
from modelsat.router.decision import Failure, RoutingDecision
from modelsat.router.router import Router

__all__ = ["Failure", "Router", "RouterConfig", "RoutingDecision"]
