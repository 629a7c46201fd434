"""The decision by itself, as a Runnable: for edges of a graph, for custom code, and inside the chat model.

A pool keeps one selector per set of options, so that a router that is configured at run time loads its weights once.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import get_config_list, patch_config
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import ConfigDict, Field

from langchain_modelsat.calls import with_config
from modelsat.candidates.candidate import Candidate
from modelsat.candidates.facts import ModelFacts
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.inference.base import Scorer
from modelsat.policies.resolve import weights_for
from modelsat.request.context import RequestContext
from modelsat.router.config import RouterConfig
from modelsat.router.decision import RoutingDecision
from modelsat.router.router import Router

ROUTE_KEY = "modelsat_route"
"""``config["configurable"][ROUTE_KEY]`` names the candidate that must answer; nothing is scored then."""

ROUTE_SPEC = ConfigurableFieldSpec(
    id=ROUTE_KEY,
    annotation=str | None,
    name="Forced route",
    description="Name of the candidate that must answer; leave it out to let the router decide.",
    default=None,
)

_KEPT = 64

Profiles = Mapping[str, CapabilityProfile]
Facts = Mapping[str, ModelFacts]
Prepared = RoutingDecision | Exception | None
"""The outcome of a decision that was made ahead of its run, in a batch; ``None`` if there is none."""


class ModelSATSelector(RunnableSerializable[Any, RoutingDecision]):
    """Decides which candidate should answer and calls no model.

    Input: a string, OpenAI-style or LangChain messages, or a prompt value. Output: a
    :class:`~modelsat.router.decision.RoutingDecision`.

    Attributes:
        router: The router that decides.

    Example:
        >>> selector = ModelSATSelector(router=Router(["gpt-4o", "gpt-4o-mini"]))  # doctest: +SKIP
        >>> selector.invoke("Prove that there are infinitely many primes.").model  # doctest: +SKIP
        'gpt-4o'
    """

    router: Router = Field(exclude=True)

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What a caller may set through ``config["configurable"]``: the forced route."""
        return [ROUTE_SPEC]

    def invoke(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        route: str | None = None,
        prepared: Prepared = None,
        context: RequestContext | None = None,
        **kwargs: Any,
    ) -> RoutingDecision:
        """Decide.

        Args:
            input: The messages.
            config: A route may be forced in it (:data:`ROUTE_KEY`); sticky policies read its ``thread_id``, residency
                rules its metadata.
            route: Force this candidate; goes before the one in ``config``.
            prepared: The outcome, if it was found in a batch before; it is only recorded.
            context: What comes with the messages: tools, a response schema, constraints of this request, ...
            **kwargs: Ignored.

        Raises:
            ConfigurationError: The forced route is not a candidate.
            ModelSATError: Routing failed and there is no fallback.
        """

        def decide(messages: Any, config: RunnableConfig) -> RoutingDecision:
            if (known := self._known(prepared, route or _forced_route(config))) is not None:
                return known
            return self.router.route(messages, context=with_config(context, config))

        return self._call_with_config(cast("Any", decide), input, config)

    async def ainvoke(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        route: str | None = None,
        prepared: Prepared = None,
        context: RequestContext | None = None,
        **kwargs: Any,
    ) -> RoutingDecision:
        """:meth:`invoke` without blocking the event loop."""

        async def decide(messages: Any, config: RunnableConfig) -> RoutingDecision:
            if (known := self._known(prepared, route or _forced_route(config))) is not None:
                return known
            return await self.router.aroute(messages, context=with_config(context, config))

        return await self._acall_with_config(cast("Any", decide), input, config)

    def batch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        context: RequestContext | None = None,
        **kwargs: Any,
    ) -> list[RoutingDecision]:
        """Decide for many inputs with one forward pass."""

        def decide(batch: list[Any], config: list[RunnableConfig]) -> list[Exception | RoutingDecision]:
            return self.prepare(batch, config, context=context)

        return self._batch_with_config(cast("Any", decide), inputs, config, return_exceptions=return_exceptions)

    async def abatch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        context: RequestContext | None = None,
        **kwargs: Any,
    ) -> list[RoutingDecision]:
        """:meth:`batch` without blocking the event loop."""

        async def decide(batch: list[Any], config: list[RunnableConfig]) -> list[Exception | RoutingDecision]:
            return await asyncio.to_thread(self.prepare, batch, config, context=context)

        return await self._abatch_with_config(cast("Any", decide), inputs, config, return_exceptions=return_exceptions)

    def prepare(
        self,
        inputs: Sequence[Any],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        route: str | None = None,
        context: RequestContext | None = None,
    ) -> list[Exception | RoutingDecision]:
        """Outcomes for many inputs with one forward pass and without runs of their own; failures are returned."""
        configs = get_config_list(config, len(inputs))
        routes = [route or _forced_route(entry) for entry in configs]
        open_ones = [position for position, name in enumerate(routes) if name is None]
        asked = [inputs[position] for position in open_ones]
        contexts = [with_config(context, configs[position]) for position in open_ones]
        decided = iter(self.router.route_each(asked, contexts=contexts))
        outcomes: list[Exception | RoutingDecision] = []
        for name in routes:
            try:
                outcomes.append(next(decided) if name is None else self._forced(name))
            except ConfigurationError as error:
                outcomes.append(error)
        return outcomes

    def _known(self, prepared: Prepared, route: str | None) -> RoutingDecision | None:
        """The decision that needs no scoring: made in a batch, or forced by the caller."""
        if isinstance(prepared, Exception):
            raise prepared
        return self._forced(route) if prepared is None and route is not None else prepared

    def _forced(self, name: str) -> RoutingDecision:
        known = dict.fromkeys([*self.router.names, *([self.router.fallback] if self.router.fallback else [])])
        if name not in known:
            raise ConfigurationError(f"the forced route {name!r} is not a candidate; there are: {', '.join(known)}")
        return RoutingDecision(
            model=name, policy="forced", reason="the caller named this route", versions=self.router.versions
        )


def route_config(config: RunnableConfig, decision: RoutingDecision) -> RunnableConfig:
    """The config of the chosen model's run, with the route and the decision's identifier in its metadata.

    A route that the caller forces is left out: a router further down decides for itself.
    """
    recorded = patch_config(config)
    configurable = config.get("configurable") or {}
    if ROUTE_KEY in configurable:
        recorded["configurable"] = {key: value for key, value in configurable.items() if key != ROUTE_KEY}
    recorded["metadata"] = {**recorded["metadata"], ROUTE_KEY: decision.model, "modelsat_decision": decision.id}
    return recorded


def _forced_route(config: RunnableConfig) -> str | None:
    name = (config.get("configurable") or {}).get(ROUTE_KEY)
    return None if name is None else str(name)


class SelectorPool:
    """Keeps selectors, the weights that they share, and which routes say why an answer ended. Thread-safe.

    LangChain makes a configurable model for every call; the pool is a field of it and is handed on.

    Attributes:
        giving: Routes that have given a reason to stop.
    """

    def __init__(self) -> None:
        self._selectors: dict[tuple[Any, ...], tuple[object, ModelSATSelector]] = {}
        self._scorers: dict[str, Scorer] = {}
        self._lock = threading.Lock()
        self.giving: set[str] = set()

    def get(self, profiles: Profiles, facts: Facts, options: Mapping[str, Any]) -> ModelSATSelector:
        """The selector for candidates, by route, and the other fields of a ``RouterConfig``; made at its first use.

        Raises:
            ConfigurationError: The options contradict each other.
        """
        known = [(name, id(entry)) for each in (profiles, facts) for name, entry in each.items()]
        key = (*known, *map(_identity, options.values()))
        kept = self._selectors.get(key)
        if kept is None:
            with self._lock:
                if len(self._selectors) >= _KEPT:
                    self._selectors.clear()
                # What was given is kept too: the key holds identities of what must not be collected meanwhile.
                given = (dict(profiles), dict(facts), dict(options))
                kept = self._selectors.setdefault(key, (given, self._make(*given)))
        return kept[1]

    def __deepcopy__(self, memo: Any) -> SelectorPool:
        """A copied router shares the weights with the original."""
        return self

    def _make(self, profiles: Profiles, facts: Facts, options: Mapping[str, Any]) -> ModelSATSelector:
        weights, scorer = weights_for(options["weights"], options["policy"]), options["scorer"]
        if scorer is None:
            scorer = self._shared_scorer(weights, options["cache_dir"])
        candidates = [Candidate(name, profile, facts.get(name, ModelFacts())) for name, profile in profiles.items()]
        config = RouterConfig(**{**options, "weights": weights, "scorer": scorer})
        return ModelSATSelector(router=Router(candidates, config))

    def _shared_scorer(
        self, weights: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None
    ) -> Scorer | None:
        """Weights for every router after the first, which loads its own when it is first used."""
        if not self._selectors:
            return None
        name = str(weights)
        if name not in self._scorers:
            from modelsat.inference import load_scorer

            try:
                self._scorers[name] = load_scorer(weights, cache_dir=cache_dir)
            except ModelSATError:
                return None  # The router will meet the same error and treat it as its options say.
        return self._scorers[name]


def _identity(value: object) -> object:
    """Equal for options that make the same router; objects count by identity, which is quick to compare."""
    return value if isinstance(value, (str, bool, type(None))) else id(value)
