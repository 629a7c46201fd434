"""What a LiteLLM request asks for, whichever surface it came in by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelsat.request.context import RequestContext
from modelsat.router import tracing

_NOT_GENERATION = ("embedding", "moderation", "rerank", "transcription", "speech", "image", "ocr", "search", "video")
_ANSWER_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_CALLER = "user_api_key_"
_CALLER_MAPPINGS = ("user_api_key_metadata", "user_api_key_auth_metadata", "user_api_key_team_metadata")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as routing sees it.

    Attributes:
        messages: The conversation, of any shape LiteLLM hands on.
        context: Tools, formats, limits, session and metadata.
        tried: Identifiers of deployments that have failed this request already.
        target_order: The order that LiteLLM's order-fallback asks for now; ``None`` if it asks for none.
    """

    messages: Any
    context: RequestContext = field(default_factory=RequestContext)
    tried: frozenset[str] = frozenset()
    target_order: int | None = None


def conversation_of(messages: Any, kwargs: Mapping[str, Any]) -> Any:
    """The messages of the request: a chat's, or the ``input`` of the Responses API; ``None`` outside both."""
    if messages is not None:
        return messages
    call_type = str(getattr(kwargs.get("litellm_logging_obj"), "call_type", "") or "")
    if any(kind in call_type for kind in _NOT_GENERATION):
        return None
    if "responses" in call_type or "litellm_metadata" in kwargs:
        return kwargs.get("input")
    return None


def metadata_of(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The request's metadata where LiteLLM keeps its own: ``litellm_metadata`` if there is one, else ``metadata``.

    Created where there is none, so that what is written into it is seen by LiteLLM.
    """
    name = "litellm_metadata" if "litellm_metadata" in kwargs else "metadata"
    found = kwargs.get(name)
    if isinstance(found, dict):
        return found
    made: dict[str, Any] = {}
    if isinstance(kwargs, dict):
        kwargs[name] = made
    return made


def context_of(kwargs: Mapping[str, Any]) -> RequestContext:
    """What the request asks for besides its messages; parts of unknown shape count as not asked for."""
    metadata = metadata_of(kwargs)
    tools = kwargs.get("tools") or kwargs.get("functions") or ()
    return RequestContext(
        tools=tools if isinstance(tools, Sequence) and not isinstance(tools, (str, bytes)) else (),
        parallel_tools=bool(tools) and kwargs.get("parallel_tool_calls") is True,
        response_format=_response_format(kwargs),
        reasoning=_reasons(kwargs),
        answer_tokens=_answer_tokens(kwargs),
        thread=session_of(kwargs, metadata),
        metadata=_caller(kwargs, metadata),
        trace=tracing.caller(metadata.get("litellm_parent_otel_span")),
    )


def session_of(kwargs: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """An identifier of the conversation out of LiteLLM's session fields, different for different keys."""
    asked = metadata.get("requester_metadata")
    given = (
        kwargs.get("litellm_session_id"),
        metadata.get("session_id"),
        asked.get("session_id") if isinstance(asked, Mapping) else None,
    )
    session = next((str(value) for value in given if value), None)
    if session is None:
        return None
    owner = str(metadata.get("user_api_key_hash") or metadata.get("user_api_key") or "")
    return hashlib.sha256(f"{owner}\0{session}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _response_format(kwargs: Mapping[str, Any]) -> Any:
    if (given := kwargs.get("response_format")) is not None:
        return given
    text = kwargs.get("text")  # Responses API: {"format": {"type": "json_schema", ...}}
    return text.get("format") if isinstance(text, Mapping) else None


def _reasons(kwargs: Mapping[str, Any]) -> bool:
    effort = kwargs.get("reasoning_effort")
    if isinstance(effort, str) and effort not in ("none", "disable"):
        return True
    thinking, reasoning = kwargs.get("thinking"), kwargs.get("reasoning")
    if isinstance(thinking, Mapping) and thinking.get("type") in ("enabled", "adaptive"):
        return True
    return isinstance(reasoning, Mapping) and reasoning.get("effort") not in (None, "none")


def _answer_tokens(kwargs: Mapping[str, Any]) -> int | None:
    for name in _ANSWER_LIMITS:
        value = kwargs.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
    return None


def _caller(kwargs: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What residency rules look at: the caller's metadata, and over it what LiteLLM knows about key and team."""
    found: dict[str, Any] = {}
    for given in (kwargs.get("metadata"), metadata.get("requester_metadata")):
        if isinstance(given, Mapping):
            found.update({key: value for key, value in given.items() if isinstance(value, (str, int, float))})
    for name in _CALLER_MAPPINGS:
        given = metadata.get(name)
        if isinstance(given, Mapping):
            found.update(given)
    found.update(
        {key: value for key, value in metadata.items() if key.startswith(_CALLER) and isinstance(value, (str, int))}
    )
    return found
