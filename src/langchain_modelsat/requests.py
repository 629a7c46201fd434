"""What a call asks of the model besides its messages, as the router's request context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig

from langchain_modelsat.operations import Call
from modelsat.candidates.facts import ModelFacts
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.request.exclusion import Exclusion

_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_NO_REASONING = (None, False, "none", "minimal")


def context_of(call: Call, facts: Mapping[str, ModelFacts]) -> RequestContext:
    """Tools, schema, limit and reasoning that a call of the chat model names, and the routes that cannot do it.

    A schema from ``with_structured_output`` needs what its ``method`` says; without a method each model keeps its own
    best one, and nothing more is needed.
    """
    kwargs = call.kwargs
    asked: dict[str, Any] = _settings(kwargs)
    tools = list(kwargs.get("tools") or ())
    if (operation := call.operation) is not None:
        method = operation.kwargs.get("method")
        if operation.method == "bind_tools":
            tools = [*tools, *(operation.args[0] or ())]
            asked.update(_settings(operation.kwargs))
        elif method == "function_calling":
            tools = [*tools, *operation.args[:1]]
        elif method == "json_schema":
            asked["response_format"] = operation.args[0]
    if excluded := _excluded(call, facts):
        asked["excluded"] = excluded
    return _context(tools, asked)


def _excluded(call: Call, facts: Mapping[str, ModelFacts]) -> Mapping[str, Exclusion]:
    """The routes that cannot do what a call asks for; with a schema and no ``method``, any of two abilities will do."""
    operation = call.operation
    if operation is None or operation.method != "with_structured_output" or "method" in operation.kwargs:
        return call.excluded
    why = Exclusion("ability", "can neither answer in a schema nor call tools")
    unable = {
        name: why
        for name, known in facts.items()
        if known.abilities.get("json_schema") is False and known.abilities.get("tools") is False
    }
    return {**unable, **call.excluded}


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
