"""Logs and results of other tools as prompts with outcomes: one small reader a tool, each row by its own shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from modelsat.lab.logs import measured, observed
from modelsat.lab.logs.record import Record

Row = Mapping[str, Any]


class Reader(NamedTuple):
    """A reader of one tool's rows.

    Attributes:
        kind: What its rows are called.
        matches: Whether a row is one of them.
        start: Makes what reads the rows of a file in turn: into a record, the reason why there is none, or ``None`` for
            a row that belongs to another.
        graded: Whether every row should have an outcome, so that one without is worth counting.
    """

    kind: str
    matches: Callable[[Row], bool]
    start: Callable[[Path], Callable[[Row], Record | str | None]]
    graded: bool = False


READERS = (
    Reader("LangSmith runs", lambda row: {"run_type", "inputs"} <= row.keys(), lambda _: observed.langsmith),
    Reader(
        "LiteLLM spend logs",
        lambda row: "call_type" in row and ("request_id" in row or "spend" in row),
        lambda _: observed.litellm,
    ),
    Reader("Langfuse exports", observed.is_langfuse, lambda _: observed.langfuse),
    Reader(
        "requests of batch files",
        lambda row: "custom_id" in row and ("body" in row or "params" in row or "response" in row),
        lambda _: observed.batch,
    ),
    Reader("Claude Code transcripts", observed.is_claude_code, lambda _: observed.ClaudeCode()),
    Reader("Promptfoo results", lambda row: {"promptIdx", "vars"} <= row.keys(), lambda _: measured.promptfoo, True),
    Reader(
        "Inspect samples",
        lambda row: "input" in row and "epoch" in row and ("scores" in row or "output" in row),
        lambda _: measured.inspect,
        True,
    ),
    Reader("lm-eval samples", lambda row: {"doc_id", "arguments"} <= row.keys(), measured.LMEval, True),
)
"""In the order in which a row is tried; a row that none of them matches is one of a plain table."""
