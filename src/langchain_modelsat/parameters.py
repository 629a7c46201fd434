"""Parameters of a call that one chat model refuses though another takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_modelsat.candidates import own_name
from modelsat.candidates.facts import ModelFacts
from modelsat.candidates.parameters import NEUTRAL, PARAMETERS, refused_parameters
from modelsat.request.exclusion import Exclusion

_CLAUDE = frozenset({"anthropic-bedrock-chat", "anthropic-chat", "anthropic-chat-vertexai"})
"""``_llm_type`` of the chat models that take ``cache_control``."""
_CACHE = "cache_control"

Facts = Mapping[str, ModelFacts]


def refusals(models: Mapping[str, BaseChatModel], facts: Facts, kwargs: Mapping[str, Any]) -> dict[str, Exclusion]:
    """The routes that refuse a parameter of the call, with the reason; none if all of them do.

    Args:
        models: The routes.
        facts: What is known about them; a route whose provider is not known refuses nothing.
        kwargs: The keyword arguments of the call.
    """
    asked = {name for name in PARAMETERS if kwargs.get(name) is not None and kwargs[name] != NEUTRAL.get(name)}
    if not asked:
        return {}
    found = {route: ", ".join(sorted(asked & refused(route, models, facts))) for route in models}
    refusing = {route: names for route, names in found.items() if names}
    if len(refusing) == len(models):
        return {}
    return {route: Exclusion("ability", f"refuses {names}, which the call sets") for route, names in refusing.items()}


def refused(route: str, models: Mapping[str, BaseChatModel], facts: Facts) -> frozenset[str]:
    """Parameters that ``route`` refuses."""
    known = facts.get(route)
    return refused_parameters(own_name(models[route]) or route, known.provider if known is not None else None)


def fitted(
    route: str, models: Mapping[str, BaseChatModel], facts: Facts, settings: Mapping[str, Any], *, drop: bool
) -> dict[str, Any]:
    """The settings of a call that ``route`` takes; ``cache_control`` is for Claude alone.

    Args:
        route: The chosen route.
        models: The routes.
        facts: What is known about them.
        settings: The keyword arguments of the call.
        drop: Whether parameters that the route refuses are dropped.
    """
    refusing = refused(route, models, facts) if drop else frozenset()
    without = {name for name in refusing if settings.get(name) != NEUTRAL.get(name)}
    if models[route]._llm_type not in _CLAUDE:
        without.add(_CACHE)
    return {name: value for name, value in settings.items() if name not in without}
