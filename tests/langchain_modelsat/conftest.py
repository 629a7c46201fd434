"""A loopback provider, real clients on it, and routers whose decisions are scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_openai import ChatOpenAI

from langchain_modelsat import ModelSATRouter
from tests.fakes import FakeScorer
from tests.openai_server import OpenAIServer

PROFILES = {"strong": {"MMLU": 0.9}, "middling": {"MMLU": 0.6}, "weak": {"MMLU": 0.3}}


@pytest.fixture(scope="session")
def provider() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def server(provider: OpenAIServer) -> OpenAIServer:
    provider.reset()
    return provider


@pytest.fixture
def chat(server: OpenAIServer) -> Callable[..., ChatOpenAI]:
    """Makes a real client of the loopback provider."""

    def make(name: str, **kwargs: Any) -> ChatOpenAI:
        given = {"model": name, "base_url": server.url, "api_key": "none", "max_retries": 0, "stream_usage": True}
        return ChatOpenAI(**{**given, **kwargs})

    return make


@pytest.fixture
def make_router(chat: Callable[..., ChatOpenAI], fake_scorer: FakeScorer) -> Callable[..., ModelSATRouter]:
    """Makes a router over three clients; "strong" is chosen unless the script says otherwise."""

    def make(**kwargs: Any) -> ModelSATRouter:
        given = {"models": [chat(name) for name in PROFILES], "profiles": PROFILES, "scorer": fake_scorer}
        return ModelSATRouter(**{**given, **kwargs})

    return make


@pytest.fixture
def router(make_router: Callable[..., ModelSATRouter]) -> ModelSATRouter:
    return make_router()


class Recorder(BaseCallbackHandler):
    """Keeps the tree of runs: ``kind``, ``name``, ``parent`` and how each ended."""

    run_inline = True

    def __init__(self) -> None:
        self.runs: dict[Any, dict[str, Any]] = {}
        self.tokens: list[str] = []
        self.ended: list[str] = []

    def named(self, name: str) -> list[dict[str, Any]]:
        return [run for run in self.runs.values() if run["name"] == name]

    @property
    def roots(self) -> list[dict[str, Any]]:
        return [run for run in self.runs.values() if run["parent"] is None]

    def children(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        return [child for child in self.runs.values() if child["parent"] == run["id"]]

    def _start(self, kind: str, kwargs: dict[str, Any]) -> None:
        run_id = kwargs["run_id"]
        entry = {"kind": kind, "id": run_id, "name": kwargs.get("name"), "parent": kwargs.get("parent_run_id")}
        entry |= {"metadata": kwargs.get("metadata") or {}, "tags": kwargs.get("tags") or [], "output": None}
        self.runs[run_id] = {**entry, "error": None, "done": False}

    def _end(self, run_id: Any, **fields: Any) -> None:
        self.runs[run_id].update(done=True, **fields)
        self.ended.append(self.runs[run_id]["name"])

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self._start("chain", kwargs)

    def on_chain_end(self, outputs: Any, *, run_id: Any, **kwargs: Any) -> None:
        self._end(run_id, output=outputs)

    def on_chain_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        self._end(run_id, error=error)

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self._start("chat_model", {**kwargs, "name": kwargs.get("name") or serialized["name"]})

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: Any, *, run_id: Any, **kwargs: Any) -> None:
        self._end(run_id, output=response)

    def on_llm_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        self._end(run_id, error=error)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
