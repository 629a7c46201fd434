"""Agents and graphs: as the model of an agent, as its middleware, and on the edges of a graph."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

from langchain_modelsat import ModelSATMiddleware, ModelSATRouter
from modelsat.errors import ConfigurationError, RoutingError
from tests.fakes import FakeScorer
from tests.langchain_modelsat.conftest import PROFILES
from tests.openai_server import OpenAIServer

QUESTION: Any = {"messages": [{"role": "user", "content": "Add 4"}]}


class Sum(BaseModel):
    """A sum."""

    total: int


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def make_middleware(chat: Any, fake_scorer: FakeScorer) -> Any:
    def make(**kwargs: Any) -> ModelSATMiddleware:
        given = {"models": [chat(name) for name in PROFILES], "profiles": PROFILES, "scorer": fake_scorer}
        return ModelSATMiddleware(**{**given, **kwargs})

    return make


def check_conversation(state: dict[str, Any]) -> None:
    _, call, result, answer = state["messages"]
    assert call.tool_calls[0]["args"] == {"a": 4, "b": 4}
    assert isinstance(result, ToolMessage)
    assert result.content == "8"
    assert isinstance(answer, AIMessage)
    for message in (call, answer):
        assert message.response_metadata["routing_decision"]["model"] == "strong"
        assert message.response_metadata["model_name"] == "strong"


def test_an_agent(router: ModelSATRouter) -> None:
    check_conversation(create_agent(router, tools=[add]).invoke(QUESTION))


async def test_an_agent_async(router: ModelSATRouter) -> None:
    check_conversation(await create_agent(router, tools=[add]).ainvoke(QUESTION))


def test_an_agent_with_an_output_schema(router: ModelSATRouter) -> None:
    state = create_agent(router, tools=[], response_format=Sum).invoke(QUESTION)
    assert state["structured_response"] == Sum(total=4)


def test_an_agent_with_a_forced_route(router: ModelSATRouter, server: OpenAIServer) -> None:
    create_agent(router, tools=[add]).invoke(QUESTION, {"configurable": {"modelsat_route": "weak"}})
    assert set(server.models_called) == {"weak"}


def test_an_agent_with_fallbacks(router: ModelSATRouter, chat: Any, server: OpenAIServer) -> None:
    server.failures["strong"] = 500
    agent = create_agent(router, tools=[add], middleware=[ModelFallbackMiddleware(chat("spare"))])
    assert agent.invoke(QUESTION)["messages"][-1].response_metadata["model_name"] == "spare"


def streamed(parts: list[Any]) -> list[str]:
    return [chunk.text for chunk, _ in parts if isinstance(chunk, AIMessageChunk) and chunk.text]


def test_a_graph_streams_every_token_once(router: ModelSATRouter) -> None:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [router.invoke(state["messages"])]}

    graph = (
        StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END).compile()
    )
    words = streamed(list(graph.stream({"messages": [("user", "Hello")]}, stream_mode="messages")))  # type: ignore[arg-type]
    assert words == ["this ", "is ", "strong ", "speaking ", "to ", "you"]


async def test_an_agent_streams_every_token_once(router: ModelSATRouter) -> None:
    agent = create_agent(router)
    parts = [part async for part in agent.astream(QUESTION, stream_mode="messages")]
    assert streamed(parts) == ["this ", "is ", "strong ", "speaking ", "to ", "you"]
    ids = {chunk.id for chunk, _ in parts}
    assert len(ids) == 1


def test_a_decision_on_an_edge(router: ModelSATRouter) -> None:
    def choose(state: MessagesState) -> str:
        return router.selector.invoke(state["messages"]).model

    graph = StateGraph(MessagesState)
    for name in PROFILES:
        graph.add_node(name, lambda state, name=name: {"messages": [AIMessage(f"node {name}")]})
        graph.add_edge(name, END)
    graph.add_conditional_edges(START, choose, list(PROFILES))
    assert graph.compile().invoke(QUESTION)["messages"][-1].content == "node strong"


def test_middleware_decides_once_a_run(make_middleware: Any, chat: Any, fake_scorer: FakeScorer) -> None:
    agent = create_agent(chat("unused"), tools=[add], middleware=[make_middleware()])
    state = agent.invoke(QUESTION)
    check_conversation(state)
    assert state["routing_decision"]["model"] == "strong"
    assert fake_scorer.calls == [["Add 4"]]


async def test_middleware_async(make_middleware: Any, chat: Any, fake_scorer: FakeScorer) -> None:
    agent = create_agent(chat("unused"), tools=[add], middleware=[make_middleware()])
    check_conversation(await agent.ainvoke(QUESTION))
    assert len(fake_scorer.calls) == 1


def decisions(state: Any) -> set[str]:
    """Identifiers of the decisions on the answers of an agent."""
    answers = [message for message in state["messages"] if message.type == "ai"]
    return {answer.response_metadata["routing_decision"]["id"] for answer in answers}


def test_middleware_decides_at_every_call(make_middleware: Any, chat: Any) -> None:
    agent = create_agent(chat("unused"), tools=[add], middleware=[make_middleware(decide="call")])
    state = agent.invoke(QUESTION)
    check_conversation(state)
    assert "routing_decision" not in state
    assert len(decisions(state)) == 2


async def test_middleware_decides_at_every_call_async(make_middleware: Any, chat: Any) -> None:
    agent = create_agent(chat("unused"), tools=[add], middleware=[make_middleware(decide="call")])
    state = await agent.ainvoke(QUESTION)
    check_conversation(state)
    assert len(decisions(state)) == 2


def test_middleware_decides_anew_in_the_next_run_of_a_thread(
    make_middleware: Any, chat: Any, fake_scorer: FakeScorer
) -> None:
    agent = create_agent(chat("unused"), middleware=[make_middleware()], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    first = agent.invoke(QUESTION, config)["routing_decision"]["id"]
    assert agent.invoke(QUESTION, config)["routing_decision"]["id"] != first
    assert len(fake_scorer.calls) == 2


def test_middleware_with_a_forced_route(make_middleware: Any, chat: Any, server: OpenAIServer) -> None:
    agent = create_agent(chat("unused"), tools=[add], middleware=[make_middleware()])
    agent.invoke(QUESTION, {"configurable": {"modelsat_route": "weak"}})
    assert set(server.models_called) == {"weak"}


def test_middleware_before_fallbacks(make_middleware: Any, chat: Any, server: OpenAIServer) -> None:
    server.failures["strong"] = 500
    middleware = [make_middleware(), ModelFallbackMiddleware(chat("spare"))]
    state = create_agent(chat("unused"), tools=[add], middleware=middleware).invoke(QUESTION)
    assert state["messages"][-1].response_metadata["model_name"] == "spare"


def test_middleware_with_a_fallback_for_routing(make_middleware: Any, chat: Any) -> None:
    broken = FakeScorer(error=RuntimeError("broken"))
    agent = create_agent(chat("unused"), middleware=[make_middleware(scorer=broken, fallback="weak")])
    state = agent.invoke(QUESTION)
    assert state["routing_decision"]["fallback"] is True
    assert state["messages"][-1].response_metadata["model_name"] == "weak"
    with pytest.raises(RoutingError, match="broken"):
        create_agent(chat("unused"), middleware=[make_middleware(scorer=broken)]).invoke(QUESTION)


def test_middleware_refuses_an_unknown_rhythm(make_middleware: Any) -> None:
    with pytest.raises(ConfigurationError, match='"run" or "call"'):
        make_middleware(decide="sometimes")


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@tool
def photograph(subject: str) -> list[dict[str, Any]]:
    """Take a picture."""
    return [{"type": "image", "base64": PIXEL, "mime_type": "image/png"}]


@tool
def read_book(title: str) -> str:
    """Read a whole book."""
    return "It was a dark and stormy night. " * 20_000


def models_of(state: Any) -> list[str]:
    answers = [message for message in state["messages"] if message.type == "ai"]
    return [answer.response_metadata["routing_decision"]["model"] for answer in answers]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_run_leaves_a_text_model_when_a_tool_returns_a_picture(
    make_middleware: Any, chat: Any, asynchronous: bool, server: OpenAIServer
) -> None:
    sight = {"strong": {"abilities": {"vision": False}}, "middling": {"abilities": {"vision": True}}}
    agent = create_agent(chat("unused"), tools=[photograph], middleware=[make_middleware(facts=sight)])
    state = await agent.ainvoke(QUESTION) if asynchronous else agent.invoke(QUESTION)
    assert models_of(state) == ["strong", "middling"] == server.models_called
    notes = " ".join(state["routing_decision"]["notes"])
    assert "switched from strong in the run: cannot do vision" in notes


def test_a_run_leaves_a_small_window_and_stays_with_the_larger(make_middleware: Any, chat: Any) -> None:
    windows = {"strong": {"context_window": 128_000}, "middling": {"context_window": 1_000_000}}
    agent = create_agent(
        chat("unused"),
        tools=[read_book],
        middleware=[make_middleware(facts={**windows, "weak": {"context_window": 8_000}})],
        checkpointer=InMemorySaver(),
    )
    thread: Any = {"configurable": {"thread_id": "1"}}
    state = agent.invoke(QUESTION, thread)
    assert models_of(state) == ["strong", "middling"]
    assert state["routing_decision"]["model"] == "middling"


@pytest.mark.parametrize("decide", ["run", "call"])
def test_the_system_prompt_of_an_agent_counts(make_middleware: Any, chat: Any, decide: str) -> None:
    windows = {"strong": {"context_window": 128_000}, "middling": {"context_window": 1_000_000}}
    middleware = make_middleware(facts={**windows, "weak": {"context_window": 8_000}}, decide=decide)
    agent = create_agent(chat("unused"), system_prompt="Answer in rhymes, always. " * 30_000, middleware=[middleware])
    assert models_of(agent.invoke(QUESTION)) == ["middling"]


def test_a_forced_route_stands_for_the_run(make_middleware: Any, chat: Any, server: OpenAIServer) -> None:
    sight = {"strong": {"abilities": {"vision": True}}, "weak": {"abilities": {"vision": False}}}
    agent = create_agent(chat("unused"), tools=[photograph], middleware=[make_middleware(facts=sight)])
    agent.invoke(QUESTION, {"configurable": {"modelsat_route": "weak"}})
    assert server.models_called == ["weak", "weak"]


@pytest.mark.parametrize("decide", ["run", "call"])
@pytest.mark.parametrize("first", [True, False])
async def test_fallbacks_are_reached_in_either_order(
    make_middleware: Any, chat: Any, server: OpenAIServer, decide: str, first: bool
) -> None:
    server.failures["strong"] = 500
    order = [make_middleware(decide=decide), ModelFallbackMiddleware(chat("spare"))]
    agent = create_agent(chat("unused"), tools=[add], middleware=order if first else order[::-1])
    for state in (agent.invoke(QUESTION), await agent.ainvoke(QUESTION)):
        assert state["messages"][-1].response_metadata["model_name"] == "spare"
    assert server.models_called == ["strong", "spare"] * 4
