"""What a routing chat model is made of: its candidates, its options, and how it presents itself to LangChain."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from langchain_core.callbacks import BaseCallbackManager, CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import ConfigDict, Field

from langchain_modelsat.answers import decision_id, reason_to_stop, stamp
from langchain_modelsat.candidates import own_name, resolve_facts, resolve_models, resolve_profiles
from langchain_modelsat.selector import ROUTE_SPEC, ModelSATSelector, SelectorPool
from modelsat.candidates.facts import ModelFacts
from modelsat.candidates.parameters import NEUTRAL, PARAMETERS, refused_parameters
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError, IncompleteAnswerError
from modelsat.feedback.loop import resolve_feedback
from modelsat.inference.base import ScoreCache
from modelsat.request.exclusion import Exclusion
from modelsat.router.config import RouterConfig, RouterFields, SharedOptions
from modelsat.router.decision import RoutingDecision

_OWN_TO_ROUTES = {
    "cache": "a cache of answers belongs on the routes, where an answer comes from one model: ChatOpenAI(..., "
    "cache=...); the cache of scores is score_cache=",
    "rate_limiter": "a rate limiter belongs on the routes, whose providers set the limits: "
    "ChatOpenAI(..., rate_limiter=...)",
}
_WITHOUT_EFFECT = frozenset({"output_version"})
_CLAUDE = frozenset({"anthropic-bedrock-chat", "anthropic-chat", "anthropic-chat-vertexai"})
"""``_llm_type`` of the chat models that take ``cache_control``."""
_ALWAYS = frozenset({"anthropic", "azure", "gemini", "mistral", "openai"})
"""Providers that end every answer with a reason, whose chat models hand it on."""


class ChatRouterOptions(SharedOptions, total=False):
    """Keyword arguments of a routing chat model, for type checkers: a router's options and fields of a chat model."""

    score_cache: ScoreCache | bool
    max_retries: int | None
    drop_params: bool
    cache_control: dict[str, Any] | None
    pool: SelectorPool
    name: str | None
    tags: list[str] | None
    metadata: dict[str, Any] | None
    callbacks: Callbacks
    verbose: bool
    disable_streaming: bool | Literal["tool_calling"]


class RouterSettings(RouterFields, BaseChatModel):
    """The fields of :class:`~langchain_modelsat.ModelSATRouter`, where candidates, profiles and facts are described.

    Attributes:
        score_cache: The option ``cache`` of :class:`~modelsat.RouterConfig`: LangChain's ``cache`` is of answers.
        max_retries: How often the clients of models given as strings send a failed request again; their own habit
            (twice, at OpenAI and Anthropic) if not given. With a fallback behind the router, 0 is right.
        drop_params: A parameter of a call that the chosen model refuses (``temperature``, ``stop``, ``seed``, ...) is
            dropped, with a note in the decision. If false, such models are left out while another takes it.
        cache_control: Given to Claude with every call, so that Anthropic caches the prompt, and to no other model, e.g.
            ``{"type": "ephemeral"}``.
    """

    models: dict[str, BaseChatModel]
    profiles: dict[str, CapabilityProfile] = Field(default_factory=dict, exclude=True, repr=False)
    facts: dict[str, ModelFacts] = Field(default_factory=dict, exclude=True, repr=False)
    score_cache: Any = Field(default=True, exclude=True, repr=False)
    max_retries: int | None = None
    drop_params: bool = False
    cache_control: dict[str, Any] | None = None
    pool: SelectorPool = Field(default_factory=SelectorPool, exclude=True, repr=False)

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="ignore", protected_namespaces=())

    @property
    def selector(self) -> ModelSATSelector:
        """The decision by itself, as a Runnable."""
        options = {name: getattr(self, name) for name in RouterFields.model_fields}
        return self.pool.get(self.profiles, self.facts, {**options, "cache": self.score_cache})

    def warmup(self) -> None:
        """Load the weights and encode the profiles ahead of the first request.

        Raises:
            CheckpointError: The weights cannot be used.
        """
        self.selector.router.warmup()

    def refusing(self, settings: Mapping[str, Any]) -> dict[str, Exclusion]:
        """The routes that refuse a parameter among ``settings`` while another takes it; none with ``drop_params``.

        A route whose provider is not known refuses nothing.
        """
        asked = {name for name in PARAMETERS if settings.get(name) is not None and settings[name] != NEUTRAL.get(name)}
        if self.drop_params or not asked:
            return {}
        refusing = {route: ", ".join(sorted(names)) for route in self.models if (names := asked & self._refused(route))}
        if len(refusing) == len(self.models):
            return {}
        return {
            route: Exclusion("ability", f"refuses {names}, which the call sets") for route, names in refusing.items()
        }

    def settings_for(self, route: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """``settings`` of a call without what ``route`` refuses and may be dropped; ``cache_control`` is for Claude."""
        refused = self._refused(route) if self.drop_params else frozenset()
        without = {name for name in refused if settings.get(name) != NEUTRAL.get(name)}
        if self.models[route]._llm_type not in _CLAUDE:
            without.add("cache_control")
        return {name: value for name, value in settings.items() if name not in without}

    def _refused(self, route: str) -> frozenset[str]:
        return refused_parameters(own_name(self.models[route]) or route, self._provider_of(route))

    def _provider_of(self, route: str) -> str | None:
        known = self.facts.get(route)
        return known.provider if known is not None else None

    def whole(self, answer: Any, decision: RoutingDecision) -> Any:
        """``answer`` with the decision.

        Raises:
            IncompleteAnswerError: It broke off.
        """
        if isinstance(answer, AIMessage):
            self.check_end(decision, answer.response_metadata, len(str(answer.text)))
        return stamp(answer, decision)

    def check_end(self, decision: RoutingDecision, metadata: Mapping[str, Any], characters: int | None = None) -> None:
        """See whether an answer ended or broke off: a stream that stops without a reason passes for whole otherwise.

        A provider that is known to give a reason always gives one; another route is held to it once it has given one.
        ``metadata`` is the ``response_metadata`` of the answer, or of the part of it that would say why it ended.

        Raises:
            IncompleteAnswerError: It does not say why it ended, though this route's answers do.
        """
        route = decision.model
        if reason_to_stop(metadata) is not None:
            self.pool.giving.add(route)
        elif route in self.pool.giving or self._provider_of(route) in _ALWAYS:
            length = "" if characters is None else f" after {characters:,} characters"
            raise IncompleteAnswerError(f"the answer of {route} broke off{length}: it ended without a reason to stop")

    def _own_config(self, config: RunnableConfig | None) -> RunnableConfig:
        """``config`` with the callbacks, tags and metadata given to the constructor."""
        config = ensure_config(config)
        config["tags"] = list(dict.fromkeys([*(self.tags or []), *config["tags"]]))
        config["metadata"] = {**(self.metadata or {}), **config["metadata"]}
        config["callbacks"] = _together(self.callbacks, config["callbacks"])
        return config

    def give_feedback(self, answer: str | BaseMessage | RoutingDecision, score: float, source: str = "user") -> None:
        """Say how good an answer was; the scores of later decisions are corrected by it.

        Args:
            answer: The message that a route answered with, its decision, or the decision's identifier.
            score: 0 (bad) to 1 (good).
            source: Who says so: ``"user"``, ``"judge"``, ``"test"``, ...

        Raises:
            ModelSATError: As :meth:`modelsat.Router.feedback`.
        """
        self.selector.router.feedback(decision_id(answer), score, source)

    async def afeedback(self, answer: str | BaseMessage | RoutingDecision, score: float, source: str = "user") -> None:
        """:meth:`give_feedback` without blocking the event loop."""
        await self.selector.router.afeedback(decision_id(answer), score, source)

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        """:meth:`batch` in the shape of an ``LLMResult``."""
        configs = _configs(len(messages), callbacks, kwargs)
        return _result(self.batch(cast("Any", messages), configs, stop=stop, **kwargs))

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        """:meth:`abatch` in the shape of an ``LLMResult``."""
        configs = _configs(len(messages), callbacks, kwargs)
        return _result(await self.abatch(cast("Any", messages), configs, stop=stop, **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("the router generates nothing itself: call invoke, stream, batch or generate")

    def _resolve_model_profile(self) -> ModelProfile | None:
        return intersect_profiles(self.models.values())

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What a caller may set through ``config["configurable"]``: the forced route."""
        return [ROUTE_SPEC]

    @property
    def _llm_type(self) -> str:
        return "modelsat-router"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        named = isinstance(self.policy, (str, Mapping, os.PathLike))
        policy = str(self.policy) if named else self.policy.name
        return {"models": list(self.models), "policy": policy, "weights": self.selector.router.weights}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        model = kwargs.get("model")
        name = model if isinstance(model, str) else self.selector.router.weights
        params = LangSmithParams(ls_provider="modelsat", ls_model_name=name, ls_model_type="chat")
        if stop:
            params["ls_stop"] = stop
        return params

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """False: the candidates are clients with keys and connections of their own."""
        return False


def _together(own: Callbacks, given: Callbacks) -> Callbacks:
    """The handlers of both; ``given`` may be the manager of a run above, which must not be changed."""
    handlers = own.handlers if isinstance(own, BaseCallbackManager) else own or []
    if given is None or isinstance(given, list):
        return [*handlers, *(given or [])]
    manager = given.copy()
    for handler in handlers:
        manager.add_handler(handler, inherit=True)
    return manager


def prepare_arguments(
    given: Mapping[str, Any], known: Collection[str], config: RouterConfig | None = None
) -> dict[str, Any]:
    """Resolve candidates, profiles and facts; refuse or warn of what has no place on a router.

    ``given`` are the constructor's keyword arguments, ``known`` the names that it knows; where ``given`` says nothing,
    ``config`` holds.

    Raises:
        ConfigurationError: No models, a fallback that is not a route, ``cache`` or ``rate_limiter``.
        UnknownModelError: Nothing is known about one of the models.
    """
    if config is not None:
        own = {name: getattr(config, name) for name in config.model_fields_set}
        facts, kept = own.pop("facts", None), {"score_cache": own.pop("cache", True)}
        given = {**own, **kept, **given, "facts": given.get("facts") or facts}
    for name, reason in _OWN_TO_ROUTES.items():
        if given.get(name) not in (None, False):
            raise ConfigurationError(f"{name}= is not for the router: {reason}")
    ignored = sorted(name for name in given if name not in known or name in _WITHOUT_EFFECT)
    if ignored and "pool" not in given:  # With a pool, LangChain is copying a router, field by field.
        warnings.warn(
            f"ignored by the router: {', '.join(ignored)}; such settings belong on each model, e.g. "
            f"ModelSATRouter(models=[ChatOpenAI(model=..., {ignored[0]}=...)])",
            UserWarning,
            stacklevel=3,
        )
    if given.get("models") is None:
        raise ConfigurationError('models is missing: give chat models, e.g. models=["openai:gpt-4o-mini", ...]')
    models = resolve_models(given["models"], given.get("max_retries"))
    fallback = given.get("fallback")
    if fallback is not None and fallback not in models:
        raise ConfigurationError(f"fallback={fallback!r} is not a route; there are: {', '.join(models)}")
    return {
        **given,
        "models": models,
        "feedback": resolve_feedback(given.get("feedback")),
        "profiles": resolve_profiles(models, given.get("profiles")),
        "facts": resolve_facts(models, given.get("facts")) if "pool" not in given else given.get("facts") or {},
    }


def intersect_profiles(models: Iterable[BaseChatModel]) -> ModelProfile | None:
    """What holds whichever route is chosen: abilities that all have, and the smallest of every limit.

    A field that one route says nothing about is left out; ``None`` if nothing is left.
    """
    profiles: list[Mapping[str, Any]] = [cast("Mapping[str, Any]", model.profile or {}) for model in models]
    common = [key for key in profiles[0] if all(key in profile for profile in profiles)] if profiles else []
    merged = {key: _merge([profile[key] for profile in profiles]) for key in common}
    return cast("ModelProfile", {key: value for key, value in merged.items() if value is not None}) or None


def _merge(values: list[Any]) -> bool | float | None:
    if all(isinstance(value, bool) for value in values):
        return all(values)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return cast("float", min(values))
    return None


def _configs(count: int, callbacks: Callbacks, kwargs: dict[str, Any]) -> list[Any]:
    """A config for each of ``count`` prompts, taken out of ``kwargs``; only the first can have ``run_id``."""
    given = {"callbacks": callbacks, **{key: kwargs.pop(key, None) for key in ("tags", "metadata", "run_name")}}
    shared = {key: value for key, value in given.items() if value is not None}
    first = {"run_id": run_id} if (run_id := kwargs.pop("run_id", None)) is not None else {}
    return [{**shared, **(first if position == 0 else {})} for position in range(count)]


def _result(messages: Sequence[Any]) -> LLMResult:
    return LLMResult(generations=[[ChatGeneration(message=message)] for message in messages])
