"""What is recorded: one run of the router with the decision and the chosen model below it; usage once."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_modelsat import ModelSATRouter
from modelsat.router.decision import RoutingDecision
from tests.langchain_modelsat.conftest import Recorder
from tests.openai_server import OpenAIServer


def check_tree(recorder: Recorder) -> None:
    (root,) = recorder.roots
    assert (root["kind"], root["name"]) == ("chain", "ModelSATRouter")
    selector, model = recorder.children(root)
    assert (selector["kind"], selector["name"]) == ("chain", "ModelSATSelector")
    assert (model["kind"], model["name"]) == ("chat_model", "ChatOpenAI")
    assert isinstance(selector["output"], RoutingDecision)
    assert model["metadata"]["ls_model_name"] == "strong"
    assert model["metadata"]["modelsat_route"] == "strong"
    assert model["metadata"]["modelsat_decision"] == selector["output"].id
    assert len(recorder.runs) == 3
    assert all(run["done"] for run in recorder.runs.values())
    assert recorder.ended == ["ModelSATSelector", "ChatOpenAI", "ModelSATRouter"]


def test_the_tree_of_runs(router: ModelSATRouter, recorder: Recorder) -> None:
    message = router.invoke("Hello", {"callbacks": [recorder]})
    check_tree(recorder)
    assert recorder.roots[0]["output"] == message


async def test_the_tree_of_runs_async(router: ModelSATRouter, recorder: Recorder) -> None:
    await router.ainvoke("Hello", {"callbacks": [recorder]})
    check_tree(recorder)


def test_the_tree_of_a_stream(router: ModelSATRouter, recorder: Recorder) -> None:
    list(router.stream("Hello", {"callbacks": [recorder]}))
    check_tree(recorder)


async def test_the_tree_of_a_stream_async(router: ModelSATRouter, recorder: Recorder) -> None:
    assert [chunk async for chunk in router.astream("Hello", {"callbacks": [recorder]})]
    check_tree(recorder)


def test_a_run_takes_name_tags_metadata_and_id(router: ModelSATRouter, recorder: Recorder) -> None:
    from uuid import uuid4

    run_id = uuid4()
    config: Any = {"run_name": "asked", "tags": ["a"], "metadata": {"b": 1}, "run_id": run_id, "callbacks": [recorder]}
    router.invoke("Hello", config)
    (root,) = recorder.roots
    assert (root["id"], root["name"], root["tags"], root["metadata"]["b"]) == (run_id, "asked", ["a"], 1)


def test_what_is_given_to_the_constructor_is_recorded(make_router: Any, recorder: Recorder) -> None:
    router = make_router(callbacks=[recorder], tags=["own"], metadata={"team": "x"}, name="Switchboard")
    router.invoke("Hello", {"tags": ["call"]})
    (root,) = recorder.roots
    assert root["name"] == "Switchboard"
    assert set(root["tags"]) == {"own", "call"}
    assert root["metadata"]["team"] == "x"


def test_handlers_of_the_constructor_do_not_leak_into_the_chain_above(make_router: Any, recorder: Recorder) -> None:
    outer = Recorder()
    chain = ChatPromptTemplate.from_messages([("user", "{question}")]) | make_router(callbacks=[recorder])
    chain.invoke({"question": "Why?"}, {"callbacks": [outer]})
    assert {run["name"] for run in recorder.runs.values()} == {"ModelSATRouter", "ModelSATSelector", "ChatOpenAI"}
    assert len(outer.runs) == len(recorder.runs) + 2


def test_usage_is_counted_once(router: ModelSATRouter) -> None:
    usage = UsageMetadataCallbackHandler()
    message = router.invoke("one two three", {"callbacks": [usage]})
    assert usage.usage_metadata == {"strong": message.usage_metadata}
    chunks = list(router.stream("one two three", {"callbacks": [usage]}))
    total = sum(chunks[1:], start=chunks[0])
    assert total.usage_metadata == message.usage_metadata
    counted = usage.usage_metadata["strong"]["total_tokens"]
    assert message.usage_metadata is not None
    assert counted == 2 * message.usage_metadata["total_tokens"]


def test_the_decision_is_visible(router: ModelSATRouter) -> None:
    message = router.invoke("Hello")
    assert message.response_metadata["model_name"] == "strong"
    decision = RoutingDecision(**message.response_metadata["routing_decision"])
    assert decision.model == "strong"
    assert list(decision.scores) == ["strong", "middling", "weak"]
    assert decision.versions["weights"] == "fake@1"


def test_the_message_of_the_model_is_not_changed(make_router: Any, chat: Any) -> None:
    class Remembering(type(chat("strong"))):  # type: ignore[misc]
        def invoke(self, *args: Any, **kwargs: Any) -> AIMessage:
            said.append(super().invoke(*args, **kwargs))
            return said[-1]

    said: list[AIMessage] = []
    model = Remembering(**{"model": "strong", "base_url": chat("x").openai_api_base, "api_key": "none"})
    message = make_router(models={"strong": model}, profiles={"strong": {"MMLU": 0.9}}).invoke("Hello")
    assert "routing_decision" in message.response_metadata
    assert "routing_decision" not in said[0].response_metadata


def test_generate_is_recorded_like_invoke(router: ModelSATRouter, recorder: Recorder) -> None:
    result = router.generate([[HumanMessage("Hello")]], callbacks=[recorder], tags=["a"])
    assert result.generations[0][0].text == "this is strong speaking to you"
    check_tree(recorder)


async def test_agenerate_prompt(router: ModelSATRouter, recorder: Recorder) -> None:
    from langchain_core.prompt_values import StringPromptValue

    result = await router.agenerate_prompt([StringPromptValue(text="Hello")], callbacks=[recorder])
    assert result.generations[0][0].text == "this is strong speaking to you"
    check_tree(recorder)


def test_generate_answers_many_with_one_pass(router: ModelSATRouter, fake_scorer: Any) -> None:
    result = router.generate([[HumanMessage("one")], [HumanMessage("two")]])
    assert len(result.generations) == 2
    assert fake_scorer.calls == [["one", "two"]]


def test_nothing_is_generated_by_the_router_itself(router: ModelSATRouter) -> None:
    with pytest.raises(NotImplementedError, match="call invoke"):
        router._generate([HumanMessage("Hello")])


def test_errors_of_the_chosen_model_are_raised_as_they_are(
    router: ModelSATRouter, server: OpenAIServer, recorder: Recorder
) -> None:
    server.failures["strong"] = 500
    with pytest.raises(openai.InternalServerError, match="scripted failure"):
        router.invoke("Hello", {"callbacks": [recorder]})
    assert server.models_called == ["strong"]
    root, selector, model = recorder.runs.values()
    assert isinstance(model["error"], openai.APIError)
    assert root["error"] is model["error"]
    assert selector["error"] is None


def test_in_a_chain(router: ModelSATRouter) -> None:
    chain = (
        ChatPromptTemplate.from_messages([("system", "Be short."), ("user", "{question}")]) | router | StrOutputParser()
    )
    assert chain.invoke({"question": "Why?"}) == "this is strong speaking to you"
    assert "".join(chain.stream({"question": "Why?"})) == "this is strong speaking to you"


async def test_in_a_chain_async(router: ModelSATRouter) -> None:
    chain = ChatPromptTemplate.from_messages([("user", "{question}")]) | router | StrOutputParser()
    assert await chain.ainvoke({"question": "Why?"}) == "this is strong speaking to you"


@pytest.mark.parametrize(
    "messages",
    [
        "Hello",
        [("user", "Hello")],
        [{"role": "user", "content": "Hello"}],
        [HumanMessage("Hello")],
        [HumanMessage([{"type": "text", "text": "Hello"}])],
    ],
)
def test_inputs_of_any_shape(router: ModelSATRouter, fake_scorer: Any, messages: Any) -> None:
    assert router.invoke(messages).text == "this is strong speaking to you"
    assert fake_scorer.calls == [["Hello"]]


def test_stop_is_handed_on_only_where_it_is_given(router: ModelSATRouter, server: OpenAIServer) -> None:
    router.invoke("Hello")
    router.invoke("Hello", stop=["."], temperature=0.5)
    assert "stop" not in server.requests[0]
    assert server.requests[1]["stop"] == ["."]
    assert server.requests[1]["temperature"] == 0.5
