"""The effort that a decision names is the effort that goes over the wire, read off captured bodies."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_modelsat import ModelSATRouter
from tests.fakes import FakeScorer
from tests.openai_server import OpenAIServer

PROFILES = {"fast": {"MMLU": 0.6}, "deep": {"MMLU": 0.9}}


@pytest.fixture
def router(chat: Any, fake_scorer: FakeScorer) -> ModelSATRouter:
    models = {
        "fast": chat("gpt-5.6", reasoning_effort="low"),
        "deep": chat("gpt-5.6", reasoning={"effort": "high"}, use_responses_api=True),
    }
    return ModelSATRouter(models=models, scorer=fake_scorer)


@pytest.mark.parametrize(
    ("route", "field", "sent"), [("fast", "reasoning_effort", "low"), ("deep", "reasoning", {"effort": "high"})]
)
def test_the_effort_of_a_route_goes_over_the_wire(
    router: ModelSATRouter, server: OpenAIServer, route: str, field: str, sent: Any
) -> None:
    router.invoke("Hello", model=route)
    assert server.requests[0][field] == sent
    described = {candidate.name: candidate.effort for candidate in router.selector.router.candidates}
    assert described == {"fast": "low", "deep": "high"}


def test_the_decision_names_the_effort_of_the_chosen_route(router: ModelSATRouter, server: OpenAIServer) -> None:
    decision = router.invoke("Hello").response_metadata["routing_decision"]
    sent = server.requests[0]
    assert decision["effort"] == sent.get("reasoning_effort", (sent.get("reasoning") or {}).get("effort"))


def test_an_effort_that_the_call_sets_is_the_one_that_the_decision_names(
    chat: Any, fake_scorer: FakeScorer, server: OpenAIServer
) -> None:
    models = {name: chat("gpt-5.6", reasoning_effort="low") for name in PROFILES}
    router = ModelSATRouter(models=models, profiles=PROFILES, scorer=fake_scorer)
    decision = router.invoke("Hello", reasoning_effort="high").response_metadata["routing_decision"]
    assert server.requests[0]["reasoning_effort"] == "high" == decision["effort"]
    assert "the call asks for effort high" in " ".join(decision["notes"])
