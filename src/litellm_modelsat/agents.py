"""Coding agents: what they ask for in the background, and whether the work on a user turn is stuck.

Both are plain functions of the request, so that a group's ``housekeeping`` and ``escalation`` may name others. Shapes
are those of Claude Code 2.1, Codex 0.171 and OpenCode 1.18 (2026-11), on ``/v1/messages``, ``/v1/responses`` and
``/v1/chat/completions``.
"""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from litellm_modelsat.requests import header_of
from modelsat.errors import ConfigurationError
from modelsat.request.envelopes import unwrap

Housekeeping = Callable[[Any, Mapping[str, Any]], str | None]
"""From the conversation and the request to the kind of housekeeping it is; ``None`` for work."""
Stuck = Callable[[Any], int]
"""From the conversation to the rungs by which to escalate; 0 while the work goes on."""

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


def function_of(given: bool | str, default: Callable[..., Any], where: str) -> Callable[..., Any] | None:
    """``default`` for true, ``None`` for false, or the function at a dotted path.

    Raises:
        ConfigurationError: There is no such function.
    """
    if isinstance(given, bool):
        return default if given else None
    module, _, name = given.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise ConfigurationError(
            f"{where}: cannot load {given!r} ({type(error).__name__}: {error}): write true, false, or the dotted path "
            "of a function"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"{where}: {given!r} is not a function")
    return found  # type: ignore[no-any-return]


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
