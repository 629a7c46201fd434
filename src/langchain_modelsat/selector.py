"""The decision by itself, as a Runnable: for edges of a graph, for custom code, and inside the chat model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import get_config_list, patch_config
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import ConfigDict, Field

from langchain_modelsat.requests import with_config
from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.request.context import RequestContext
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
            if (known := _known(prepared)) is not None:
                return known
            if (name := route or forced_route(config)) is not None:
                return self._forced(name)
            asked = with_config(context, config)
            return self.router.route(messages, context=asked)

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
            if (known := _known(prepared)) is not None:
                return known
            if (name := route or forced_route(config)) is not None:
                return self._forced(name)
            asked = with_config(context, config)
            return await self.router.aroute(messages, context=asked)

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
        routes = [route or forced_route(entry) for entry in configs]
        open_ones = [
            (messages, with_config(context, entry))
            for messages, name, entry in zip(inputs, routes, configs, strict=True)
            if name is None
        ]
        asked = [messages for messages, _ in open_ones]
        decided = iter(self.router.route_each(asked, contexts=[context for _, context in open_ones]))
        return [next(decided) if name is None else _attempt(self._forced, name) for name in routes]

    def _forced(self, name: str) -> RoutingDecision:
        known = dict.fromkeys([*self.router.names, *([self.router.fallback] if self.router.fallback else [])])
        if name not in known:
            raise ConfigurationError(f"the forced route {name!r} is not a candidate; there are: {', '.join(known)}")
        return RoutingDecision(
            model=name, policy="forced", reason="the caller named this route", versions=self.router.versions
        )


def forced_route(config: RunnableConfig) -> str | None:
    """The route that ``config`` forces, if it does."""
    name = (config.get("configurable") or {}).get(ROUTE_KEY)
    return None if name is None else str(name)


def without_forced_route(config: RunnableConfig) -> RunnableConfig:
    """``config`` for what comes below the decision: a router further down makes its own."""
    configurable = config.get("configurable") or {}
    if ROUTE_KEY not in configurable:
        return config
    kept: RunnableConfig = patch_config(config)
    kept["configurable"] = {key: value for key, value in configurable.items() if key != ROUTE_KEY}
    return kept


def _known(prepared: Prepared) -> RoutingDecision | None:
    if isinstance(prepared, Exception):
        raise prepared
    return prepared


def _attempt(function: Any, *args: Any, **kwargs: Any) -> Exception | RoutingDecision:
    try:
        outcome: RoutingDecision = function(*args, **kwargs)
    except ModelSATError as error:
        return error
    return outcome
