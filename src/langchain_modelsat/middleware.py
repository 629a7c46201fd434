"""Routing for agents: the model of each call is chosen from the candidates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
    OmitFromSchema,
)
from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime
from typing_extensions import NotRequired, Unpack

from langchain_modelsat.candidates import GivenModels, GivenProfiles
from langchain_modelsat.chat_model import ModelSATRouter
from langchain_modelsat.facts import GivenFacts
from langchain_modelsat.operations import can_call_tools
from langchain_modelsat.records import DECISION_KEY, dump, stamp
from langchain_modelsat.requests import context_of_agent
from langchain_modelsat.settings import ChatRouterOptions
from modelsat.errors import ConfigurationError
from modelsat.request.context import RequestContext
from modelsat.request.exclusion import Exclusion
from modelsat.router.config import RouterConfig
from modelsat.router.decision import RoutingDecision


class RoutingState(AgentState[Any]):
    """The agent's state, with the decision of the run as plain data."""

    routing_decision: NotRequired[Annotated[dict[str, Any], OmitFromSchema(input=True, output=False)]]


class ModelSATMiddleware(AgentMiddleware[Any, Any, Any]):
    """Chooses the model of an agent.

    Put it first: the first middleware is the outermost, and what stands behind it sees the chosen model. Candidates
    that cannot call tools are left out. The decision is in the state (``routing_decision``) and in the
    ``response_metadata`` of every answer. Errors of the chosen model are raised as they are.

    Args:
        models: Chat models or strings for ``init_chat_model``, or {name: chat model or string}.
        decide: ``"run"``: one decision when the agent starts, kept for all its calls, so that the provider's prompt
            cache is not lost in between. ``"call"``: a decision before every call of a model.
        config: The options, as a :class:`~modelsat.RouterConfig`.
        profiles: What is known about the candidates, see :class:`~langchain_modelsat.ModelSATRouter`.
        facts: Prices, limits and abilities of the candidates, see there.
        **options: The fields of :class:`~modelsat.RouterConfig`.

    Raises:
        ConfigurationError: Candidates or options that cannot be used.
        UnknownModelError: Nothing is known about one of the models.

    Example:
        >>> router = ModelSATMiddleware(models=["openai:gpt-5", "openai:gpt-4o-mini"])  # doctest: +SKIP
        >>> agent = create_agent("openai:gpt-5", tools=[...], middleware=[router])  # doctest: +SKIP
    """

    state_schema = RoutingState

    def __init__(
        self,
        models: GivenModels,
        *,
        decide: Literal["run", "call"] = "run",
        config: RouterConfig | None = None,
        profiles: GivenProfiles | None = None,
        facts: GivenFacts | None = None,
        **options: Unpack[ChatRouterOptions],
    ) -> None:
        if decide not in ("run", "call"):
            raise ConfigurationError(f'decide must be "run" or "call", not {decide!r}')
        super().__init__()
        self.decide = decide
        self.router = ModelSATRouter(models, config=config, profiles=profiles, facts=facts, **options)
        unable = {
            candidate.name: Exclusion("ability", "cannot call tools")
            for candidate in self.router.selector.router.candidates
            if not can_call_tools(self.router.models[candidate.name]) or candidate.facts.abilities.get("tools") is False
        }
        self._without_tools = RequestContext(excluded=unable if len(unable) < len(self.router.models) else {})

    def before_agent(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Decide for the run."""
        if self.decide != "run":
            return None
        return {DECISION_KEY: dump(self.router.selector.invoke(state["messages"], context=self._without_tools))}

    async def abefore_agent(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """:meth:`before_agent`, asynchronously."""
        if self.decide != "run":
            return None
        return {DECISION_KEY: dump(await self.router.selector.ainvoke(state["messages"], context=self._without_tools))}

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Call the chosen model."""
        decision = self._of_run(request)
        if decision is None:
            context = replace(context_of_agent(request), excluded=self._without_tools.excluded)
            decision = self.router.selector.invoke(_whole(request), context=context)
        return _stamped(handler(self._with_model(request, decision)), decision)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """:meth:`wrap_model_call`, asynchronously."""
        decision = self._of_run(request)
        if decision is None:
            context = replace(context_of_agent(request), excluded=self._without_tools.excluded)
            decision = await self.router.selector.ainvoke(_whole(request), context=context)
        return _stamped(await handler(self._with_model(request, decision)), decision)

    def _of_run(self, request: ModelRequest[Any]) -> RoutingDecision | None:
        """The decision of the run; ``None`` if each call has its own, or the run began with other candidates."""
        kept: Any = request.state.get(DECISION_KEY) if self.decide == "run" else None
        return RoutingDecision(**kept) if kept and kept["model"] in self.router.models else None

    def _with_model(self, request: ModelRequest[Any], decision: RoutingDecision) -> ModelRequest[Any]:
        return request.override(model=self.router.models[decision.model])


def _whole(request: ModelRequest[Any]) -> list[Any]:
    """All that the model will read: its system prompt counts as tokens, though it is not scored."""
    return [*([request.system_message] if request.system_message is not None else []), *request.messages]


def _stamped(response: ModelResponse[Any], decision: RoutingDecision) -> ModelResponse[Any]:
    result = [stamp(message, decision) if isinstance(message, AIMessage) else message for message in response.result]
    return replace(response, result=result)
