"""Streams: every token once, closed when the caller stops, and version 3 of the event stream."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream

from langchain_modelsat import ModelSATRouter
from tests.langchain_modelsat.conftest import Recorder
from tests.openai_server import OpenAIServer

TEXT = "this is strong speaking to you"
WORDS = ["this ", "is ", "strong ", "speaking ", "to ", "you"]

beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def test_tokens_come_once(router: ModelSATRouter, recorder: Recorder) -> None:
    chunks = list(router.stream("Hello", {"callbacks": [recorder]}))
    assert [chunk.text for chunk in chunks if chunk.text] == WORDS
    assert [token for token in recorder.tokens if token] == WORDS
    assert chunks[-1].chunk_position == "last"


def test_the_first_chunk_carries_the_decision(router: ModelSATRouter) -> None:
    chunks = list(router.stream("Hello"))
    assert chunks[0].response_metadata["routing_decision"]["model"] == "strong"
    assert sum("routing_decision" in chunk.response_metadata for chunk in chunks) == 1
    total = sum(chunks[1:], start=chunks[0])
    assert total.response_metadata["routing_decision"]["model"] == "strong"
    assert total.response_metadata["model_name"] == "strong"


async def test_tokens_come_once_async(router: ModelSATRouter, recorder: Recorder) -> None:
    chunks = [chunk async for chunk in router.astream("Hello", {"callbacks": [recorder]})]
    assert [chunk.text for chunk in chunks if chunk.text] == WORDS
    assert [token for token in recorder.tokens if token] == WORDS
    assert "routing_decision" in chunks[0].response_metadata


def test_a_stream_that_is_closed_early_closes_the_models(
    router: ModelSATRouter, server: OpenAIServer, recorder: Recorder
) -> None:
    server.chunk_delay_s = 0.05
    stream = router.stream("Hello", {"callbacks": [recorder]})
    assert next(stream) is not None
    stream.close()  # type: ignore[attr-defined]
    assert recorder.ended == ["ModelSATSelector", "ChatOpenAI", "ModelSATRouter"]
    assert server.aborted.wait(5.0), "the connection to the provider is still open"


async def test_a_stream_that_is_closed_early_closes_the_models_async(
    router: ModelSATRouter, server: OpenAIServer, recorder: Recorder
) -> None:
    server.chunk_delay_s = 0.05
    stream: Any = router.astream("Hello", {"callbacks": [recorder]})
    assert await stream.__anext__() is not None
    await stream.aclose()
    assert recorder.ended == ["ModelSATSelector", "ChatOpenAI", "ModelSATRouter"]
    assert server.aborted.wait(5.0), "the connection to the provider is still open"


async def test_a_call_that_is_cancelled_leaves_nothing_behind(
    make_router: Any, server: OpenAIServer, recorder: Recorder, tmp_path: Path
) -> None:
    router = make_router(feedback=str(tmp_path / "feedback.sqlite"))
    server.delays["strong"] = 1.0
    asked = asyncio.ensure_future(router.ainvoke("Hello", {"callbacks": [recorder]}))
    while not server.requests:
        await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert all(run["done"] for run in recorder.runs.values() if run["kind"] == "chain"), "our own runs have ended"
    assert isinstance(recorder.roots[0]["error"], asyncio.CancelledError)
    server.delays.clear()
    assert (await router.ainvoke("Hello")).text == TEXT
    router.feedback.flush()
    state = router.feedback.state
    assert (state.waiting, state.written, state.dropped, state.refused) == (0, 2, 0, 0), "two decisions"
    assert (state.counted, state.drifts) == (0, ()), "nobody's failure"


def test_an_error_in_a_stream_is_raised_as_it_is(router: ModelSATRouter, server: OpenAIServer) -> None:
    server.failures["strong"] = 429
    with pytest.raises(openai.RateLimitError):
        list(router.stream("Hello"))


@pytest.mark.parametrize("disabled", [True, "tool_calling"])
def test_streaming_can_be_switched_off(make_router: Any, server: OpenAIServer, disabled: Any) -> None:
    router = make_router(disable_streaming=disabled)
    runnable = (
        router if disabled is True else router.bind_tools([{"title": "t", "description": "d"}], tool_choice="none")
    )
    (answer,) = list(runnable.stream("Hello"))
    assert answer.text == TEXT
    assert not server.requests[0].get("stream")


async def test_events_of_version_2(router: ModelSATRouter) -> None:
    events = [event async for event in router.astream_events("Hello", version="v2")]
    names = [(event["event"], event["name"]) for event in events]
    assert names.count(("on_chat_model_start", "ChatOpenAI")) == 1
    assert names.count(("on_chain_start", "ModelSATSelector")) == 1
    assert names[0] == ("on_chain_start", "ModelSATRouter")
    assert names[-1] == ("on_chain_end", "ModelSATRouter")
    tokens = [event["data"]["chunk"].text for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(tokens) == TEXT


@beta
def test_events_of_version_3(router: ModelSATRouter, recorder: Recorder) -> None:
    stream = router.stream_events("Hello", {"callbacks": [recorder]}, version="v3")
    assert isinstance(stream, ChatModelStream)
    assert recorder.runs == {}, "a stream that nobody reads starts nothing"
    assert list(stream.text) == WORDS
    assert stream.output.response_metadata["routing_decision"]["model"] == "strong"
    assert stream.output.response_metadata["model_name"] == "strong"
    assert stream.output.usage_metadata is not None
    assert recorder.ended == ["ModelSATSelector", "ChatOpenAI", "ModelSATRouter"]


@beta
async def test_events_of_version_3_async(router: ModelSATRouter, recorder: Recorder) -> None:
    stream = await router.astream_events("Hello", {"callbacks": [recorder]}, version="v3")
    assert isinstance(stream, AsyncChatModelStream)
    assert recorder.runs == {}, "a stream that nobody reads starts nothing"
    assert [delta async for delta in stream.text] == WORDS
    message = await stream
    assert message.response_metadata["routing_decision"]["model"] == "strong"
    assert recorder.ended == ["ModelSATSelector", "ChatOpenAI", "ModelSATRouter"]


@beta
async def test_events_of_version_3_with_two_readers(router: ModelSATRouter) -> None:
    async def text() -> list[str]:
        return [delta async for delta in stream.text]

    stream = await router.astream_events("Hello", version="v3")
    first, second, message = await asyncio.gather(text(), text(), stream)
    assert first == second == WORDS
    assert message.text == TEXT


@beta
async def test_events_of_version_3_closed_early(
    router: ModelSATRouter, server: OpenAIServer, recorder: Recorder
) -> None:
    server.chunk_delay_s = 0.05
    stream = await router.astream_events("Hello", {"callbacks": [recorder]}, version="v3")
    async with stream:
        async for _ in stream.text:
            break
    assert recorder.ended == ["ModelSATSelector", "ChatOpenAI", "ModelSATRouter"]
    assert server.aborted.wait(5.0), "the connection to the provider is still open"
    await stream.aclose()


@beta
async def test_events_of_version_3_never_read(router: ModelSATRouter, recorder: Recorder) -> None:
    async with await router.astream_events("Hello", {"callbacks": [recorder]}, version="v3"):
        pass
    assert recorder.runs == {}


@beta
def test_events_of_version_3_with_tools(router: ModelSATRouter) -> None:
    tools = router.bind_tools([{"title": "add", "description": "d", "properties": {"a": {"type": "integer"}}}])
    stream: Any = tools.stream_events("Add 4", version="v3")
    assert stream.tool_calls.get()[0]["name"] == "add"
    assert stream.output.tool_calls[0]["args"] == {"a": 4}


@beta
async def test_events_of_version_3_raise_the_models_error(
    router: ModelSATRouter, server: OpenAIServer, recorder: Recorder
) -> None:
    server.failures["strong"] = 500
    with pytest.raises(openai.InternalServerError):
        _ = router.stream_events("Hello", {"callbacks": [recorder]}, version="v3").output
    with pytest.raises(openai.InternalServerError):
        await (await router.astream_events("Hello", {"callbacks": [recorder]}, version="v3"))
    assert [isinstance(run["error"], openai.APIError) for run in recorder.roots] == [True, True]


@beta
def test_events_of_version_3_raise_the_routers_error(make_router: Any, recorder: Recorder) -> None:
    from modelsat.errors import ConfigurationError

    config: Any = {"callbacks": [recorder], "configurable": {"modelsat_route": "nobody"}}
    with pytest.raises(ConfigurationError, match="nobody"):
        _ = make_router().stream_events("Hello", config, version="v3").output
    assert isinstance(recorder.roots[0]["error"], ConfigurationError)
