"""Reading the user's own prompts: plain tables, and the logs and results of other tools (:mod:`modelsat.lab.logs`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modelsat._tables import open_table
from modelsat.errors import ConfigurationError, InvalidRequestError
from modelsat.lab.logs import READERS, Record, loaded, plain_messages

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".eval")
PLAIN = "prompts"
_PROMPT_COLUMNS = ("messages", "prompt", "input", "question", "instruction")
_ID_COLUMNS = ("item_id", "id", "request_id", "run_id")
_SHOWN_COLUMNS = 12


@dataclass(frozen=True)
class Prompts:
    """Requests, and what is known of their answers.

    Attributes:
        kinds: How many rows were read, by what they were taken for: ``prompts``, ``LangSmith runs``, ...
        records: The requests that can be scored; rows of one prompt that name a model and its score are one of them.
        skipped: How many rows were left out, by reason.
        unjudged: How many graded results carry no outcome, because the answer failed or its grade cannot be read.
    """

    kinds: Mapping[str, int]
    records: Sequence[Record]
    skipped: Mapping[str, int] = field(default_factory=dict)
    unjudged: int = 0


def read_prompts(path: Path) -> Prompts:
    """Read ``.jsonl``, ``.json``, ``.csv``, ``.parquet`` or Inspect's ``.eval``, each row by its own shape.

    A row of a plain table has ``messages`` (a list of messages, or that as JSON text) or ``prompt``; optionally
    ``item_id``, and ``outcomes``: a mapping of model to score, or ``model`` with ``score``.

    Raises:
        ConfigurationError: The file is missing, unreadable, of an unknown kind, or holds no prompt that can be scored.
    """
    kinds: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    records: list[Record] = []
    readers: dict[str, Callable[[Mapping[str, Any]], Record | str | None]] = {}
    unjudged = 0
    columns: tuple[str, ...] = ()
    for number, row in enumerate(open_table(path, suffixes=SUFFIXES).rows()):
        columns = columns or tuple(map(str, row))
        reader = next((reader for reader in READERS if reader.matches(row)), None)
        found: Record | str | None
        if reader is None:
            found = _plain(row, number, path)
        else:
            if reader.kind not in readers:
                readers[reader.kind] = reader.start(path)
            found = readers[reader.kind](row)
        if found is None:
            continue
        if isinstance(found, str):
            skipped[found] += 1
        elif not _scorable(found.messages):
            skipped["without text of a user"] += 1
        else:
            kinds[PLAIN if reader is None else reader.kind] += 1
            unjudged += reader is not None and reader.graded and not found.outcomes
            records.append(found)
    if not records:
        raise ConfigurationError(_nothing(path, skipped, columns))
    return Prompts(dict(kinds), _together(records), dict(skipped), unjudged)


def _nothing(path: Path, skipped: Mapping[str, int], columns: Sequence[str]) -> str:
    if not skipped:
        return f"{path} has no rows"
    if skipped.keys() == {_UNKNOWN}:
        return (
            f"{path} has no prompts: a row needs prompt or messages (it has {', '.join(columns[:_SHOWN_COLUMNS])}); "
            f"{', '.join(reader.kind for reader in READERS)} are recognised too"
        )
    return f"{path} holds no prompt that can be scored: {listed(skipped)}"


def listed(counts: Mapping[str, int]) -> str:
    """What was left out and why, in a line."""
    return "; ".join(f"{count:,} {reason}" for reason, count in counts.items())


_UNKNOWN = "without prompt or messages"


def _plain(row: Mapping[str, Any], number: int, path: Path) -> Record | str:
    present = [name for name in _PROMPT_COLUMNS if name in row]
    readings = (row[name] if _is_text(name, row[name]) else plain_messages(row[name]) for name in present)
    messages = next((found for found in readings if found is not None), None)
    if messages is None:
        return f"without {present[0]}" if present else _UNKNOWN
    identifier = next((str(row[name]) for name in _ID_COLUMNS if row.get(name) not in (None, "")), str(number))
    given = loaded(row.get("outcomes"))
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise ConfigurationError(f"cannot read {path}: outcomes is not JSON ({error})") from error
    if given is None and row.get("model") and row.get("score") not in (None, ""):
        given = {str(row["model"]): row["score"]}
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(f"{path}, row {number + 1}: outcomes must be a mapping of model to score")
    outcomes = {str(name): _score(value, path, number) for name, value in (given or {}).items() if value is not None}
    return Record(identifier, messages, outcomes, str(row["model"]) if row.get("model") else None)


def _is_text(column: str, value: Any) -> bool:
    """A prompt is text even where it looks like JSON."""
    return column == "prompt" and isinstance(value, str) and bool(value.strip())


def _together(records: Iterable[Record]) -> list[Record]:
    """Rows that give one model's score on a prompt, one record a prompt; a model's scores on it are averaged."""
    found: list[Record] = []
    places: dict[str, int] = {}
    scores: dict[int, dict[str, list[float]]] = {}
    for record in records:
        if record.outcomes.keys() != {record.model}:
            found.append(record)
            continue
        place = places.setdefault(json.dumps(record.messages, sort_keys=True, default=str), len(found))
        if place == len(found):
            found.append(record)
        for model, score in record.outcomes.items():
            scores.setdefault(place, {}).setdefault(model, []).append(score)
    for place, by_model in scores.items():
        means = {model: sum(given) / len(given) for model, given in by_model.items()}
        found[place] = replace(found[place], outcomes=means)
    return found


def _score(value: Any, path: Path, number: int) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = {"true": 1.0, "false": 0.0}.get(str(value).casefold(), -1.0)
    if not 0 <= score <= 1:
        raise ConfigurationError(f"{path}, row {number + 1}: a score is a number from 0 to 1, not {value!r}")
    return score


def _scorable(messages: Any) -> bool:
    from modelsat.request import extract_instruction

    try:
        extract_instruction(messages)
    except InvalidRequestError:
        return False
    return True
