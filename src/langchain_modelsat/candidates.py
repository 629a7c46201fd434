"""The chat models a router may choose from: their names, and what is known about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.runnables import Runnable, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.runnables.retry import RunnableRetry

from modelsat.capability.efforts import effort_of, split_effort
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.errors import ConfigurationError, MissingDependencyError, UnknownModelError

_NAME_FIELDS = ("model_name", "model", "model_id", "deployment_name")

_EFFORT_FIELDS = (
    "reasoning_effort", "reasoning", "thinking", "effort", "output_config", "thinking_level", "thinking_budget",
    "model_kwargs", "extra_body",
)  # fmt: skip
"""Fields in which chat models of any provider keep the reasoning effort."""

GivenModels = Sequence[str | BaseChatModel] | Mapping[str, str | BaseChatModel]
"""Chat models or strings for ``init_chat_model``; or {name of the route: chat model or string}."""

GivenProfiles = Mapping[str, CapabilityProfile | Mapping[str, float] | str]
"""What is known, by route or by the model's own name: a profile, {benchmark: accuracy}, or a name of the registry."""


def resolve_models(models: Any, max_retries: int | None = None) -> dict[str, BaseChatModel]:
    """Check the candidates and name them.

    Args:
        models: See :data:`GivenModels`. In a list, a model goes by its own name.
        max_retries: How often the client of a model given as a string sends a failed request again.

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

    Args:
        models: The routes.
        given: See :data:`GivenProfiles`.

    Raises:
        ConfigurationError: ``given`` names something that is not a route.
        UnknownModelError: Nothing is known about a model.
    """
    given = given or {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"profiles must be a mapping {{route: profile}}, not {_kind(given)}")
    known = {name for route, model in models.items() for name in (route, own_name(model))}
    if strangers := sorted(str(name) for name in given if name not in known):
        raise ConfigurationError(f"profiles names no route: {', '.join(strangers)}; the routes are {', '.join(models)}")
    return {route: _profile(route, model, given) for route, model in models.items()}


def own_name(model: BaseChatModel) -> str | None:
    """The name of the model at its provider, if the class tells."""
    for field in _NAME_FIELDS:
        name = getattr(model, field, None)
        if isinstance(name, str) and name.strip():
            return name
    return None


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


def _kind(value: Any) -> str:
    return type(value).__name__
