"""What one call asks of the router: tools and schemas to replay on the chosen model, and what a model must be able to.

Tools and output schemas are recorded, so that each model keeps its own best method: one answers a schema natively,
another through a tool call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig

from modelsat.candidates.facts import ModelFacts
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.request.exclusion import Exclusion

OPERATION_KEY = "modelsat_operation"
"""The keyword under which a recorded operation is bound to the router."""
_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_NO_REASONING = (None, False, "none", "minimal")


@dataclass(frozen=True)
class Operation:
    """A call of ``bind_tools`` or ``with_structured_output`` that waits for its model."""

    method: Literal["bind_tools", "with_structured_output"]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def replay(self, model: BaseChatModel) -> Runnable[LanguageModelInput, Any]:
        """Do on ``model`` what was asked of the router."""
        runnable: Runnable[LanguageModelInput, Any] = getattr(model, self.method)(*self.args, **self.kwargs)
        return runnable

    def excluded(self, models: Mapping[str, BaseChatModel]) -> dict[str, Exclusion]:
        """The routes that cannot do it, with the reason for each.

        Raises:
            NotImplementedError: No route can.
        """
        why = Exclusion("ability", f"has no {self.method}")
        out = {name: why for name, model in models.items() if not self._can(model)}
        if len(out) == len(models):
            raise NotImplementedError(f"none of the routes supports {self.method}: {', '.join(models)}")
        return out

    def _can(self, model: BaseChatModel) -> bool:
        own_schema = type(model).with_structured_output is not BaseChatModel.with_structured_output
        return (self.method == "with_structured_output" and own_schema) or can_call_tools(model)


@dataclass(frozen=True)
class Call:
    """What one call asks of the router.

    Attributes:
        operation: What to replay on the chosen model.
        route: The route that the caller forces with ``model=``.
        kwargs: What is handed on to the chosen model.
        context: What a model must be able to, and the routes that are not.
    """

    operation: Operation | None
    route: str | None
    kwargs: dict[str, Any]
    context: RequestContext


class RouterBinding(RunnableBinding[LanguageModelInput, Any]):
    """A router with keyword arguments or a config bound to it, which tools and output schemas leave in place."""

    @classmethod
    def lc_id(cls) -> list[str]:
        """The name of the base class: at run time this is a ``RunnableBinding``."""
        return [*cls.get_lc_namespace(), "RunnableBinding"]

    def bind_tools(self, *args: Any, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """``bind_tools`` of the router; what was bound before stays bound."""
        return self.bind(**cast("Any", self.bound).bind_tools(*args, **kwargs).kwargs)

    def with_structured_output(self, *args: Any, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """``with_structured_output`` of the router; what was bound before stays bound."""
        return self.bind(**cast("Any", self.bound).with_structured_output(*args, **kwargs).kwargs)


def can_call_tools(model: BaseChatModel) -> bool:
    """Whether tools can be bound to ``model``; taken on trust where its profile says nothing."""
    if type(model).bind_tools is BaseChatModel.bind_tools:
        return False
    return (model.profile or {}).get("tool_calling") is not False


def context_of(
    operation: Operation | None,
    kwargs: Mapping[str, Any],
    excluded: Mapping[str, Exclusion],
    facts: Mapping[str, ModelFacts],
) -> RequestContext:
    """Tools, schema, limit and reasoning that a call of the chat model names, and the routes that cannot do it.

    A schema from ``with_structured_output`` needs what its ``method`` says; without a method each model keeps its own
    best one, and either of two abilities will do.
    """
    asked = _settings(kwargs)
    tools = list(kwargs.get("tools") or ())
    if operation is not None:
        method = operation.kwargs.get("method")
        if operation.method == "bind_tools":
            tools = [*tools, *(operation.args[0] or ())]
            asked.update(_settings(operation.kwargs))
        elif method == "function_calling":
            tools = [*tools, *operation.args[:1]]
        elif method == "json_schema":
            asked["response_format"] = operation.args[0]
        if operation.method == "with_structured_output" and "method" not in operation.kwargs:
            why = Exclusion("ability", "can neither answer in a schema nor call tools")
            known = [(name, own.abilities) for name, own in facts.items()]
            unable = [name for name, can in known if can.get("json_schema") is False and can.get("tools") is False]
            excluded = {**dict.fromkeys(unable, why), **excluded}
    if excluded:
        asked["excluded"] = excluded
    return _context(tools, asked)


def context_of_agent(request: Any) -> RequestContext:
    """Tools, schema and settings of an agent's call of its model (``ModelRequest``)."""
    asked = _settings(request.model_settings)
    tools = list(request.tools or ())
    strategy = type(request.response_format).__name__
    if strategy == "ProviderStrategy":
        asked["response_format"] = request.response_format.schema
    elif strategy == "ToolStrategy":
        tools.append(request.response_format.schema)
    return _context(tools, asked)


def with_config(context: RequestContext | None, config: RunnableConfig) -> RequestContext | None:
    """``context`` with the thread and the metadata of ``config``."""
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    metadata = config.get("metadata") or {}
    thread = configurable.get("thread_id")
    if thread is None and not metadata:
        return context
    context = context or NO_CONTEXT
    return replace(
        context,
        thread=context.thread if thread is None else str(thread),
        metadata={**metadata, **context.metadata},
    )


def _settings(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if kwargs.get("parallel_tool_calls") is True:
        asked["parallel_tools"] = True
    if kwargs.get("response_format") is not None:
        asked["response_format"] = kwargs["response_format"]
    limit = next((kwargs[name] for name in _LIMITS if isinstance(kwargs.get(name), int)), None)
    if limit is not None and limit > 0 and limit is not True:
        asked["answer_tokens"] = limit
    reasoning = kwargs.get("reasoning")
    effort = reasoning.get("effort", True) if isinstance(reasoning, Mapping) else reasoning
    if kwargs.get("reasoning_effort") not in _NO_REASONING or effort not in _NO_REASONING:
        asked["reasoning"] = True
    return asked


def _context(tools: list[Any], asked: Mapping[str, Any]) -> RequestContext:
    return RequestContext(tools=tools, **asked) if tools or asked else NO_CONTEXT
