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
from modelsat.lab.tuning.exports import Record, from_langsmith, from_litellm, is_langsmith, is_litellm, plain_messages

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
