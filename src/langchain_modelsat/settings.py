"""What a routing chat model is made of: its candidates, its options, and how it presents itself to LangChain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from langchain_core.callbacks import BaseCallbackManager, Callbacks
from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import ConfigDict, Field

from langchain_modelsat.model_profiles import intersect_profiles
from langchain_modelsat.parameters import fitted, refusals
from langchain_modelsat.pool import SelectorPool
from langchain_modelsat.records import decision_id, stamp
from langchain_modelsat.selector import ROUTE_SPEC, ModelSATSelector
from modelsat.candidates.facts import ModelFacts
from modelsat.capability.profile import CapabilityProfile
from modelsat.inference.base import ScoreCache
from modelsat.request.exclusion import Exclusion
from modelsat.router.config import RouterFields, SharedOptions
from modelsat.router.decision import RoutingDecision


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
    """The fields of :class:`~langchain_modelsat.chat_model.ModelSATRouter`.

    Attributes:
        models: The candidates. Given as a list of chat models or strings for ``init_chat_model``, which go by their own
            names, or as {name: chat model or string}.
        profiles: What is known about them. Given by name, as profiles or {benchmark: accuracy}; the rest is looked up
            in the registry.
        facts: Prices, limits and abilities by route; the rest is read from LangChain's model profiles and the
            table that comes with the package.
        score_cache: The option ``cache`` of :class:`~modelsat.RouterConfig`: LangChain's ``cache`` is of answers.
        max_retries: How often the clients of models given as strings send a failed request again; their own habit
            (twice, at OpenAI and Anthropic) if not given. With a fallback behind the router, 0 is right.
        drop_params: A parameter of a call that the chosen model refuses (``temperature``, ``stop``, ``seed``, ...) is
            dropped, with a note in the decision. If false, such models are left out while another takes it.
        cache_control: Given to Claude with every call, so that Anthropic caches the prompt, and to no other model, e.g.
            ``{"type": "ephemeral"}``.
        pool: Selectors and weights in use; made by the constructor.
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
        """The routes that refuse a parameter among ``settings`` while another takes it; none with ``drop_params``."""
        return {} if self.drop_params else refusals(self.models, self.facts, settings)

    def settings_for(self, route: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """``settings`` of a call without what ``route`` refuses and may be dropped."""
        return fitted(route, self.models, self.facts, settings, drop=self.drop_params)

    def whole(self, answer: Any, decision: RoutingDecision) -> Any:
        """``answer`` with the decision.

        Raises:
            IncompleteAnswerError: It broke off.
        """
        if isinstance(answer, AIMessage):
            self.check_end(decision, answer.response_metadata, len(str(answer.text)))
        return stamp(answer, decision)

    def check_end(self, decision: RoutingDecision, metadata: Mapping[str, Any], characters: int | None = None) -> None:
        """See whether an answer with this ``response_metadata`` ended.

        Raises:
            IncompleteAnswerError: It broke off.
        """
        known = self.facts.get(decision.model)
        provider = known.provider if known is not None else None
        self.pool.endings.check(decision.model, metadata, provider, characters)

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
