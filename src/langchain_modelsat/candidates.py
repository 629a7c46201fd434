"""The chat models a router may choose from: their names, capability profiles, prices, limits and abilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.runnables import Runnable, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.runnables.retry import RunnableRetry

from modelsat.candidates.candidate import known_facts
from modelsat.candidates.facts import Ability, ModelFacts
from modelsat.capability.efforts import effort_of, split_effort
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.providers import provider_behind, provider_name
from modelsat.capability.registry import Registry
from modelsat.errors import ConfigurationError, MissingDependencyError, UnknownModelError

_NAME_FIELDS = ("model_name", "model", "model_id", "deployment_name")

_EFFORT_FIELDS = (
    "reasoning_effort", "reasoning", "thinking", "effort", "output_config", "thinking_level", "thinking_budget",
    "model_kwargs", "extra_body",
)  # fmt: skip
"""Fields in which chat models of any provider keep the reasoning effort."""

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

GivenModels = Sequence[str | BaseChatModel] | Mapping[str, str | BaseChatModel]
"""Chat models or strings for ``init_chat_model``; or {name of the route: chat model or string}."""

GivenProfiles = Mapping[str, CapabilityProfile | Mapping[str, float] | str]
"""What is known, by route or by the model's own name: a profile, {benchmark: accuracy}, or a name of the registry."""

GivenFacts = Mapping[str, ModelFacts | Mapping[str, Any]]
"""Facts by route or by the model's own name."""


def resolve_models(models: Any, max_retries: int | None = None) -> dict[str, BaseChatModel]:
    """Check the candidates (:data:`GivenModels`) and name them; in a list, a model goes by its own name.

    Raises:
        ConfigurationError: No candidates, a name twice, or an entry that is not a chat model.
        MissingDependencyError: A string was given and ``langchain`` is not installed.
    """
    if isinstance(models, (str, bytes, BaseChatModel)) or not isinstance(models, Iterable):
        raise ConfigurationError(
            f"models must be a list of chat models or a mapping {{name: chat model}}, not a single {_kind(models)}"
        )
    if isinstance(models, Mapping):
        resolved = {name: _chat_model(entry, f"models[{name!r}]", max_retries) for name, entry in models.items()}
    else:
        resolved = _named(_chat_model(entry, f"models[{index}]", max_retries) for index, entry in enumerate(models))
    if not resolved:
        raise ConfigurationError('models is empty: give at least one chat model, e.g. ["openai:gpt-4o-mini"]')
    blank = [name for name in resolved if not isinstance(name, str) or not name.strip()]
    if blank:
        raise ConfigurationError(f"a route needs a name, not {blank[0]!r}")
    return resolved


def resolve_profiles(models: Mapping[str, BaseChatModel], given: Any = None) -> dict[str, CapabilityProfile]:
    """The capability profile of every route.

    Looked for in ``given`` and then in the registry, each time under the model's own name and the route's name; in the
    registry at the reasoning effort that the chat model asks for.

    Raises:
        ConfigurationError: ``given`` names something that is not a route.
        UnknownModelError: Nothing is known about a model.
    """
    given = _by_name(models, given, "profiles", "profile")
    return {route: _profile(route, model, given) for route, model in models.items()}


def resolve_facts(models: Mapping[str, BaseChatModel], given: Any = None) -> dict[str, ModelFacts]:
    """Prices, limits and abilities of every route: what is given, LangChain's model profile, then the shipped table.

    Raises:
        ConfigurationError: ``given`` names something that is not a route, or holds values that cannot be right.
    """
    given = _by_name(models, given, "facts", "facts")
    read = {name: ModelFacts.of(entry, f"facts of {name!r}") for name, entry in given.items()}
    return {route: _facts(route, model, read) for route, model in models.items()}


def own_name(model: BaseChatModel) -> str | None:
    """The name of the model at its provider, if the class says it."""
    for field in _NAME_FIELDS:
        name = getattr(model, field, None)
        if isinstance(name, str) and name.strip():
            return name
    return None


def _by_name(models: Mapping[str, BaseChatModel], given: Any, label: str, kind: str) -> Mapping[str, Any]:
    """``given``, whose keys must be routes or their models' own names."""
    given = given or {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{label} must be a mapping {{route: {kind}}}, not {_kind(given)}")
    known = {name for route, model in models.items() for name in (route, own_name(model))}
    if strangers := sorted(str(name) for name in given if name not in known):
        raise ConfigurationError(f"{label} names no route: {', '.join(strangers)}; the routes are {', '.join(models)}")
    return given


def _named(models: Iterable[BaseChatModel]) -> dict[str, BaseChatModel]:
    named: dict[str, BaseChatModel] = {}
    for model in models:
        name = own_name(model)
        if name is None:
            raise ConfigurationError(
                f"{type(model).__name__} does not tell its model's name: pass a mapping, models={{'name': model}}"
            )
        if name in named:
            raise ConfigurationError(
                f"two models go by the name {name!r}: pass a mapping with different names, models={{'name': model}}"
            )
        named[name] = model
    return named


def _chat_model(entry: Any, where: str, max_retries: int | None = None) -> BaseChatModel:
    if isinstance(entry, BaseChatModel):
        return entry
    if isinstance(entry, str):
        try:
            from langchain.chat_models import init_chat_model
        except ModuleNotFoundError as error:
            raise MissingDependencyError.for_extra(
                f"{where} = {entry!r}, a model given as a string,", "langchain"
            ) from error
        options: dict[str, Any] = {} if max_retries is None else {"max_retries": max_retries}
        made: Any = init_chat_model(entry, **options)
        return _chat_model(made, where)
    raise ConfigurationError(f"{where} {_reason(entry)}")


def _reason(entry: Any) -> str:
    """Why ``entry`` cannot be a candidate, and what to do instead."""
    if isinstance(entry, RunnableRetry):
        return (
            "is the result of .with_retry(): pass the chat model itself, with max_retries, "
            "or call .with_retry() on the router"
        )
    if isinstance(entry, RunnableBindingBase):
        return (
            "is a bound model (.bind(), .bind_tools() or .with_config()): pass the chat model itself; settings belong "
            "into its constructor, tools are bound on the router, router.bind_tools(...)"
        )
    if isinstance(entry, RunnableWithFallbacks):
        return "is the result of .with_fallbacks(): pass the chat model itself and call .with_fallbacks() on the router"
    if isinstance(entry, DynamicRunnable) or type(entry).__name__ == "_ConfigurableModel":
        return (
            "is a configurable model, which has no capability profile of its own: pass each model it can become; "
            "config['configurable']['modelsat_route'] chooses among them at run time"
        )
    if isinstance(entry, BaseLLM):
        return f"is a text-completion model ({_kind(entry)}): pass a chat model"
    if isinstance(entry, Runnable):
        return (
            f"is a {_kind(entry)}, not a chat model: pass the chat model itself and build the chain behind the router"
        )
    return f"must be a chat model or a string such as 'openai:gpt-4o-mini', not {_kind(entry)}"


def _profile(route: str, model: BaseChatModel, given: Mapping[str, Any]) -> CapabilityProfile:
    name = own_name(model)
    for key in (route, name):
        if key is not None and key in given:
            return _given_profile(route, name or route, given[key])
    registry = Registry.default()
    effort = effort_of({field: getattr(model, field, None) for field in _EFFORT_FIELDS})
    for key in (name, route):
        if key is not None and key in registry:
            return registry.find(f"{split_effort(key)[0]}@{effort}" if effort else key)
    try:
        return registry.find(name or route)
    except UnknownModelError as error:
        raise UnknownModelError(
            f"route {route!r}: {error} Here, give them as "
            f"ModelSATRouter(..., profiles={{{route!r}: {{'MMLU': 0.86, 'GSM8K': 0.95}}}})."
        ) from error


def _given_profile(route: str, name: str, entry: Any) -> CapabilityProfile:
    if isinstance(entry, CapabilityProfile):
        return entry
    if isinstance(entry, str):
        found = Registry.default().find(entry)
        return found if name in Registry.default() else found.lent_to(name)  # a borrowed profile lends no price
    if isinstance(entry, Mapping):
        return CapabilityProfile.from_benchmarks(route, entry)
    raise ConfigurationError(
        f"profiles[{route!r}] must be a CapabilityProfile, {{benchmark: accuracy}} or a name of the registry, "
        f"not {_kind(entry)}"
    )


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
    return facts.model_copy(update={"origins": dict.fromkeys(facts.origins, "LangChain model profile")})


def _facts(route: str, model: BaseChatModel, given: Mapping[str, ModelFacts]) -> ModelFacts:
    name = own_name(model)
    facts = given.get(route, ModelFacts())
    if name is not None and name in given and name != route:
        facts = facts.over(given[name])
    facts = facts.over(profile_facts(model)).over(_serving(model))
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


def _kind(value: Any) -> str:
    return type(value).__name__
