"""Prices, limits and abilities of the routes: given, from LangChain's model profiles, from the shipped table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_modelsat.candidates import own_name
from modelsat.candidates.candidate import known_facts
from modelsat.candidates.facts import Ability, ModelFacts
from modelsat.capability.providers import provider_behind, provider_name
from modelsat.errors import ConfigurationError

ORIGIN = "LangChain model profile"

GivenFacts = Mapping[str, ModelFacts | Mapping[str, Any]]
"""Facts by route or by the model's own name."""

_ABILITIES: Mapping[str, Ability] = {
    "tool_calling": "tools",
    "image_inputs": "vision",
    "audio_inputs": "audio",
    "pdf_inputs": "pdf",
    "structured_output": "json_schema",
    "reasoning_output": "reasoning",
}
_ADDRESSES = (
    *("openai_api_base", "base_url", "api_base", "endpoint", "endpoint_url", "anthropic_api_url", "groq_api_base"),
    *("xai_api_base", "fireworks_api_base", "together_api_base", "openrouter_api_base"),
)
"""Fields that say which server a client talks to."""


def resolve_facts(models: Mapping[str, BaseChatModel], given: Any = None) -> dict[str, ModelFacts]:
    """What is known about every route; a given value goes before the profile's, and that before the table's.

    Args:
        models: The routes.
        given: See :data:`GivenFacts`.

    Raises:
        ConfigurationError: ``given`` names something that is not a route, or holds values that cannot be right.
    """
    given = given or {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"facts must be a mapping {{route: facts}}, not {type(given).__name__}")
    known = {name for route, model in models.items() for name in (route, own_name(model))}
    if strangers := sorted(str(name) for name in given if name not in known):
        raise ConfigurationError(f"facts names no route: {', '.join(strangers)}; the routes are {', '.join(models)}")
    read = {name: ModelFacts.of(entry, f"facts of {name!r}") for name, entry in given.items()}
    return {route: _facts(route, model, read) for route, model in models.items()}


def profile_facts(model: BaseChatModel) -> ModelFacts:
    """What LangChain's profile of ``model`` says; empty facts without a profile."""
    profile: Mapping[str, Any] = model.profile or {}
    values: dict[str, Any] = {
        field: limit
        for field in ("max_input_tokens", "max_output_tokens")
        if isinstance(limit := profile.get(field), int) and not isinstance(limit, bool) and limit > 0
    }
    values["abilities"] = {
        ability: profile[key] for key, ability in _ABILITIES.items() if isinstance(profile.get(key), bool)
    }
    facts = ModelFacts(**values)
    return facts.model_copy(update={"origins": dict.fromkeys(facts.origins, ORIGIN)})


def _facts(route: str, model: BaseChatModel, given: Mapping[str, ModelFacts]) -> ModelFacts:
    name = own_name(model)
    facts = given.get(route, ModelFacts())
    if name is not None and name in given and name != route:
        facts = facts.over(given[name])
    facts = facts.over(profile_facts(model))
    facts = facts.over(_serving(model))
    if name is None:
        return facts
    return facts.over(known_facts(name if facts.provider is None else f"{facts.provider}/{name}"))


def _serving(model: BaseChatModel) -> ModelFacts:
    """Who serves ``model``, by its class and the address that it talks to, and in which service tier.

    At an address of its own, the provider is known to be unknown: the name of a model does not say who answers.
    """
    address = next((str(value) for field in _ADDRESSES if (value := getattr(model, field, None))), None)
    try:
        named = model._get_ls_params().get("ls_provider")
    except Exception:
        named = None
    own = provider_name(named) if isinstance(named, str) else None
    provider = provider_behind(own, address)
    tier = getattr(model, "service_tier", None)
    values: dict[str, Any] = {"provider": provider or (named if isinstance(named, str) and address is None else None)}
    if isinstance(tier, str) and tier:
        values["service_tier"] = tier
    origins = dict.fromkeys((field for field, value in values.items() if value or address), "LangChain client")
    return ModelFacts(**values, origins=origins)
