"""Answers that break off: half an answer is a failure, and a fallback answers where nothing was sent yet."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from langchain_modelsat import ModelSATMiddleware, ModelSATRouter
from modelsat.errors import IncompleteAnswerError
from tests.fakes import FakeScorer
from tests.langchain_modelsat.conftest import PROFILES, Recorder
from tests.langchain_modelsat.integration_tests.test_streams import beta
from tests.openai_server import OpenAIServer

OPENAI = {"strong": {"provider": "openai"}}


async def streamed(router: Any, asynchronous: bool) -> list[str]:
    if asynchronous:
        return [chunk.text async for chunk in router.astream("Hello")]
    return [chunk.text for chunk in router.stream("Hello")]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_stream_without_a_reason_to_stop_is_an_error(
    make_router: Any, server: OpenAIServer, recorder: Recorder, asynchronous: bool
) -> None:
    server.cut["strong"] = 3
    router = make_router(facts=OPENAI)
    with pytest.raises(IncompleteAnswerError, match="strong broke off after 8 characters"):
        await streamed(router.with_config(callbacks=[recorder]), asynchronous)
    (run,) = recorder.roots
    assert isinstance(run["error"], IncompleteAnswerError)


async def test_a_route_of_an_unknown_provider_is_held_to_what_it_did_before(
    make_router: Any, server: OpenAIServer
) -> None:
    router = make_router()
    server.cut["strong"] = 3
    assert "".join(await streamed(router, asynchronous=False)) == "this is "
    del server.cut["strong"]
    await streamed(router, asynchronous=False)
    server.cut["strong"] = 3
    with pytest.raises(IncompleteAnswerError):
        await streamed(router, asynchronous=False)


@beta
def test_events_of_version_3_without_a_reason_to_stop(
    make_router: Any, server: OpenAIServer, recorder: Recorder
) -> None:
    server.cut["strong"] = 3
    router = make_router(facts=OPENAI)
    stream = router.stream_events("Hello", {"callbacks": [recorder]}, version="v3")
    with pytest.raises(IncompleteAnswerError):
        _ = stream.output
    assert isinstance(recorder.roots[0]["error"], IncompleteAnswerError)
    del server.cut["strong"]
    assert router.stream_events("Hello", version="v3").output.text == "this is strong speaking to you"


@beta
async def test_asynchronous_events_of_version_3_without_a_reason_to_stop(
    make_router: Any, server: OpenAIServer, recorder: Recorder
) -> None:
    server.cut["strong"] = 3
    stream = await make_router(facts=OPENAI).astream_events("Hello", {"callbacks": [recorder]}, version="v3")
    with pytest.raises(IncompleteAnswerError):
        await stream
    assert isinstance(recorder.roots[0]["error"], IncompleteAnswerError)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_the_fallback_answers_where_nothing_was_sent_yet(
    make_router: Any, chat: Any, server: OpenAIServer, asynchronous: bool
) -> None:
    server.cut["strong"] = 1  # the role alone
    safe = make_router(facts=OPENAI).with_fallbacks([chat("spare")])
    assert "".join(await streamed(safe, asynchronous)) == "this is spare speaking to you"


def test_an_agent_falls_back_from_half_an_answer(chat: Any, server: OpenAIServer, fake_scorer: FakeScorer) -> None:
    server.cut["strong"] = 3
    models = [chat(name, streaming=True) for name in PROFILES]
    routing = ModelSATMiddleware(models, profiles=PROFILES, scorer=fake_scorer, facts=OPENAI)
    agent = create_agent(chat("unused"), middleware=[ModelFallbackMiddleware(chat("spare")), routing])
    state = agent.invoke({"messages": [("user", "Hello")]})
    assert state["messages"][-1].text == "this is spare speaking to you"


def test_models_that_never_say_why_they_end_are_left_alone(fake_scorer: FakeScorer) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("one two"), AIMessage("three four")]))
    router = ModelSATRouter(models={"quiet": model}, profiles={"quiet": {"MMLU": 0.5}}, scorer=fake_scorer)
    assert "".join(chunk.text for chunk in router.stream("Hello")) == "one two"
    assert router.invoke("Hello").text == "three four"
