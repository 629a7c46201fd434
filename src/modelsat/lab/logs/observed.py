"""Requests as they were made: LangSmith, LiteLLM, Langfuse, batch files, Claude Code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelsat.lab.logs.record import Record, answered, asked, grade, inner, loaded, number, plain_messages

_QUESTIONS = ("messages", "input", "question", "prompt", "query")
_CALLS = ("completion", "responses", "anthropic_messages")
_LANGFUSE_TRACE = {"sessionId", "session_id", "userId", "user_id", "htmlPath", "projectId", "project_id"}


def langsmith(row: Mapping[str, Any]) -> Record | str:
    """Return a run of a model as a record; or why it is none."""
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
    model = inner(row, "extra", "metadata", "ls_model_name")
    return answered(
        row.get("id"), messages, model, _shares(loaded(row.get("feedback_stats"))), row.get("completion_tokens")
    )


def litellm(row: Mapping[str, Any]) -> Record | str:
    """Return a spend log as a record; or why it is none."""
    if not any(call in str(row.get("call_type")) for call in _CALLS):
        return f"no request to a chat model but {row.get('call_type')}"
    if str(row.get("status", "success")).casefold() == "failure":
        return "failed"
    messages = plain_messages(row.get("messages"))
    if messages is None:
        messages = asked(row.get("proxy_server_request"))
    if messages is None:
        return "without messages (set store_prompts_in_spend_logs: true in LiteLLM's general_settings)"
    model = row.get("model_group") or row.get("model")
    return answered(row.get("request_id"), messages, model, completion_tokens=row.get("completion_tokens"))


def is_langfuse(row: Mapping[str, Any]) -> bool:
    """Whether a row is an observation or a trace of Langfuse, as its page, its API or a blob store gives it."""
    if "input" not in row:
        return False
    observation = "type" in row and ("traceId" in row or "trace_id" in row)
    return observation or ("output" in row and bool(_LANGFUSE_TRACE & row.keys()))


def langfuse(row: Mapping[str, Any]) -> Record | str:
    """Return a generation, or a whole trace, as a record; or why it is none."""
    if str(row.get("type", "GENERATION")).upper() != "GENERATION":
        return "no generation"
    if str(row.get("level", "")).upper() == "ERROR":
        return "failed"
    given = loaded(row.get("input"))
    messages = asked(given) if isinstance(given, Mapping) else plain_messages(given)
    if messages is None:
        return "without messages in its input"
    model = row.get("model") or row.get("providedModelName") or row.get("provided_model_name")
    usage = loaded(row.get("usageDetails") or row.get("usage_details") or row.get("usage"))
    scores = loaded(row.get("scores"))
    if isinstance(scores, list):
        scores = [entry.get("value") if isinstance(entry, Mapping) else entry for entry in scores]
    tokens = usage.get("output") if isinstance(usage, Mapping) else row.get("completionTokens")
    return answered(row.get("id"), messages, model, grade(scores), tokens)


def batch(row: Mapping[str, Any]) -> Record | str:
    """Return a request of OpenAI's or Anthropic's batch files as a record; or why it is none."""
    body = loaded(row.get("body") or row.get("params"))
    if not isinstance(body, Mapping):
        return "an answer without its request (give the file that the batch was made of)"
    messages = None if "embedding" in str(row.get("url")) else asked(body)
    if messages is None:
        return "no request to a chat model"
    return answered(row["custom_id"], messages, body.get("model"))


def is_claude_code(row: Mapping[str, Any]) -> bool:
    """Whether a row is a line of a transcript that Claude Code keeps under ``~/.claude/projects``."""
    if row.get("type") in ("user", "assistant"):
        return "sessionId" in row and "message" in row
    return "type" in row and ("sessionId" in row or "leafUuid" in row or "snapshot" in row)


class ClaudeCode:
    """Reads a transcript: a record for each turn of a person, with all that was said before it."""

    def __init__(self) -> None:
        self._said: dict[str, list[dict[str, Any]]] = {}
        self._waiting: set[str] = set()

    def __call__(self, row: Mapping[str, Any]) -> Record | str | None:
        """Return the turn that this line is the first answer to, ``None`` for a line of the turn, or why it is none."""
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
        tokens = inner(message, "usage", "output_tokens")
        return answered(row.get("uuid"), before, message.get("model"), completion_tokens=tokens)


def _is_written(content: Any) -> bool:
    """Whether a turn holds text of its own, rather than results of tools alone."""
    if isinstance(content, list):
        return any(isinstance(part, Mapping) and part.get("type") == "text" for part in content)
    return isinstance(content, str) and bool(content.strip())


def _shares(stats: Any) -> float | None:
    """Mean of the feedback scores that are shares; LangSmith keeps ``n`` and ``avg`` by key."""
    if not isinstance(stats, Mapping):
        return None
    averages = [number(entry.get("avg")) for entry in stats.values() if isinstance(entry, Mapping)]
    shares = [average for average in averages if average is not None and average <= 1]
    return sum(shares) / len(shares) if shares else None
