"""What a LiteLLM request asks for, whichever surface it came in by, and what is known of the coding agent that asks.

What an agent asks for in the background, and whether the work on a user turn is stuck, are plain functions of the
request, so that a group's ``housekeeping`` and ``escalation`` may name others. Shapes are those of Claude Code 2.1,
Codex 0.171 and OpenCode 1.18 (2026-11), on ``/v1/messages``, ``/v1/responses`` and ``/v1/chat/completions``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelsat.request.context import RequestContext
from modelsat.request.envelopes import unwrap
from modelsat.request.exclusion import Exclusion
from modelsat.router import tracing

Housekeeping = Callable[[Any, Mapping[str, Any]], str | None]
"""From the conversation and the request to the kind of housekeeping it is; ``None`` for work."""
Stuck = Callable[[Any], int]
"""From the conversation to the rungs by which to escalate; 0 while the work goes on."""

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
_AGENTS = re.compile(r"^(?:claude-cli|claude-code|codex|opencode|cursor)", re.IGNORECASE)
_HEAD = 2_000
_THREAD = r"(?:conversation|chat|session|thread)"


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_TITLE = _any_of(
    r"\btitle generator\b",
    rf"\b(?:title|name)\b[^.\n]{{0,120}}\b{_THREAD}\b",
    rf"\b{_THREAD}\b[^.\n]{{0,60}}\btitle\b",
)
_SUMMARY = _any_of(
    rf"\bsummar(?:y|i[sz]e|i[sz]ing)\b[^.\n]{{0,80}}\b{_THREAD}\b",
    rf"\b{_THREAD}\b[^.\n]{{0,40}}\bsummar",
    rf"\bsummar(?:y|i[sz]e)\b[^.\n]{{0,40}}\bin this {_THREAD}\b",
)
_COMPACTION = _any_of(rf"\bsummary of (?:the|this|our) {_THREAD}\b")
_FAILED = _any_of(
    r"\A\s*(?:<\w+>\s*)?(?:error\b|\w*(?:error|exception|notfound)\b\s*:|traceback \(most recent|fatal:|failed\b)",
    r"\b(?:exit(?:ed with)?(?: code)?|exit status|returned)[: ]+(?:code )?[1-9]\d*\b",
    r"command not found",
    r"no such file or directory",
)
_COMPLAINT = _any_of(
    r"\bstill\b[^.!?\n]{0,30}(?:\bnot\b|n't\b|\bfail|\bbroken\b|\bwrong\b|\bthe same\b|\bcrash|\berrors?\b)",
    r"\b(?:does|did|do)(?:n't| not) (?:work|help|fix|change anything)",
    r"\b(?:not|isn't) (?:working|fixed)\b",
    r"\b(?:the )?same (?:error|problem|issue|result)\b",
    r"immer noch (?:nicht|der|ein|derselbe)",
    r"(?:geht|funktioniert|klappt)[^.!?\n]{0,15} nicht",
    r"sigue sin|(?:todavía|aún) no|no funciona",
    r"(?:marche|fonctionne) (?:toujours )?pas|toujours pas",
    r"(?:还是|仍然|依然)(?:不|没)",
    r"まだ(?:動|直|でき|同じ)",
)
_COMPLAINT_CHARACTERS = 400
_INSTRUCTION_CHARACTERS = 300
_PROBE_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One request, and who is there to answer it.

    Attributes:
        messages: The conversation, of any shape LiteLLM hands on.
        context: Tools, formats, limits, session and metadata.
        names: The candidates that are there.
        unfit: Who comes last, with the reason: it refuses a parameter of the request that another takes.
        chore: The kind of housekeeping that a coding agent asks for; ``None`` for work.
        rungs: By how many rungs to escalate, because the work is stuck.
    """

    messages: Any
    context: RequestContext
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


def metadata_of(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The request's metadata where LiteLLM keeps its own: ``litellm_metadata`` if there is one, else ``metadata``.

    Created where there is none, so that what is written into it is seen by LiteLLM.
    """
    name = "litellm_metadata" if "litellm_metadata" in kwargs else "metadata"
    if not isinstance(kwargs.get(name), dict):
        kwargs[name] = {}
    found: dict[str, Any] = kwargs[name]
    return found


def context_of(kwargs: dict[str, Any]) -> RequestContext:
    """What the request asks for besides its messages; parts of unknown shape count as not asked for."""
    metadata = metadata_of(kwargs)
    tools = kwargs.get("tools") or kwargs.get("functions") or ()
    text = kwargs.get("text")  # Responses API: {"format": {"type": "json_schema", ...}}
    response_format = kwargs.get("response_format")
    if response_format is None and isinstance(text, Mapping):
        response_format = text.get("format")
    return RequestContext(
        tools=tools if isinstance(tools, Sequence) and not isinstance(tools, (str, bytes)) else (),
        parallel_tools=bool(tools) and kwargs.get("parallel_tool_calls") is True,
        response_format=response_format,
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


def housekeeping(conversation: Any, kwargs: Mapping[str, Any]) -> str | None:
    """The default: ``"title"``, ``"summary"`` or ``"probe"`` for what an agent asks for in the background.

    A request without tools whose system prompt asks for a title or a summary of a conversation, or one of a known agent
    whose last turn does; an agent's long instruction to sum up the conversation; a probe of one token. What a person
    asks for ("a title for my thesis") is work.
    """
    agent = _AGENTS.match(header_of(kwargs, "user-agent") or "") is not None
    if kwargs.get("tools") and not agent:
        return None
    messages = _messages(conversation)
    turns = (_said(message) for message in reversed(messages) if agent and _role(message) == "user")
    last = next(filter(None, turns), "")
    if agent and kwargs.get("max_tokens") == 1 and len(messages) == 1 and len(last) < _PROBE_CHARACTERS:
        return "probe"
    if kwargs.get("tools"):  # A person asks for titles and summaries too, in fewer words than an agent.
        long = len(last) >= _INSTRUCTION_CHARACTERS
        return "summary" if long and _COMPACTION.search(last[:_INSTRUCTION_CHARACTERS]) else None
    texts = [_said(message)[:_HEAD] for message in messages if _role(message) == "system"]
    texts += [last[:_HEAD]] if agent else []
    for kind, words, pattern in (("title", ("title", "name"), _TITLE), ("summary", ("summary", "summari"), _SUMMARY)):
        if any(pattern.search(text) for text in texts if any(word in text.casefold() for word in words)):
            return kind
    return None


def stuck(conversation: Any) -> int:
    """The default: one rung for each time that a tool call fails again in this user turn, and for each complaint.

    A call fails again if one of the same name and arguments has failed before in the same turn. A complaint is a short
    turn after an answer that says that it still does not work; complaints in a row add up.
    """
    messages = _messages(conversation)
    turn, complaints = 0, 0
    for at in range(len(messages) - 1, -1, -1):  # From the end: most conversations are read no further than one turn.
        if _role(messages[at]) != "user" or not (text := _said(messages[at])):
            continue
        turn = turn or at
        answered = any(_role(message) == "assistant" for message in messages[:at])
        if not answered or len(text) > _COMPLAINT_CHARACTERS or _COMPLAINT.search(text) is None:
            break
        complaints += 1
    calls: dict[str, str] = {}
    failures: Counter[str] = Counter()
    for message in messages[turn:]:
        calls.update(_calls(message))
        failures.update(calls[identifier] for identifier, failed in _results(message) if failed and identifier in calls)
    return complaints + sum(count - 1 for count in failures.values())


def _messages(conversation: Any) -> list[Mapping[str, Any]]:
    if isinstance(conversation, str):
        return [{"role": "user", "content": conversation}]
    given = conversation if isinstance(conversation, Sequence) else ()
    return [message for message in given if isinstance(message, Mapping)]


def _role(message: Mapping[str, Any]) -> str:
    role = str(message.get("role"))
    return "system" if role == "developer" else "assistant" if _is_call(message) else role


def _is_call(message: Mapping[str, Any]) -> bool:
    """Whether it is a tool call that stands as an item of its own (Responses API)."""
    return str(message.get("type")).endswith("_call")


def _calls(message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Identifier, and name with arguments, of each tool call in a message of any of the three APIs."""
    if _is_call(message):
        yield str(message.get("call_id")), _key(message.get("name"), message.get("arguments") or message.get("input"))
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            yield str(call.get("id")), _key(function.get("name"), function.get("arguments"))
    for part in _parts(message):
        if part.get("type") == "tool_use":
            yield str(part.get("id")), _key(part.get("name"), part.get("input"))


def _results(message: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Identifier of each tool call that a message has the result of, and whether it failed."""
    if str(message.get("type")).endswith("_call_output"):
        yield str(message.get("call_id")), _has_failed(message.get("output"))
    if message.get("role") == "tool":
        yield str(message.get("tool_call_id")), _has_failed(message.get("content"))
    for part in _parts(message):
        if part.get("type") == "tool_result":
            yield str(part.get("tool_use_id")), part.get("is_error") is True or _has_failed(part.get("content"))


def _has_failed(result: Any) -> bool:
    if isinstance(result, Sequence) and not isinstance(result, (str, bytes)):
        result = "\n".join(str(part.get("text") or "") for part in result if isinstance(part, Mapping))
    return isinstance(result, str) and _FAILED.search(result[:_HEAD]) is not None


def _said(message: Mapping[str, Any]) -> str:
    """What the user said in a message: neither results of tools nor what agents put around it."""
    content = message.get("content")
    if isinstance(content, str):
        return unwrap(content).strip()
    texts = [unwrap(str(part.get("text") or "")) for part in _parts(message) if "text" in str(part.get("type"))]
    return "\n".join(filter(None, (text.strip() for text in texts)))


def _parts(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, (str, bytes)):
        yield from (part for part in content if isinstance(part, Mapping))


def _key(name: Any, arguments: Any) -> str:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return f"{name} {arguments}"
    return f"{name} {json.dumps(arguments, sort_keys=True, default=str)}"
