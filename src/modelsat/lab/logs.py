"""Logs and results of other tools as prompts with outcomes: one small reader a tool, each row by its own shape."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

Row = Mapping[str, Any]

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
_QUESTIONS = ("messages", "input", "question", "prompt", "query")
_CALLS = ("completion", "responses", "anthropic_messages")
_LANGFUSE_TRACE = {"sessionId", "session_id", "userId", "user_id", "htmlPath", "projectId", "project_id"}
_ENDPOINT = re.compile(r"^(?:chat|completion|messages|responses|assistant):")
_RAISED = 2
"""Promptfoo's ``failureReason`` of an answer that never came."""


@dataclass(frozen=True)
class Record:
    """One logged request."""

    id: str
    messages: Any  # a prompt, or messages as the router takes them
    outcomes: Mapping[str, float] = field(default_factory=dict)  # scores 0..1 by model, where known
    model: str | None = None  # that answered, where known
    completion_tokens: float | None = None


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


def loaded(value: Any) -> Any:
    """JSON text, or Python text as pandas writes it, that holds an object or a list, read; everything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(value.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return value


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


def _turn(content: Row, kind: Any) -> dict[str, Any]:
    known = {key: content[key] for key in ("tool_calls", "tool_call_id", "name") if content.get(key)}
    return {**known, "role": _ROLES.get(str(kind), str(kind)), "content": content.get("content")}


def _asked(body: Any) -> Any:
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


def _inner(row: Row, *keys: str) -> Any:
    """The value under keys within keys; ``None`` where one is missing."""
    value: Any = row
    for key in keys:
        value = loaded(value.get(key)) if isinstance(value, Mapping) else None
    return value


def _first(value: Any) -> Any:
    entries = list(value.values()) if isinstance(value, Mapping) else value
    return next(iter(entries), None) if isinstance(entries, list) else value


def _number(value: Any) -> float | None:
    """A number of 0 or more; ``None`` for everything else."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if found >= 0 else None


def _grade(value: Any) -> float | None:
    """A score 0..1 out of a number, a boolean, a letter or a word of a grader; the mean of those in a mapping or list.

    ``None`` for what cannot be read as one.
    """
    if isinstance(value, (Mapping, list)):
        found = [_grade(entry) for entry in (value.values() if isinstance(value, Mapping) else value)]
        known = [entry for entry in found if entry is not None]
        return sum(known) / len(known) if known else None
    if isinstance(value, str) and value.strip().casefold() in _GRADES:
        return _GRADES[value.strip().casefold()]
    share = _number(value)
    return share if share is not None and share <= 1 else None


def _answered(identifier: Any, messages: Any, model: Any, score: float | None = None, tokens: Any = None) -> Record:
    name = str(model) if model else None
    outcomes = {name: score} if name and score is not None else {}
    return Record(str(identifier or ""), messages, outcomes, name, _number(tokens))


def _langsmith(row: Row) -> Record | str:
    if row.get("run_type") not in ("llm", "chat"):
        return "no run of a model"
    if row.get("error"):
        return "failed"
    inputs = loaded(row.get("inputs"))
    if not isinstance(inputs, Mapping):
        return "with inputs that are neither JSON nor Python text" if inputs else "without inputs"
    messages = next((found for key in _QUESTIONS if (found := plain_messages(inputs.get(key))) is not None), None)
    if messages is None:
        return "without messages in its inputs"
    stats = loaded(row.get("feedback_stats"))  # n and avg by key
    score = _grade([_inner(stats, key, "avg") for key in stats]) if isinstance(stats, Mapping) else None
    model = _inner(row, "extra", "metadata", "ls_model_name")
    return _answered(row.get("id"), messages, model, score, row.get("completion_tokens"))


def _litellm(row: Row) -> Record | str:
    if not any(call in str(row.get("call_type")) for call in _CALLS):
        return f"no request to a chat model but {row.get('call_type')}"
    if str(row.get("status", "success")).casefold() == "failure":
        return "failed"
    messages = plain_messages(row.get("messages"))
    if messages is None:
        messages = _asked(row.get("proxy_server_request"))
    if messages is None:
        return "without messages (set store_prompts_in_spend_logs: true in LiteLLM's general_settings)"
    model = row.get("model_group") or row.get("model")
    return _answered(row.get("request_id"), messages, model, tokens=row.get("completion_tokens"))


def _is_langfuse(row: Row) -> bool:
    """Whether a row is an observation or a trace, as Langfuse's page, its API or a blob store gives it."""
    if "input" not in row:
        return False
    observation = "type" in row and ("traceId" in row or "trace_id" in row)
    return observation or ("output" in row and bool(_LANGFUSE_TRACE & row.keys()))


def _langfuse(row: Row) -> Record | str:
    if str(row.get("type", "GENERATION")).upper() != "GENERATION":
        return "no generation"
    if str(row.get("level", "")).upper() == "ERROR":
        return "failed"
    given = loaded(row.get("input"))
    messages = _asked(given) if isinstance(given, Mapping) else plain_messages(given)
    if messages is None:
        return "without messages in its input"
    model = row.get("model") or row.get("providedModelName") or row.get("provided_model_name")
    usage = loaded(row.get("usageDetails") or row.get("usage_details") or row.get("usage"))
    scores = loaded(row.get("scores"))
    if isinstance(scores, list):
        scores = [entry.get("value") if isinstance(entry, Mapping) else entry for entry in scores]
    tokens = usage.get("output") if isinstance(usage, Mapping) else row.get("completionTokens")
    return _answered(row.get("id"), messages, model, _grade(scores), tokens)


def _batch(row: Row) -> Record | str:
    """Requests of OpenAI's or Anthropic's batch files."""
    body = loaded(row.get("body") or row.get("params"))
    if not isinstance(body, Mapping):
        return "an answer without its request (give the file that the batch was made of)"
    messages = None if "embedding" in str(row.get("url")) else _asked(body)
    if messages is None:
        return "no request to a chat model"
    return _answered(row["custom_id"], messages, body.get("model"))


def _is_claude_code(row: Row) -> bool:
    """Whether a row is a line of a transcript that Claude Code keeps under ``~/.claude/projects``."""
    if row.get("type") in ("user", "assistant"):
        return "sessionId" in row and "message" in row
    return "type" in row and ("sessionId" in row or "leafUuid" in row or "snapshot" in row)


class _ClaudeCode:
    """Reads a transcript: a record for each turn of a person, with all that was said before its first answer."""

    def __init__(self) -> None:
        self._said: dict[str, list[dict[str, Any]]] = {}
        self._waiting: set[str] = set()

    def __call__(self, row: Row) -> Record | str | None:
        message = row.get("message")
        if row.get("type") not in ("user", "assistant") or not isinstance(message, Mapping):
            return "no message of a conversation"
        if row.get("isSidechain") or row.get("isMeta"):
            return "written by the agent itself"
        session = str(row.get("sessionId"))
        said = self._said.setdefault(session, [])
        before = list(said)
        said.append({"role": message.get("role", row["type"]), "content": message.get("content")})
        if row["type"] == "user":
            if _is_written(message.get("content")):
                self._waiting.add(session)
            return None
        if session not in self._waiting:
            return None
        self._waiting.discard(session)
        tokens = _inner(message, "usage", "output_tokens")
        return _answered(row.get("uuid"), before, message.get("model"), tokens=tokens)


def _is_written(content: Any) -> bool:
    """Whether a turn holds text of its own, rather than results of tools alone."""
    if isinstance(content, list):
        return any(isinstance(part, Mapping) and part.get("type") == "text" for part in content)
    return isinstance(content, str) and bool(content.strip())


def _promptfoo(row: Row) -> Record | str:
    """An error, or no assertion, is not an outcome."""
    messages = plain_messages(_inner(row, "prompt", "raw"))
    if messages is None:
        return "without prompt"
    provider = loaded(row.get("provider"))
    vendor, _, model = str(provider.get("id") if isinstance(provider, Mapping) else provider or "").partition(":")
    name = f"{vendor}/{_ENDPOINT.sub('', model)}" if model else vendor
    verdict = loaded(row.get("gradingResult"))
    raised = row.get("failureReason") == _RAISED or (row.get("error") and not verdict)
    judged = isinstance(verdict, Mapping) and verdict.get("reason") != "No assertions" and not raised
    score = _grade(row.get("score", row.get("success"))) if judged else None
    return _answered(row.get("id"), messages, name, score, _inner(row, "response", "tokenUsage", "completion"))


def _inspect(row: Row) -> Record | str:
    """The outcome is the mean of the scorers' grades."""
    messages = plain_messages(row.get("input"))
    if messages is None:
        return "without input"
    output = _inner(row, "output", "model")
    used = list(_inner(row, "model_usage") or ())
    model = next((name for name in used if len(used) == 1 or (output and name.endswith(str(output)))), output)
    scores = loaded(row.get("scores")) or {}
    values = [score.get("value") if isinstance(score, Mapping) else score for score in scores.values()]
    score = None if row.get("error") else _grade(values)
    return _answered(row.get("id"), messages, model, score, _inner(row, "output", "usage", "output_tokens"))


class _LMEval:
    """Reads the samples of a task. They do not name the model: the results beside them do, or else the folder."""

    def __init__(self, path: Path) -> None:
        self._model = path.parent.name.replace("__", "/") if "__" in path.parent.name else None
        for file in sorted(path.parent.glob("results_*.json")):
            try:
                self._model = json.loads(file.read_text("utf-8")).get("model_name") or self._model
            except (OSError, ValueError, AttributeError):
                continue
        self._filter: Any = None

    def __call__(self, row: Row) -> Record | str:
        self._filter = self._filter or row.get("filter")
        if row.get("filter") != self._filter:
            return f"the same answers by another filter than {self._filter}"
        first = _first(_first(loaded(row["arguments"])))
        if isinstance(first, list) and len(first) == 1:  # a chat is a list of one JSON text
            first = first[0]
        messages = plain_messages(first)
        if messages is None:
            return "without prompt"
        metrics = loaded(row.get("metrics")) or ()
        score = _grade([row.get(str(metric)) for metric in metrics][:1])
        return _answered(row.get("prompt_hash") or row["doc_id"], messages, self._model, score)


class Reader(NamedTuple):
    """A reader of one tool's rows.

    ``start`` makes what reads the rows of a file in turn: into a record, the reason why there is none, or ``None`` for
    a row that belongs to another.
    """

    kind: str
    matches: Callable[[Row], bool]
    start: Callable[[Path], Callable[[Row], Record | str | None]]
    graded: bool = False  # every row should have an outcome, so that one without is worth counting


READERS = (
    Reader("LangSmith runs", lambda row: {"run_type", "inputs"} <= row.keys(), lambda _: _langsmith),
    Reader(
        "LiteLLM spend logs",
        lambda row: "call_type" in row and ("request_id" in row or "spend" in row),
        lambda _: _litellm,
    ),
    Reader("Langfuse exports", _is_langfuse, lambda _: _langfuse),
    Reader(
        "requests of batch files",
        lambda row: "custom_id" in row and ("body" in row or "params" in row or "response" in row),
        lambda _: _batch,
    ),
    Reader("Claude Code transcripts", _is_claude_code, lambda _: _ClaudeCode()),
    Reader("Promptfoo results", lambda row: {"promptIdx", "vars"} <= row.keys(), lambda _: _promptfoo, True),
    Reader(
        "Inspect samples",
        lambda row: "input" in row and "epoch" in row and ("scores" in row or "output" in row),
        lambda _: _inspect,
        True,
    ),
    Reader("lm-eval samples", lambda row: {"doc_id", "arguments"} <= row.keys(), _LMEval, True),
)
"""In the order in which a row is tried; a row that none of them matches is one of a plain table."""
