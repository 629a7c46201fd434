"""What a LiteLLM request asks for, whichever surface it came in by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelsat.request.context import RequestContext
from modelsat.request.exclusion import Exclusion
from modelsat.router import tracing

_NOT_GENERATION = ("embedding", "moderation", "rerank", "transcription", "speech", "image", "ocr", "search", "video")
_ANSWER_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_SESSION_HEADERS = (
    "x-litellm-session-id",
    "x-session-affinity",
    "x-opencode-session",
    "x-claude-code-session-id",
    "x-session-id",
    "session-id",
    "session_id",
)
_CALLER = "user_api_key_"
_CALLER_MAPPINGS = ("user_api_key_metadata", "user_api_key_auth_metadata", "user_api_key_team_metadata")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as routing sees it.

    Attributes:
        messages: The conversation, of any shape LiteLLM hands on.
        context: Tools, formats, limits, session and metadata.
    """

    messages: Any
    context: RequestContext = field(default_factory=RequestContext)


@dataclass(frozen=True, slots=True)
class Job:
    """One request and the names of the candidates that are there to answer it.

    Attributes:
        request: The request.
        names: Who is there.
        unfit: Who comes last, with the reason: it refuses a parameter of the request that another takes.
        chore: The kind of housekeeping that a coding agent asks for; ``None`` for work.
        rungs: By how many rungs to escalate, because the work is stuck.
    """

    request: Request
    names: frozenset[str]
    unfit: Mapping[str, Exclusion] = field(default_factory=dict)
    chore: str | None = None
    rungs: int = 0


def conversation_of(messages: Any, kwargs: Mapping[str, Any]) -> Any:
    """What the model reads: a chat's messages, or the ``input`` of the Responses API; ``None`` outside both.

    A system prompt that stands beside the messages (``/v1/messages``, ``instructions``) comes first: it takes room.
    """
    if messages is None:
        call_type = str(getattr(kwargs.get("litellm_logging_obj"), "call_type", "") or "")
        if any(kind in call_type for kind in _NOT_GENERATION):
            return None
        if "responses" in call_type or "litellm_metadata" in kwargs:
            messages = kwargs.get("input")
        if messages is None:
            return None
    system = kwargs.get("system") or kwargs.get("instructions")
    if not system or not isinstance(system, (str, list)):
        return messages
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return [{"role": "system", "content": system}, *turns] if isinstance(turns, list) else messages


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
    """An identifier of the conversation, different for different keys.

    Out of LiteLLM's session fields; or of what clients and coding agents send for their provider's prompt cache:
    ``prompt_cache_key``, headers such as ``x-session-affinity``, and the JSON in Claude Code's ``metadata.user_id``.
    """
    asked = metadata.get("requester_metadata")
    given = (
        kwargs.get("litellm_session_id"),
        metadata.get("session_id"),
        asked.get("session_id") if isinstance(asked, Mapping) else None,
        kwargs.get("prompt_cache_key"),
        *(header_of(kwargs, name) for name in _SESSION_HEADERS),
        *(_claude_session(place) for place in (kwargs.get("metadata"), asked)),
    )
    session = next((str(value) for value in given if value), None)
    if session is None:
        return None
    owner = str(metadata.get("user_api_key_hash") or metadata.get("user_api_key") or "")
    return hashlib.sha256(f"{owner}\0{session}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def header_of(kwargs: Mapping[str, Any], name: str) -> str | None:
    """A header of the request to the proxy, or one that an SDK's caller passes on; names are in lower case."""
    request, extra = kwargs.get("proxy_server_request"), kwargs.get("extra_headers")
    for headers in (request.get("headers") if isinstance(request, Mapping) else None, extra):
        if isinstance(headers, Mapping):
            found = headers.get(name)
            if isinstance(found, str) and found:
                return found
    return None


def _claude_session(metadata: Any) -> str | None:
    """The session in ``metadata.user_id``: JSON since Claude Code 2.1, ``user_..._session_...`` before."""
    user = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    if not isinstance(user, str):
        return None
    if user.startswith("{"):
        try:
            found = json.loads(user)
        except ValueError:
            return None
        return str(found.get("session_id") or "") or None if isinstance(found, dict) else None
    _, marker, session = user.rpartition("_session_")
    return session if marker and session else None


def _response_format(kwargs: Mapping[str, Any]) -> Any:
    if (given := kwargs.get("response_format")) is not None:
        return given
    text = kwargs.get("text")  # Responses API: {"format": {"type": "json_schema", ...}}
    return text.get("format") if isinstance(text, Mapping) else None


def _reasons(kwargs: Mapping[str, Any]) -> bool:
    if kwargs.get("drop_params") is True:
        return False  # LiteLLM sets it for coding agents, which ask every model for it.
    effort = kwargs.get("reasoning_effort")
    if isinstance(effort, str) and effort not in ("none", "disable"):
        return True
    thinking, reasoning = kwargs.get("thinking"), kwargs.get("reasoning")
    if isinstance(thinking, Mapping) and thinking.get("type") == "enabled":
        return True
    return isinstance(reasoning, Mapping) and reasoning.get("effort") not in (None, "none")


def _answer_tokens(kwargs: Mapping[str, Any]) -> int | None:
    import litellm

    for name in _ANSWER_LIMITS:
        if name == "max_tokens" and litellm.modify_params is True:
            continue  # LiteLLM lowers it to what the model allows.
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
