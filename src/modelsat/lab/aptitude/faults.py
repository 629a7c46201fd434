"""Classify technical failures: what to try again, what to stop for, and what is the model's own doing.

Works on the exceptions of LiteLLM, of the OpenAI and Anthropic clients behind LangChain, and of httpx and httpx2, by
the HTTP status they carry and, where they carry none, by their name.
"""

from __future__ import annotations

import email.utils
import re
from datetime import datetime, timezone
from typing import NamedTuple

from modelsat.lab.aptitude.replies import Problem

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_CREDIT = re.compile(
    r"insufficient_quota|insufficient (?:credit|balance|funds|quota)|exceeded your current quota|billing", re.I
)
_FILTER = re.compile(r"content[_ ]?(?:filter|policy|management)|responsible ?ai|safety system", re.I)
_WINDOW = re.compile(r"context[_ ](?:length|window)|maximum context|too many tokens|prompt is too long", re.I)
_PAGE = re.compile(r"<!doctype html|<html|<head|<body", re.I)
_TRANSPORT = re.compile(
    r"timeout|connection|connect|network|remoteprotocol|readerror|serviceunavailable|ratelimit", re.I
)


class Passing(NamedTuple):
    """Worth another try: the server is busy or cannot be reached. ``wait``: seconds it asks to wait, if it says so."""

    reason: str
    wait: float | None = None


class Lasting(NamedTuple):
    """Every further call would fail alike: stop. The reason says what to do."""

    reason: str


class Blocked(NamedTuple):
    """The provider or the model does not take this very question; an answer of a kind, and counted."""

    problem: Problem


Fault = Passing | Lasting | Blocked


def classify(error: BaseException) -> Fault:
    """Return what to make of an exception that a call has raised."""
    status = status_of(error)
    text = str(error)
    name = type(error).__name__
    if _PAGE.search(text) and (status not in _RETRIED or "invalid response" in text):
        return Lasting(
            "the server answers with a web page, not with JSON: is the address right? It usually ends in /v1"
        )
    if "ContentPolicy" in name or (status == 400 and _FILTER.search(text)):
        return Blocked("blocked")
    if "ContextWindow" in name or (status in (400, 413) and _WINDOW.search(text)):
        return Blocked("too long")
    if status == 429 and _CREDIT.search(text):
        return Lasting("the account is out of credit or over its quota (429): top it up and run the same command again")
    if status in _RETRIED or _TRANSPORT.search(name):
        return Passing(_passing(status, name, text), _retry_after(error))
    if "not a chat completion" in text:
        return Passing("a reply that is not a chat completion")
    return Lasting(_lasting(status, name, text))


def _passing(status: int | None, name: str, text: str) -> str:
    if "timeout" in name.casefold() or status == 408:
        return "no answer in time"
    if status == 429:
        return "rate limit (429)"
    if "connect" in name.casefold() or re.search(r"connection (?:error|refused)|name or service", text, re.I):
        return f"no connection ({_brief(text)})"
    return f"HTTP {status}" if status else name


def _lasting(status: int | None, name: str, text: str) -> str:
    said = _brief(text)
    if status == 401 or "Authentication" in name:
        return (
            f"the key was refused (401: {said}): set the provider's key in the environment, or with --api-base say "
            "which variable holds it, --api-key-env NAME"
        )
    if status == 403:
        return f"the key may not use this model (403: {said}): choose another model or ask for access"
    if status == 404 or "NotFound" in name:
        return f"there is no such model or address (404: {said}): check the model's name and --api-base"
    if status in (400, 422):
        return f"the server does not accept the request ({status}: {said})"
    return f"the call failed ({name}{f' {status}' if status else ''}: {said})"


def _brief(text: str) -> str:
    """Return the first 200 characters in one line, without what looks like a key."""
    line = " ".join(re.sub(r"\b(?:sk|key|pk|rk)-[\w*.-]{6,}|Bearer \S+", "***", text).split())
    line = re.sub(r"^litellm\.\w+(?:: )?|\b\w*(?:Error|Exception)\b[:-]? ?(?=\w*(?:Error|Exception))", "", line)
    return line if len(line) <= 200 else line[:197] + "..."


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an exception carries."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "code", "status"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and 100 <= value < 600:
                return value
    return None


def _retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait, from the headers of its answer."""
    for holder in (getattr(error, "response", None), error):
        headers = getattr(holder, "headers", None) or getattr(holder, "litellm_response_headers", None)
        if headers is None:
            continue
        found = {str(key).casefold(): str(value) for key, value in dict(headers).items()}
        if milliseconds := found.get("retry-after-ms"):
            return _seconds(milliseconds, 1000.0)
        if (after := found.get("retry-after")) and (wait := _seconds(after, 1.0)) is not None:
            return wait
    return None


def _seconds(value: str, parts: float) -> float | None:
    try:
        return max(0.0, float(value) / parts)
    except ValueError:
        pass
    try:
        then = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (then - datetime.now(timezone.utc)).total_seconds())
