"""Calling any OpenAI-compatible server, with nothing but an HTTP client."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from modelsat.errors import ConfigurationError
from modelsat.lab.aptitude.faults import Blocked, classify
from modelsat.lab.aptitude.prompts import Message
from modelsat.lab.aptitude.replies import Reply, finish_reason, plain_value

_SPARED = ("temperature", "max_tokens")
"""Parameters that are left out where a server refuses them."""
_RENAMED = {"max_tokens": "max_completion_tokens"}


class EndpointError(Exception):
    """A server's answer that is no chat completion.

    Attributes:
        response: The answer.
    """

    def __init__(self, message: str, response: httpx.Response) -> None:
        super().__init__(message)
        self.response = response


@dataclass
class EndpointSubject:
    """A model behind an OpenAI-compatible server.

    Attributes:
        name: The model as the server names it.
        endpoint: Base URL, usually ending in ``/v1``.
        api_key: The key; none is sent if ``None``.
        max_tokens: Limit of a reply's length.
        temperature: Left out where the server refuses it.
        timeout: Seconds one call may take.
        options: Further fields of the request, e.g. ``{"reasoning_effort": "low"}``.
        dropped: Parameters that the server refused and that were left out, or renamed, since.
    """

    name: str
    endpoint: str
    api_key: str | None = field(default=None, repr=False)
    max_tokens: int | None = 4096
    temperature: float | None = 0.0
    timeout: float = 120.0
    options: Mapping[str, Any] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Make the client; nothing is sent.

        Raises:
            ConfigurationError: The address is no URL.
        """
        if not self.endpoint.startswith(("http://", "https://")):
            raise ConfigurationError(f"{self.endpoint!r} is no URL: write http://HOST:PORT/v1")
        self.endpoint = self.endpoint.rstrip("/")
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def settings(self) -> Mapping[str, str | int | float | bool | None]:
        """Temperature and further fields."""
        return {"temperature": self.temperature, **{key: plain_value(value) for key, value in self.options.items()}}

    def ask(self, messages: Sequence[Message]) -> Reply:
        """Ask once, and once more without a parameter that the server refuses."""
        while True:
            before = frozenset(self.dropped)
            response = self._connected().post(f"{self.endpoint}/chat/completions", json=self._body(messages, before))
            if response.is_success:
                return _reply(response)
            error = EndpointError(_said(response), response)
            fault = classify(error)
            if isinstance(fault, Blocked):
                return Reply("", problem=fault.problem)
            refused = [name for name in _SPARED if name not in before and name in str(error).casefold()]
            if response.status_code not in (400, 422) or not refused:
                raise error
            with self._lock:
                self.dropped.add(refused[0])

    def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
                self._client = httpx.Client(headers=headers, timeout=self.timeout, limits=limits)
            return self._client

    def _body(self, messages: Sequence[Message], dropped: frozenset[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.name, "messages": list(messages), **self.options}
        for key, value in (("temperature", self.temperature), ("max_tokens", self.max_tokens)):
            if value is not None and key not in dropped:
                body[key] = value
            elif value is not None and key in _RENAMED:
                body[_RENAMED[key]] = value
        return body


def _reply(response: httpx.Response) -> Reply:
    try:
        content = response.json()
        choice = content["choices"][0]
        message = choice["message"]
        usage = content.get("usage") or {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise EndpointError(f"this is no chat completion: {response.text[:200]}", response) from error
    text = message.get("content")
    if isinstance(text, list):
        text = "".join(part.get("text", "") for part in text if isinstance(part, dict))
    return Reply(
        text=str(text or message.get("refusal") or ""),
        reasoning=str(message.get("reasoning_content") or message.get("reasoning") or ""),
        finish=finish_reason(choice.get("finish_reason") or ""),
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
    )


def _said(response: httpx.Response) -> str:
    """What a server says is wrong."""
    try:
        problem = response.json()
    except ValueError:
        return response.text[:500] or response.reason_phrase
    problem = problem.get("error", problem) if isinstance(problem, dict) else problem
    if isinstance(problem, dict):
        code = problem.get("code") or problem.get("type")
        return f"{problem.get('message') or problem.get('detail') or problem}" + (f" ({code})" if code else "")
    return str(problem)[:500]
