"""Reading the user's own prompts: plain tables, LangSmith runs, LiteLLM spend logs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelsat._tables import open_table
from modelsat.errors import ConfigurationError, InvalidRequestError

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "SystemMessage": "system",
}
_QUESTIONS = ("messages", "input", "question", "prompt", "query")


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


def is_langsmith(row: Mapping[str, Any]) -> bool:
    """Whether a row is a run of LangSmith."""
    return "run_type" in row and "inputs" in row


def is_litellm(row: Mapping[str, Any]) -> bool:
    """Whether a row is one of LiteLLM's spend logs."""
    return "call_type" in row and ("request_id" in row or "spend" in row)


def from_langsmith(row: Mapping[str, Any]) -> Record | str:
    """Return a run of a model as a record; or why it is none."""
    if row.get("run_type") not in ("llm", "chat"):
        return "no run of a model"
    if row.get("error"):
        return "failed"
    inputs = _loaded(row.get("inputs"))
    if not isinstance(inputs, Mapping):
        return "without inputs"
    messages = next((found for key in _QUESTIONS if (found := plain_messages(inputs.get(key))) is not None), None)
    if messages is None:
        return "without messages in its inputs"
    metadata = _inner(row, "extra", "metadata")
    model = metadata.get("ls_model_name") if isinstance(metadata, Mapping) else None
    score = _feedback(_loaded(row.get("feedback_stats")))
    return Record(
        str(row.get("id", "")),
        messages,
        {str(model): score} if model and score is not None else {},
        str(model) if model else None,
        _number(row.get("completion_tokens")),
    )


def from_litellm(row: Mapping[str, Any]) -> Record | str:
    """Return a spend log as a record; or why it is none."""
    if "completion" not in str(row.get("call_type")) and "responses" not in str(row.get("call_type")):
        return "no chat completion"
    if str(row.get("status", "success")).casefold() == "failure":
        return "failed"
    asked = _loaded(row.get("proxy_server_request"))
    messages = plain_messages(row.get("messages"))
    if messages is None and isinstance(asked, Mapping):
        messages = plain_messages(asked.get("messages") or asked.get("input"))
    if messages is None:
        return "without messages (set store_prompts_in_spend_logs: true in LiteLLM's general_settings)"
    model = row.get("model_group") or row.get("model")
    return Record(
        str(row.get("request_id", "")),
        messages,
        {},
        str(model) if model else None,
        _number(row.get("completion_tokens")),
    )


def plain_messages(value: Any) -> Any:
    """Return a prompt, or a list of messages with ``role`` and ``content``; ``None`` if there is nothing to read."""
    value = _loaded(value)
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


def _message(entry: Any) -> Any:
    """Return a message as OpenAI writes it, out of LangChain's serialised forms."""
    if not isinstance(entry, Mapping):
        return entry if isinstance(entry, str) and entry.strip() else None
    if isinstance(kwargs := entry.get("kwargs"), Mapping):
        kind = str(kwargs.get("type") or (entry.get("id") or ["human"])[-1])
        return {**_known(kwargs), "role": _ROLES.get(kind, kind), "content": kwargs.get("content")}
    if isinstance(data := entry.get("data"), Mapping) and "type" in entry:
        return {
            **_known(data),
            "role": _ROLES.get(str(entry["type"]), str(entry["type"])),
            "content": data.get("content"),
        }
    if "role" not in entry and "type" in entry and "content" in entry:
        return {
            **_known(entry),
            "role": _ROLES.get(str(entry["type"]), str(entry["type"])),
            "content": entry["content"],
        }
    return entry if "role" in entry else None


def _known(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("tool_calls", "tool_call_id", "name") if entry.get(key)}


def _feedback(stats: Any) -> float | None:
    """Mean of the feedback scores that are shares; LangSmith keeps ``n`` and ``avg`` by key."""
    if not isinstance(stats, Mapping):
        return None
    averages = [_number(entry.get("avg")) for entry in stats.values() if isinstance(entry, Mapping)]
    shares = [average for average in averages if average is not None and 0 <= average <= 1]
    return sum(shares) / len(shares) if shares else None


def _inner(row: Mapping[str, Any], *keys: str) -> Any:
    value: Any = row
    for key in keys:
        value = _loaded(value.get(key)) if isinstance(value, Mapping) else None
    return value


def _loaded(value: Any) -> Any:
    """JSON text that holds an object or a list, read; everything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number >= 0 else None


SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
_PROMPT_COLUMNS = ("messages", "prompt", "input", "question", "instruction")
_ID_COLUMNS = ("item_id", "id", "request_id", "run_id")


@dataclass(frozen=True)
class Prompts:
    """Requests, and what is known of their answers.

    Attributes:
        kind: What the file was taken for: ``prompts``, ``LangSmith runs`` or ``LiteLLM spend logs``.
        records: The requests that can be scored.
        skipped: How many were left out, by reason.
    """

    kind: str
    records: Sequence[Record]
    skipped: Mapping[str, int] = field(default_factory=dict)


def read_prompts(path: Path) -> Prompts:
    """Read prompts from ``.jsonl``, ``.json``, ``.csv`` or ``.parquet``.

    A row of a plain table has ``messages`` (a list of messages, or that as JSON text) or ``prompt``; optionally
    ``item_id``, and ``outcomes``: a mapping of model to score, or ``model`` with ``score``.

    Raises:
        ConfigurationError: The file is missing, unreadable, of an unknown kind, or holds no prompt that can be scored.
    """
    rows = list(open_table(path, suffixes=SUFFIXES).rows())
    if not rows:
        raise ConfigurationError(f"{path} has no rows")
    kind, read = _reader(rows[0], path)
    skipped: Counter[str] = Counter()
    records = []
    for number, row in enumerate(rows):
        found = read(row, number)
        if isinstance(found, str):
            skipped[found] += 1
        elif (why := _unscorable(found.messages)) is not None:
            skipped[why] += 1
        else:
            records.append(found)
    if not records:
        reasons = "; ".join(f"{count} {reason}" for reason, count in skipped.items())
        raise ConfigurationError(f"{path} ({kind}) holds no prompt that can be scored: {reasons}")
    return Prompts(kind, records, dict(skipped))


def _reader(first: Mapping[str, Any], path: Path) -> tuple[str, Any]:
    if is_langsmith(first):
        return "LangSmith runs", lambda row, number: from_langsmith(row)
    if is_litellm(first):
        return "LiteLLM spend logs", lambda row, number: from_litellm(row)
    column = next((name for name in _PROMPT_COLUMNS if name in first), None)
    if column is None:
        raise ConfigurationError(
            f"{path} has no prompts: a row needs prompt or messages (it has {', '.join(map(str, list(first)[:12]))}); "
            "exports of LangSmith runs and LiteLLM spend logs are recognised too"
        )
    return "prompts", lambda row, number: _plain(row, column, number, path)


def _plain(row: Mapping[str, Any], column: str, number: int, path: Path) -> Record | str:
    value = row.get(column)
    messages = value if column == "prompt" and isinstance(value, str) and value.strip() else plain_messages(value)
    if messages is None:
        return f"without {column}"
    identifier = next((str(row[name]) for name in _ID_COLUMNS if row.get(name) not in (None, "")), str(number))
    given = row.get("outcomes")
    if isinstance(given, str):
        given = _json(given, path, "outcomes")
    if given is None and row.get("model") and row.get("score") not in (None, ""):
        given = {str(row["model"]): row["score"]}
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(f"{path}, row {number + 1}: outcomes must be a mapping of model to score")
    outcomes = {str(name): _score(value, path, number) for name, value in (given or {}).items() if value is not None}
    return Record(identifier, messages, outcomes, str(row["model"]) if row.get("model") else None)


def _score(value: Any, path: Path, number: int) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = -1.0
    if not 0 <= score <= 1:
        raise ConfigurationError(f"{path}, row {number + 1}: a score is a number from 0 to 1, not {value!r}")
    return score


def _unscorable(messages: Any) -> str | None:
    from modelsat.request import extract_instruction

    try:
        extract_instruction(messages)
    except InvalidRequestError:
        return "without text of a user"
    return None


def _json(text: str, path: Path, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"cannot read {path}: {what} is not JSON ({error})") from error
