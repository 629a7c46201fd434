"""A logged request, and what readers of logs share."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "SystemMessage": "system",
}
_GRADES = {
    **dict.fromkeys(("c", "correct", "true", "yes", "pass", "passed"), 1.0),
    **dict.fromkeys(("i", "incorrect", "false", "no", "fail", "failed", "n"), 0.0),
    **dict.fromkeys(("p", "partial"), 0.5),
}


@dataclass(frozen=True)
class Record:
    """One logged request.

    Attributes:
        id: Its identifier.
        messages: A prompt, or messages as the router takes them.
        outcomes: Scores 0..1 by model, where known.
        model: The model that answered, where known.
        completion_tokens: Tokens of its answer, where known.
    """

    id: str
    messages: Any
    outcomes: Mapping[str, float] = field(default_factory=dict)
    model: str | None = None
    completion_tokens: float | None = None


def answered(
    identifier: Any, messages: Any, model: Any, score: float | None = None, completion_tokens: Any = None
) -> Record:
    """A request that one model answered, with the score of its answer where there is one."""
    name = str(model) if model else None
    outcomes = {name: score} if name and score is not None else {}
    return Record(str(identifier or ""), messages, outcomes, name, number(completion_tokens))


def plain_messages(value: Any) -> Any:
    """Return a prompt, or a list of messages with ``role`` and ``content``; ``None`` if there is nothing to read."""
    value = loaded(value)
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, Mapping):
        value = value.get("messages", [value] if value else [])
    if not isinstance(value, list) or not value:
        return None
    if len(value) == 1 and isinstance(value[0], list):  # LangChain logs a batch of one
        value = value[0]
    messages = [_message(entry) for entry in value]
    return [message for message in messages if message is not None] or None


def asked(body: Any) -> Any:
    """Messages of the body of a request to an API: chat completions, responses, Anthropic's messages, completions."""
    body = loaded(body)
    if not isinstance(body, Mapping):
        return None
    given = (plain_messages(body.get(key)) for key in ("messages", "input", "prompt"))
    messages = next((found for found in given if found is not None), None)
    system = body.get("system") or body.get("instructions")
    if messages is None or not system:
        return messages
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return [{"role": "system", "content": system}, *turns]


def loaded(value: Any) -> Any:
    """JSON text, or Python text as pandas writes it, that holds an object or a list, read; everything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(value.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return value


def inner(row: Mapping[str, Any], *keys: str) -> Any:
    """The value under keys within keys; ``None`` where one is missing."""
    value: Any = row
    for key in keys:
        value = loaded(value.get(key)) if isinstance(value, Mapping) else None
    return value


def number(value: Any) -> float | None:
    """A number of 0 or more; ``None`` for everything else."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if found >= 0 else None


def grade(value: Any) -> float | None:
    """A score 0..1 out of a number, a boolean, a letter or a word of a grader; the mean of those in a mapping or list.

    ``None`` for what cannot be read as one.
    """
    if isinstance(value, (Mapping, list)):
        found = [grade(entry) for entry in (value.values() if isinstance(value, Mapping) else value)]
        known = [entry for entry in found if entry is not None]
        return sum(known) / len(known) if known else None
    if isinstance(value, str) and value.strip().casefold() in _GRADES:
        return _GRADES[value.strip().casefold()]
    share = number(value)
    return share if share is not None and share <= 1 else None


def _message(entry: Any) -> Any:
    """Return a message as OpenAI writes it, out of LangChain's serialised forms."""
    if not isinstance(entry, Mapping):
        return {"role": "user", "content": entry} if isinstance(entry, str) and entry.strip() else None
    if isinstance(kwargs := entry.get("kwargs"), Mapping):
        return _turn(kwargs, kwargs.get("type") or (entry.get("id") or ["human"])[-1])
    if isinstance(data := entry.get("data"), Mapping) and "type" in entry:
        return _turn(data, entry["type"])
    if "role" not in entry and "type" in entry and "content" in entry:
        return _turn(entry, entry["type"])
    return entry if "role" in entry else None


def _turn(content: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    known = {key: content[key] for key in ("tool_calls", "tool_call_id", "name") if content.get(key)}
    return {**known, "role": _ROLES.get(str(kind), str(kind)), "content": content.get("content")}
