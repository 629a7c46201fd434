"""The model under test: through LiteLLM, LangChain, or any OpenAI-compatible server."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.lab.aptitude.faults import Blocked, classify
from modelsat.lab.aptitude.questions import Message
from modelsat.lab.aptitude.replies import Reply, finish_reason, plain_value

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


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

    def settings(self) -> Mapping[str, str | int | float | bool | None]:
        """Return what the answers depend on besides the question; the limit of length is not among it."""
        ...


@dataclass
class LiteLLMSubject:
    """A model that LiteLLM can call.

    Attributes:
        name: The model as LiteLLM names it, e.g. ``"openai/gpt-4o"``.
        endpoint: Always empty: LiteLLM knows where the provider is.
        api_key: The key; that of the provider's usual environment variable if ``None``.
        max_tokens: Limit of a reply's length.
        temperature: Left out for models that refuse it.
        timeout: Seconds one call may take.
        options: Further arguments of the call, e.g. ``{"reasoning_effort": "low"}``.
        dropped: Parameters that the server refused and that were left out since.
    """

    name: str
    endpoint: str = ""
    api_key: str | None = field(default=None, repr=False)
    max_tokens: int | None = 4096
    temperature: float | None = 0.0
    timeout: float = 120.0
    options: Mapping[str, Any] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Import LiteLLM and see whether it knows the provider.

        Raises:
            MissingDependencyError: LiteLLM is not installed.
            ConfigurationError: LiteLLM knows no provider for the name.
        """
        self._litellm = load_litellm()
        self._lock = threading.Lock()
        self._warm = False
        try:
            self._litellm.get_llm_provider(self.name)
        except Exception as error:
            raise ConfigurationError(
                f"LiteLLM knows no provider for {self.name!r}: name it, e.g. openai/{self.name} or "
                f"ollama/{self.name}; for any OpenAI-compatible server give its address, --api-base "
                "http://HOST:PORT/v1"
            ) from error

    def settings(self) -> Mapping[str, str | int | float | bool | None]:
        """Temperature and further arguments."""
        return {"temperature": self.temperature, **{name: plain_value(value) for name, value in self.options.items()}}

    def ask(self, messages: Sequence[Message]) -> Reply:
        """Call the model once, without retries."""
        try:
            return self._first(messages) if not self._warm else self._call(messages)
        except Exception as error:
            refused = self._refused(error)
            if refused is None:
                raise
            with self._lock:
                self.dropped.add(refused)
            return self._call(messages)

    def _first(self, messages: Sequence[Message]) -> Reply:
        """Make the first call alone: LiteLLM imports a part of itself in it, which threads at once trip over."""
        with self._lock:
            if not self._warm:
                try:
                    return self._call(messages)
                finally:
                    self._warm = True
        return self._call(messages)

    def _call(self, messages: Sequence[Message]) -> Reply:
        arguments: dict[str, Any] = {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.options}
        arguments = {key: value for key, value in arguments.items() if value is not None and key not in self.dropped}
        if self.api_key:
            arguments["api_key"] = self.api_key
        try:
            response = self._litellm.completion(
                model=self.name,
                messages=list(messages),
                timeout=self.timeout,
                num_retries=0,
                max_retries=0,
                drop_params=True,
                **arguments,
            )
        except Exception as error:
            if (blocked := classify(error)) and isinstance(blocked, Blocked):
                return Reply("", problem=blocked.problem)
            raise
        return _litellm_reply(response, self._cost(response))

    def _refused(self, error: Exception) -> str | None:
        """Return the parameter that a 400 complains about, if it can be left out."""
        said = str(error).casefold()
        if getattr(error, "status_code", None) not in (400, 422):
            return None
        for name in ("temperature", "max_tokens"):
            if name in said and name not in self.dropped:
                return name
        return None

    def _cost(self, response: Any) -> float | None:
        try:
            cost = float(self._litellm.completion_cost(completion_response=response, model=self.name))
        except Exception:  # no price is known: the estimate says so before the start
            return None
        return cost if cost > 0 else None


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
        if not self.name:
            found = [getattr(self.model, key, None) for key in ("model_name", "model", "model_id", "deployment_name")]
            names = [value for value in found if isinstance(value, str) and value]
            if not names:
                raise ConfigurationError(f"{type(self.model).__name__} does not say its model's name: give name=...")
            self.name = names[0]
        limit = getattr(self.model, "max_tokens", None)
        self.max_tokens = limit if isinstance(limit, int) else None

    def settings(self) -> Mapping[str, str | int | float | bool | None]:
        """Class and temperature of the chat model."""
        return {
            "client": type(self.model).__name__,
            "temperature": plain_value(getattr(self.model, "temperature", None)),
        }

    def ask(self, messages: Sequence[Message]) -> Reply:
        """Invoke the chat model once."""
        try:
            message = self.model.invoke([(entry["role"], entry["content"]) for entry in messages])
        except Exception as error:
            if (blocked := classify(error)) and isinstance(blocked, Blocked):
                return Reply("", problem=blocked.problem)
            raise
        usage: Mapping[str, Any] = message.usage_metadata or {}
        meta = message.response_metadata or {}
        finish = meta.get("finish_reason") or meta.get("stop_reason") or meta.get("done_reason") or ""
        reasoning = message.additional_kwargs.get("reasoning_content") or ""
        return Reply(
            text=str(message.text),
            reasoning=str(reasoning) or _thinking(message.content),
            finish=finish_reason(finish),
            prompt_tokens=int(usage.get("input_tokens") or 0),
            completion_tokens=int(usage.get("output_tokens") or 0),
        )


def load_litellm() -> Any:
    """LiteLLM, with its price table as shipped: importing it does not go to the network.

    Raises:
        MissingDependencyError: It is not installed.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm
    except ImportError as error:
        raise MissingDependencyError.for_extra("testing a model by name", "test") from error
    litellm.suppress_debug_info = True
    return litellm


def _litellm_reply(response: Any, cost: float | None) -> Reply:
    choices = getattr(response, "choices", None)
    if not choices:
        return Reply("")
    message = choices[0].message
    usage = getattr(response, "usage", None)
    content = message.content
    text = content if isinstance(content, str) else ""
    refusal = getattr(message, "refusal", None) or (getattr(message, "provider_specific_fields", None) or {}).get(
        "refusal"
    )
    return Reply(
        text=text or (refusal if isinstance(refusal, str) else ""),
        reasoning=str(getattr(message, "reasoning_content", None) or ""),
        finish=finish_reason(choices[0].finish_reason or ""),
        prompt_tokens=int(getattr(usage, "prompt_tokens", 0) or 0),
        completion_tokens=int(getattr(usage, "completion_tokens", 0) or 0),
        cost_usd=cost,
    )


def _thinking(content: object) -> str:
    if not isinstance(content, list):
        return ""
    parts = [part.get("thinking") or part.get("reasoning") or "" for part in content if isinstance(part, dict)]
    return "\n".join(str(part) for part in parts if part)


_SPARED = ("temperature", "max_tokens")
"""Parameters that are left out where a server refuses them."""
_RENAMED = {"max_tokens": "max_completion_tokens"}


class EndpointError(Exception):
    """A server's answer that is not a chat completion.

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
            ConfigurationError: The address is not a URL.
        """
        if not self.endpoint.startswith(("http://", "https://")):
            raise ConfigurationError(f"{self.endpoint!r} is not a URL: write http://HOST:PORT/v1")
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
        raise EndpointError(f"this is not a chat completion: {response.text[:200]}", response) from error
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
