"""Routing for agents: the model of each call is chosen from the candidates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    OmitFromSchema,
)
from langgraph.runtime import Runtime
from langgraph.types import Command
from typing_extensions import NotRequired, Unpack

from langchain_modelsat.answers import DECISION_KEY, dump
from langchain_modelsat.calls import can_call_tools, context_of_agent
from langchain_modelsat.candidates import GivenFacts, GivenModels, GivenProfiles
from langchain_modelsat.chat_model import ModelSATRouter
from langchain_modelsat.settings import ChatRouterOptions
from modelsat.errors import ConfigurationError
from modelsat.request.context import RequestContext
from modelsat.request.exclusion import Exclusion
from modelsat.router.config import RouterConfig
from modelsat.router.decision import RoutingDecision


class RoutingState(AgentState[Any]):
    """The agent's state, with the decision of the run as plain data."""

    routing_decision: NotRequired[Annotated[dict[str, Any] | None, OmitFromSchema(input=True, output=False)]]


class ModelSATMiddleware(AgentMiddleware[Any, Any, Any]):
    """Chooses the model of an agent.

    Put it first: the first middleware is the outermost, and what stands behind it sees the chosen model. A model that a
    middleware before it tries next (a fallback) is left as it is. Candidates that cannot call tools are left out. The
    decision is in the state (``routing_decision``) and in the ``response_metadata`` of every answer. Errors of the
    chosen model are raised as they are.

    Args:
        models: Chat models or strings for ``init_chat_model``, or {name: chat model or string}.
        decide: ``"run"``: one decision at the first call of a run, kept for its further calls, so that the provider's
            prompt cache is not lost in between; another only where the chosen model cannot take what comes next (an
            image, a prompt beyond its window), with a note of the switch. ``"call"``: a decision before every call.
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
        """Forget the decision of an earlier run of the thread."""
        return {DECISION_KEY: None} if state.get(DECISION_KEY) else None

    async def abefore_agent(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """:meth:`before_agent`, asynchronously."""
        return self.before_agent(state, runtime)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Call the chosen model."""
        if self._set_outside(request):
            return handler(request)
        context, messages = self._context(request), _whole(request)
        decision, switch = self._kept(request, context, messages)
        if decision is None:
            decision = _noted(self.router.selector.invoke(messages, context=context), switch)
        return self._answered(request, handler(self._with_model(request, decision)), decision)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """:meth:`wrap_model_call`, asynchronously."""
        if self._set_outside(request):
            return await handler(request)
        context, messages = self._context(request), _whole(request)
        decision, switch = self._kept(request, context, messages)
        if decision is None:
            decision = _noted(await self.router.selector.ainvoke(messages, context=context), switch)
        return self._answered(request, await handler(self._with_model(request, decision)), decision)

    def _set_outside(self, request: ModelRequest[Any]) -> bool:
        """Whether a middleware before this one tries another model, after the one that the step began with.

        All calls of one step share its state, which is not written back: a note in it lives as long as the step.
        """
        first = request.state.setdefault(f"modelsat_first_model_{id(self)}", id(request.model))  # type: ignore[misc]
        return bool(first != id(request.model))

    def _context(self, request: ModelRequest[Any]) -> RequestContext:
        refusing = self.router.refusing(request.model_settings)
        return replace(context_of_agent(request), excluded={**refusing, **self._without_tools.excluded})

    def _kept(
        self, request: ModelRequest[Any], context: RequestContext, messages: list[Any]
    ) -> tuple[RoutingDecision | None, str]:
        """The decision of the run while its model can take this call; or ``None``, and why it no longer stands."""
        kept: Any = request.state.get(DECISION_KEY) if self.decide == "run" else None
        if not kept or kept["model"] not in self.router.models:  # each call has its own, or there were other candidates
            return None, ""
        decision = RoutingDecision(**kept)
        if decision.policy == "forced":
            return decision, ""
        why = self.router.selector.router.excluded(messages, context=context).get(decision.model)
        return (decision, "") if why is None else (None, f"switched from {decision.model} in the run: {why}")

    def _answered(
        self, request: ModelRequest[Any], response: ModelResponse[Any], decision: RoutingDecision
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """``response`` with the decision on its messages, and in the state if it is new there."""
        stamped = replace(response, result=[self.router.whole(message, decision) for message in response.result])
        kept: Any = request.state.get(DECISION_KEY)
        if self.decide != "run" or (kept and kept["id"] == decision.id):
            return stamped
        return ExtendedModelResponse(stamped, Command(update={DECISION_KEY: dump(decision)}))

    def _with_model(self, request: ModelRequest[Any], decision: RoutingDecision) -> ModelRequest[Any]:
        settings = self.router.settings_for(decision.model, request.model_settings)
        return request.override(model=self.router.models[decision.model], model_settings=settings)


def _whole(request: ModelRequest[Any]) -> list[Any]:
    """All that the model will read: its system prompt counts as tokens, though it is not scored."""
    return [*([request.system_message] if request.system_message is not None else []), *request.messages]


def _noted(decision: RoutingDecision, switch: str) -> RoutingDecision:
    return decision.model_copy(update={"notes": (*decision.notes, switch)}) if switch else decision
