"""Batches: one forward pass for all, a run for each."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from langchain_modelsat import ModelSATRouter
from modelsat.errors import InvalidRequestError
from tests.fakes import FakeScorer
from tests.langchain_modelsat.conftest import Recorder
from tests.openai_server import OpenAIServer

PROMPTS = ["one", "two", "three"]


def test_one_pass_for_all(router: ModelSATRouter, fake_scorer: FakeScorer, recorder: Recorder) -> None:
    messages = router.batch(PROMPTS, {"callbacks": [recorder]})
    assert fake_scorer.calls == [PROMPTS]
    assert [message.text for message in messages] == ["this is strong speaking to you"] * 3
    assert len(recorder.roots) == 3
    assert all(
        [child["name"] for child in recorder.children(root)] == ["ModelSATSelector", "ChatOpenAI"]
        for root in recorder.roots
    )
    assert len({message.response_metadata["routing_decision"]["id"] for message in messages}) == 3


async def test_one_pass_for_all_async(router: ModelSATRouter, fake_scorer: FakeScorer, recorder: Recorder) -> None:
    messages = await router.abatch(PROMPTS, {"callbacks": [recorder], "max_concurrency": 2})
    assert fake_scorer.calls == [PROMPTS]
    assert len(messages) == len(recorder.roots) == 3


def test_answers_stand_in_the_order_of_their_questions(make_router: Any) -> None:
    router = make_router(scorer=FakeScorer())
    decided = [decision.model for decision in router.selector.batch(PROMPTS)]
    assert len(set(decided)) > 1, "the test wants prompts that go different ways"
    assert [message.response_metadata["model_name"] for message in router.batch(PROMPTS)] == decided


def test_routes_are_forced_one_by_one(router: ModelSATRouter, fake_scorer: FakeScorer) -> None:
    configs: Any = [{}, {"configurable": {"modelsat_route": "weak"}}, {}]
    messages = router.batch(PROMPTS, configs)
    assert [message.response_metadata["model_name"] for message in messages] == ["strong", "weak", "strong"]
    assert fake_scorer.calls == [["one", "three"]]


def test_nothing_and_one(router: ModelSATRouter, fake_scorer: FakeScorer) -> None:
    assert router.batch([]) == []
    assert fake_scorer.calls == []
    assert len(router.batch(["one"])) == 1


async def test_nothing_async(router: ModelSATRouter) -> None:
    assert await router.abatch([]) == []


def test_exceptions_can_be_returned(router: ModelSATRouter, server: OpenAIServer, recorder: Recorder) -> None:
    server.failures["weak"] = 500
    configs: Any = [{"callbacks": [recorder]}, {"configurable": {"modelsat_route": "weak"}}, {}]
    outcomes = router.batch(["one", "two", ""], configs, return_exceptions=True)
    assert outcomes[0].text
    assert isinstance(outcomes[1], openai.InternalServerError)
    assert isinstance(outcomes[2], InvalidRequestError)


async def test_exceptions_can_be_returned_async(router: ModelSATRouter) -> None:
    outcomes = await router.abatch(["one", ""], return_exceptions=True)
    assert outcomes[0].text
    assert isinstance(outcomes[1], InvalidRequestError)
    with pytest.raises(InvalidRequestError):
        await router.abatch(["one", ""])


def test_exceptions_are_raised(router: ModelSATRouter) -> None:
    with pytest.raises(InvalidRequestError):
        router.batch(["one", ""])


async def test_many_at_once(make_router: Any) -> None:
    router = make_router(scorer=FakeScorer())
    prompts = [f"question {number}" for number in range(40)]
    expected = [decision.model for decision in await router.selector.abatch(prompts)]
    messages = await asyncio.gather(*(router.ainvoke(prompt) for prompt in prompts))
    assert [message.response_metadata["model_name"] for message in messages] == expected
