"""Answers that a framework graded: Promptfoo, Inspect, lm-evaluation-harness."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelsat.lab.logs.record import Record, answered, grade, inner, loaded, plain_messages

_ENDPOINT = re.compile(r"^(?:chat|completion|messages|responses|assistant):")
_RAISED = 2
"""Promptfoo's ``failureReason`` of an answer that never came."""


def promptfoo(row: Mapping[str, Any]) -> Record | str:
    """Return a result as a record; or why it is none. An error, or no assertion, is no outcome."""
    messages = plain_messages(inner(row, "prompt", "raw"))
    if messages is None:
        return "without prompt"
    provider = loaded(row.get("provider"))
    vendor, _, model = str(provider.get("id") if isinstance(provider, Mapping) else provider or "").partition(":")
    name = f"{vendor}/{_ENDPOINT.sub('', model)}" if model else vendor
    verdict = loaded(row.get("gradingResult"))
    raised = row.get("failureReason") == _RAISED or (row.get("error") and not verdict)
    judged = isinstance(verdict, Mapping) and verdict.get("reason") != "No assertions" and not raised
    score = grade(row.get("score", row.get("success"))) if judged else None
    tokens = inner(row, "response", "tokenUsage", "completion")
    return answered(row.get("id"), messages, name, score, tokens)


def inspect(row: Mapping[str, Any]) -> Record | str:
    """Return a sample as a record; or why it is none. Its outcome is the mean of its scorers' grades."""
    messages = plain_messages(row.get("input"))
    if messages is None:
        return "without input"
    output = inner(row, "output", "model")
    used = list(inner(row, "model_usage") or ())
    model = next((name for name in used if len(used) == 1 or (output and name.endswith(str(output)))), output)
    scores = loaded(row.get("scores")) or {}
    values = [score.get("value") if isinstance(score, Mapping) else score for score in scores.values()]
    score = None if row.get("error") else grade(values)
    return answered(row.get("id"), messages, model, score, inner(row, "output", "usage", "output_tokens"))


class LMEval:
    """Reads the samples of a task. They do not name the model: the results beside them do, or else the folder."""

    def __init__(self, path: Path) -> None:
        self._model = _model_of(path)
        self._filter: Any = None

    def __call__(self, row: Mapping[str, Any]) -> Record | str:
        """Return a sample as a record; or why it is none."""
        self._filter = self._filter or row.get("filter")
        if row.get("filter") != self._filter:
            return f"the same answers by another filter than {self._filter}"
        given = loaded(row["arguments"])
        first = next(iter(given.values() if isinstance(given, Mapping) else given), None)
        if isinstance(first, (Mapping, list)):
            first = next(iter(first.values() if isinstance(first, Mapping) else first), None)
        if isinstance(first, list) and len(first) == 1:  # a chat is a list of one JSON text
            first = first[0]
        messages = plain_messages(first)
        if messages is None:
            return "without prompt"
        metrics = loaded(row.get("metrics")) or ()
        score = grade([row.get(str(metric)) for metric in metrics][:1])
        return answered(row.get("prompt_hash") or row["doc_id"], messages, self._model, score)


def _model_of(path: Path) -> str | None:
    for file in sorted(path.parent.glob("results_*.json"), reverse=True):
        try:
            name = json.loads(file.read_text("utf-8")).get("model_name")
        except (OSError, ValueError, AttributeError):
            continue
        if name:
            return str(name)
    return path.parent.name.replace("__", "/") if "__" in path.parent.name else None
