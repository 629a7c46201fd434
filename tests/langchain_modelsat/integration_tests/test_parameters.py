"""Parameters that one model refuses and another takes, and what is meant for Claude alone."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from pydantic import Field

from langchain_modelsat import ModelSATMiddleware, ModelSATRouter
from modelsat.candidates.parameters import refused_parameters
from tests.fakes import FakeScorer
from tests.openai_server import OpenAIServer

PROFILES = {"gpt-5": {"MMLU": 0.9}, "gpt-4o": {"MMLU": 0.6}}
OPENAI = {name: {"provider": "openai"} for name in PROFILES}


@pytest.fixture
def make(chat: Any, fake_scorer: FakeScorer) -> Any:
    def build(kind: Any = ModelSATRouter, **kwargs: Any) -> Any:
        given = {"profiles": PROFILES, "facts": OPENAI, "scorer": fake_scorer}
        return kind([chat(name) for name in kwargs.pop("names", PROFILES)], **{**given, **kwargs})

    return build


@pytest.mark.parametrize(
    "setting", [{"temperature": 0.2}, {"stop": ["end"]}, {"logprobs": True}, {"presence_penalty": 0.5}]
)
def test_a_model_that_refuses_a_parameter_comes_last(make: Any, server: OpenAIServer, setting: dict[str, Any]) -> None:
    router = make()
    decision = router.invoke("Hello", **setting).response_metadata["routing_decision"]
    assert server.models_called == ["gpt-4o"]
    (name,) = setting
    assert decision["excluded"]["gpt-5"]["reason"] == f"refuses {name}, which the call sets"
    assert router.invoke("Hello").response_metadata["routing_decision"]["model"] == "gpt-5"


def test_a_parameter_that_asks_for_nothing_leaves_the_choice_alone(make: Any, server: OpenAIServer) -> None:
    make().invoke("Hello", temperature=1, n=1, presence_penalty=0)
    assert server.models_called == ["gpt-5"]


def test_a_parameter_is_dropped_where_the_user_allows_it(make: Any, server: OpenAIServer) -> None:
    answer = make(drop_params=True).invoke("Hello", temperature=0.2, stop=["end"])
    assert server.models_called == ["gpt-5"]
    assert not server.requests[0].keys() & {"temperature", "stop"}
    assert "dropped stop, temperature, which gpt-5 refuses" in answer.response_metadata["routing_decision"]["notes"]


def test_where_all_refuse_the_choice_stands(make: Any, server: OpenAIServer) -> None:
    make(names=["gpt-5"], profiles={"gpt-5": {"MMLU": 0.9}}, facts={"gpt-5": {"provider": "openai"}}).invoke(
        "Hello", temperature=0.2
    )
    assert server.models_called == ["gpt-5"]


def test_a_model_at_an_address_of_its_own_refuses_nothing(make: Any, server: OpenAIServer) -> None:
    make(facts={}).invoke("Hello", temperature=0.2)
    assert server.models_called == ["gpt-5"]


class Cold(AgentMiddleware):
    """Sets a temperature before the router decides."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(model_settings={"temperature": 0.2}))


@pytest.mark.parametrize(("drop", "called"), [(False, "gpt-4o"), (True, "gpt-5")])
def test_settings_of_an_agent_count_alike(make: Any, chat: Any, server: OpenAIServer, drop: bool, called: str) -> None:
    routing = make(ModelSATMiddleware, drop_params=drop)
    create_agent(chat("unused"), middleware=[Cold(), routing]).invoke({"messages": [("user", "Hello")]})
    assert server.models_called == [called]
    assert ("temperature" in server.requests[0]) is not drop


@pytest.mark.parametrize(
    ("model", "provider", "refused", "taken"),
    [
        ("o3", "openai", {"temperature", "logprobs"}, {"seed"}),
        ("gpt-5-2025-08-07", "openai", {"temperature", "stop"}, {"seed"}),
        ("gpt-4o", "openai", set(), {"temperature", "stop", "seed", "n", "logprobs"}),
        ("claude-sonnet-4-5", "anthropic", {"seed", "n", "logprobs", "presence_penalty"}, {"temperature", "stop"}),
        ("claude-sonnet-4-5-20250929", "anthropic", {"seed", "n"}, {"temperature"}),
        ("o3", None, set(), {"temperature"}),
        ("o3", "somebody", set(), {"temperature"}),
    ],
)
def test_what_the_table_says(model: str, provider: str | None, refused: set[str], taken: set[str]) -> None:
    found = refused_parameters(model, provider)
    assert refused <= found
    assert not taken & found


class Claude(GenericFakeChatModel):
    """A chat model that says it is Anthropic's, and keeps what it was called with."""

    asked: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "anthropic-chat"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        self.asked.append(kwargs)
        return super()._generate(messages, stop, run_manager, **kwargs)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(**kwargs)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_claude_alone_is_asked_to_cache_the_prompt(chat: Any, server: OpenAIServer, fake_scorer: FakeScorer) -> None:
    claude = Claude(messages=iter([AIMessage("yes"), AIMessage("yes")]))
    router = ModelSATRouter(
        models={"claude": claude, "other": chat("other")},
        profiles={"claude": {"MMLU": 0.9}, "other": {"MMLU": 0.3}},
        scorer=fake_scorer,
        cache_control={"type": "ephemeral"},
    )
    create_agent(router, tools=[add]).invoke({"messages": [("user", "Hello")]})
    assert claude.asked[0]["cache_control"] == {"type": "ephemeral"}
    router.invoke("Hello", model="other")
    assert "cache_control" not in server.requests[0]
