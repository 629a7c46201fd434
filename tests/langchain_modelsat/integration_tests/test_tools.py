"""Tools and output schemas are replayed on the model that was chosen; what was bound before stays bound."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_modelsat import ModelSATRouter
from langchain_modelsat.calls import RouterBinding
from tests.openai_server import OpenAIServer

TWO = {"strong": {"MMLU": 0.9}, "weak": {"MMLU": 0.3}}


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_tools_reach_the_chosen_model(router: ModelSATRouter, server: OpenAIServer) -> None:
    message = router.bind_tools([add], tool_choice="any", strict=True).invoke("Add 4")
    assert message.tool_calls[0]["args"] == {"a": 4, "b": 4}
    assert message.response_metadata["routing_decision"]["model"] == "strong"
    (request,) = server.requests
    assert request["tool_choice"] == "required"
    assert request["tools"][0]["function"]["strict"] is True


def test_in_a_chain(router: ModelSATRouter) -> None:
    chain = ChatPromptTemplate.from_messages([("user", "{question}")]) | router.bind_tools([add])
    assert chain.invoke({"question": "Add 4"}).tool_calls[0]["name"] == "add"


def test_each_route_keeps_its_own_method(chat: Any, make_router: Any, server: OpenAIServer) -> None:
    class ByTool(type(chat("x"))):  # type: ignore[misc]
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            return super().with_structured_output(schema, **{**kwargs, "method": "function_calling"})

    other = ByTool(model="weak", base_url=server.url, api_key="none", max_retries=0)
    router = make_router(
        models={"strong": chat("strong"), "weak": other}, profiles={"strong": {"MMLU": 0.9}, "weak": {"MMLU": 0.3}}
    )
    runnable = router.with_structured_output(Joke)
    assert isinstance(runnable.invoke("A joke"), Joke)
    assert isinstance(runnable.invoke("A joke", {"configurable": {"modelsat_route": "weak"}}), Joke)
    assert server.requests[0]["response_format"]["type"] == "json_schema"
    assert "tools" not in server.requests[0]
    assert server.requests[1]["tools"][0]["function"]["name"] == "Joke"
    assert "response_format" not in server.requests[1]


async def test_structured_output_async(router: ModelSATRouter) -> None:
    assert isinstance(await router.with_structured_output(Joke).ainvoke("A joke"), Joke)


def test_structured_output_in_a_batch(router: ModelSATRouter, fake_scorer: Any) -> None:
    jokes = router.with_structured_output(Joke).batch(["one", "two"])
    assert [type(joke) for joke in jokes] == [Joke, Joke]
    assert fake_scorer.calls == [["one", "two"]]


def test_the_raw_message_carries_the_decision(router: ModelSATRouter) -> None:
    result = router.with_structured_output(Joke, include_raw=True).invoke("A joke")
    assert isinstance(result["parsed"], Joke)
    assert result["raw"].response_metadata["routing_decision"]["model"] == "strong"


def test_config_and_arguments_are_not_lost(router: ModelSATRouter, server: OpenAIServer) -> None:
    configured = router.with_config({"configurable": {"modelsat_route": "weak"}}, tags=["kept"])
    bound = configured.bind(temperature=0.25).bind_tools([add])
    assert isinstance(bound, RouterBinding)
    assert bound.config["tags"] == ["kept"]
    message = bound.invoke("Add 4")
    assert message.tool_calls
    assert server.models_called == ["weak"]
    assert server.requests[0]["temperature"] == 0.25
    assert isinstance(configured.with_structured_output(Joke).invoke("A joke"), Joke)
    assert server.models_called == ["weak", "weak"]


def test_config_after_tools(router: ModelSATRouter, server: OpenAIServer) -> None:
    bound: Any = router.bind_tools([add]).with_config(configurable={"modelsat_route": "weak"})
    assert bound.bind(temperature=0.25).invoke("Add 4").tool_calls
    assert server.models_called == ["weak"]
    assert server.requests[0]["temperature"] == 0.25


def test_a_model_without_tools_is_left_out(make_router: Any, chat: Any) -> None:
    mute = GenericFakeChatModel(messages=iter([AIMessage("I cannot call tools")]))
    router = make_router(
        models={"strong": mute, "weak": chat("weak")}, profiles={"strong": {"MMLU": 0.9}, "weak": {"MMLU": 0.3}}
    )
    message = router.bind_tools([add]).invoke("Add 4")
    decision = message.response_metadata["routing_decision"]
    assert decision["model"] == "weak"
    assert decision["excluded"] == {"strong": {"kind": "ability", "reason": "has no bind_tools"}}
    assert router.bind_tools([add]).batch(["Add 4"])[0].tool_calls
    assert router.invoke("Hello").text == "I cannot call tools"


def test_no_model_with_tools(make_router: Any) -> None:
    mute = GenericFakeChatModel(messages=iter([]))
    router = make_router(models={"strong": mute}, profiles={"strong": {"MMLU": 0.9}})
    with pytest.raises(NotImplementedError, match="none of the routes supports bind_tools: strong"):
        router.bind_tools([add])
    with pytest.raises(NotImplementedError, match="none of the routes supports with_structured_output"):
        router.with_structured_output(Joke)


def test_a_conversation_with_a_tool(router: ModelSATRouter, fake_scorer: Any) -> None:
    bound = router.bind_tools([add])
    question = HumanMessage("Add 4 and 4, please: what is the sum?")
    call = bound.invoke([question])
    assert bound.invoke([question, call, add.invoke(call.tool_calls[0])]).text == "this is strong speaking to you"
    assert fake_scorer.calls == [
        ["Add 4 and 4, please: what is the sum?"]
    ]  # The need is the same: its scores are kept.
