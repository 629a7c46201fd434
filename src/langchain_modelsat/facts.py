"""Prices, limits and abilities of the routes: given, from LangChain's model profiles, from the shipped table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_modelsat.candidates import own_name
from modelsat.candidates.facts import Ability, ModelFacts, known_facts
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
_PROVIDERS: Mapping[str, str] = {
    "amazon_bedrock": "bedrock",
    "anthropic_bedrock": "bedrock",
    "azure_openai": "azure",
    "fireworks": "fireworks_ai",
    "google_genai": "gemini",
    "google_vertexai": "vertex_ai",
    "mistralai": "mistral",
    "together": "together_ai",
}
"""LangChain's names of providers -> the table's, where they differ."""

_ADDRESSES = ("openai_api_base", "base_url")
"""Fields that point a client at another server than the provider's own."""


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
        for field, key in (("context_window", "max_input_tokens"), ("max_output_tokens", "max_output_tokens"))
        if isinstance(limit := profile.get(key), int) and not isinstance(limit, bool) and limit > 0
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
    provider = _provider(model)
    if provider is not None:
        facts = facts.over(ModelFacts(provider=provider, origins={"provider": "LangChain client"}))
    if name is None:
        return facts
    return facts.over(known_facts(name if facts.provider is None else f"{facts.provider}/{name}"))


def _provider(model: BaseChatModel) -> str | None:
    """Who serves ``model``, in the table's words; ``None`` where the client was pointed at an address of its own."""
    if any(getattr(model, field, None) for field in _ADDRESSES):
        return None
    try:
        provider = model._get_ls_params().get("ls_provider")
    except Exception:
        return None
    return _PROVIDERS.get(provider, provider) if isinstance(provider, str) and provider else None
