"""The model under test: through LiteLLM, LangChain, or any OpenAI-compatible server."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.lab.aptitude.faults import Blocked, classify, status_of
from modelsat.lab.aptitude.questions import Message
from modelsat.lab.aptitude.replies import Reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Plain = str | int | float | bool | None
_SPARED = ("temperature", "max_tokens")
"""Parameters that are left out where a server refuses them."""


class Subject(Protocol):
    """A model under test. Called from several threads at once.

    Attributes:
        name: Name that the model is called by.
        endpoint: Where it is called, if not at its provider's usual address.
        max_tokens: Limit of a reply's length, ``None`` if there is none.
    """

    name: str
    endpoint: str
    max_tokens: int | None

    def ask(self, messages: Sequence[Message]) -> Reply:
        """Ask once. Any exception is a technical failure, which :mod:`modelsat.lab.aptitude.faults` tells apart."""
        ...

    def settings(self) -> Mapping[str, Plain]:
        """Return what the answers depend on besides the question; the limit of length is not among it."""
        ...


@dataclass
class CalledSubject(ABC):
    """A model that is called by its name.

    Attributes:
        name: The model as LiteLLM, or the server, names it.
        endpoint: Base URL of the server, usually ending in ``/v1``; empty for LiteLLM, which knows its providers.
        api_key: The key; if ``None``, LiteLLM takes that of the provider's usual variable, and a server is sent none.
        max_tokens: Limit of a reply's length.
        temperature: Left out for models that refuse it.
        timeout: Seconds one call may take.
        options: Further arguments of the call, e.g. ``{"reasoning_effort": "low"}``.
        dropped: Parameters that were refused, and left out or renamed since.
    """

    name: str
    endpoint: str = ""
    api_key: str | None = field(default=None, repr=False)
    max_tokens: int | None = 4096
    temperature: float | None = 0.0
    timeout: float = 120.0
    options: Mapping[str, Any] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    def settings(self) -> Mapping[str, Plain]:
        """Temperature and further arguments."""
        return {"temperature": self.temperature, **{key: _plain(value) for key, value in self.options.items()}}

    def ask(self, messages: Sequence[Message]) -> Reply:
        """Ask once, and once more without a parameter that the server refuses."""
        while True:
            dropped = frozenset(self.dropped)
            try:
                return self._call(list(messages), dropped)
            except Exception as error:
                if isinstance(fault := classify(error), Blocked):
                    return Reply("", problem=fault.problem)
                said = str(error).casefold()
                refused = next((name for name in _SPARED if name not in dropped and name in said), None)
                if refused is None or status_of(error) not in (400, 422):
                    raise
                self.dropped.add(refused)

    @abstractmethod
    def _call(self, messages: list[Message], dropped: frozenset[str]) -> Reply:
        """Call the model once."""


@dataclass
class LiteLLMSubject(CalledSubject):
    """A model that LiteLLM can call, e.g. ``"openai/gpt-4o"``; attributes as of :class:`CalledSubject`."""

    def __post_init__(self) -> None:
        """Import LiteLLM, with its price table as shipped, and see whether it knows the provider.

        Raises:
            MissingDependencyError: LiteLLM is not installed.
            ConfigurationError: LiteLLM knows no provider for the name.
        """
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # importing it does not go to the network
        try:
            import litellm
        except ImportError as error:
            raise MissingDependencyError.for_extra("testing a model by name", "test") from error
        litellm.suppress_debug_info = True
        self._litellm: Any = litellm
        self._first = threading.Lock()
        self._warm = False
        try:
            litellm.get_llm_provider(self.name)
        except Exception as error:
            raise ConfigurationError(
                f"LiteLLM knows no provider for {self.name!r}: name it, e.g. openai/{self.name} or "
                f"ollama/{self.name}; for any OpenAI-compatible server give its address, --api-base "
                "http://HOST:PORT/v1"
            ) from error

    def _call(self, messages: list[Message], dropped: frozenset[str]) -> Reply:
        with self._first:  # LiteLLM imports a part of itself in its first call, which threads at once trip over
            if not self._warm:
                try:
                    return self._complete(messages, dropped)
                finally:
                    self._warm = True
        return self._complete(messages, dropped)

    def _complete(self, messages: list[Message], dropped: frozenset[str]) -> Reply:
        arguments = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **self.options,
            "api_key": self.api_key or None,
        }
        response = self._litellm.completion(
            model=self.name,
            messages=messages,
            timeout=self.timeout,
            num_retries=0,
            max_retries=0,
            drop_params=True,
            **{key: value for key, value in arguments.items() if value is not None and key not in dropped},
        )
        try:
            cost = float(self._litellm.completion_cost(completion_response=response, model=self.name))
        except Exception:  # no price is known: the estimate says so before the start
            cost = 0.0
        content = response.model_dump(warnings=False)
        return replace(_reply(content), cost_usd=cost if cost > 0 else None) if content.get("choices") else Reply("")


@dataclass
class EndpointSubject(CalledSubject):
    """A model behind an OpenAI-compatible server; attributes as of :class:`CalledSubject`."""

    def __post_init__(self) -> None:
        """Check the address; nothing is sent.

        Raises:
            ConfigurationError: The address is not a URL.
        """
        if not self.endpoint.startswith(("http://", "https://")):
            raise ConfigurationError(f"{self.endpoint!r} is not a URL: write http://HOST:PORT/v1")
        self.endpoint = self.endpoint.rstrip("/")
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def _call(self, messages: list[Message], dropped: frozenset[str]) -> Reply:
        limit = "max_completion_tokens" if "max_tokens" in dropped else "max_tokens"
        body: dict[str, Any] = {"model": self.name, "messages": messages, **self.options}
        if self.temperature is not None and "temperature" not in dropped:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:
            body[limit] = self.max_tokens
        response = self._connected().post(f"{self.endpoint}/chat/completions", json=body)
        if not response.is_success:
            raise EndpointError(_said(response), response)
        try:
            return _reply(response.json())
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise EndpointError(f"this is not a chat completion: {response.text[:200]}", response) from error

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


def subject_named(model: str, api_base: str = "", **options: Any) -> CalledSubject:
    """Return the model of a server, or without an address the one that LiteLLM calls so; raises as these do."""
    return EndpointSubject(model, api_base, **options) if api_base else LiteLLMSubject(model, **options)


class EndpointError(Exception):
    """A server's answer that is not a chat completion."""

    def __init__(self, message: str, response: httpx.Response) -> None:
        super().__init__(message)
        self.response = response


@dataclass
class LangChainSubject:
    """A LangChain chat model.

    Attributes:
        model: The chat model, called as it is set up.
        name: Name of the tested model; the chat model's own if empty.
        endpoint: Always empty.
        max_tokens: The chat model's own limit.
    """

    model: BaseChatModel
    name: str = ""
    endpoint: str = ""
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        """Find the model's name.

        Raises:
            ConfigurationError: The chat model does not say its name and none was given.
        """
        found = [getattr(self.model, key, None) for key in ("model_name", "model", "model_id", "deployment_name")]
        self.name = self.name or next((value for value in found if isinstance(value, str) and value), "")
        if not self.name:
            raise ConfigurationError(f"{type(self.model).__name__} does not say its model's name: give name=...")
        limit = getattr(self.model, "max_tokens", None)
        self.max_tokens = limit if isinstance(limit, int) else None

    def settings(self) -> Mapping[str, Plain]:
        """Class and temperature of the chat model."""
        return {"client": type(self.model).__name__, "temperature": _plain(getattr(self.model, "temperature", None))}

    def ask(self, messages: Sequence[Message]) -> Reply:
        """Invoke the chat model once."""
        try:
            message = self.model.invoke([(entry["role"], entry["content"]) for entry in messages])
        except Exception as error:
            if isinstance(fault := classify(error), Blocked):
                return Reply("", problem=fault.problem)
            raise
        usage: Mapping[str, Any] = message.usage_metadata or {}
        meta = message.response_metadata or {}
        parts = [part for part in message.content if isinstance(part, dict)]  # none where the content is text
        thoughts = [part.get("thinking") or part.get("reasoning") or "" for part in parts]
        return Reply(
            text=str(message.text),
            reasoning=str(
                message.additional_kwargs.get("reasoning_content") or "\n".join(map(str, filter(None, thoughts)))
            ),
            finish=_finish(meta.get("finish_reason") or meta.get("stop_reason") or meta.get("done_reason")),
            prompt_tokens=int(usage.get("input_tokens") or 0),
            completion_tokens=int(usage.get("output_tokens") or 0),
        )


def _reply(content: Mapping[str, Any]) -> Reply:
    """Read a chat completion in OpenAI's shape."""
    choice, usage = content["choices"][0], content.get("usage") or {}
    message = choice["message"]
    text = message.get("content")
    if isinstance(text, list):
        text = "".join(part.get("text", "") for part in text if isinstance(part, dict))
    refusal = message.get("refusal") or (message.get("provider_specific_fields") or {}).get("refusal")
    return Reply(
        text=str(text or refusal or ""),
        reasoning=str(message.get("reasoning_content") or message.get("reasoning") or ""),
        finish=_finish(choice.get("finish_reason")),
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
    )


def _finish(reason: object) -> str:
    """Why a model stopped, in OpenAI's words."""
    text = str(reason or "").casefold().rsplit(".", 1)[-1]
    known = {"max_tokens": "length", "model_length": "length", "end_turn": "stop", "safety": "content_filter"}
    return known.get(text, text)


def _plain(value: object) -> Plain:
    """Return a setting as it can stand in a profile."""
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)


def _said(response: httpx.Response) -> str:
    """Return what a server says is wrong."""
    try:
        problem = response.json()
    except ValueError:
        return response.text[:500] or response.reason_phrase
    problem = problem.get("error", problem) if isinstance(problem, dict) else problem
    if isinstance(problem, dict):
        code = problem.get("code") or problem.get("type")
        return f"{problem.get('message') or problem.get('detail') or problem}" + (f" ({code})" if code else "")
    return str(problem)[:500]
