"""Forced routes, fallbacks, and options that are set at run time."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from langchain_core.runnables import ConfigurableField

from langchain_modelsat import ROUTE_KEY, ModelSATRouter
from modelsat.errors import ConfigurationError, InvalidRequestError, RoutingError, ScoringError
from modelsat.policies import Choice
from modelsat.router import Router
from tests.fakes import FakeScorer
from tests.openai_server import OpenAIServer


def test_a_route_is_forced_by_config(router: ModelSATRouter, fake_scorer: FakeScorer) -> None:
    message = router.invoke("Hello", {"configurable": {ROUTE_KEY: "weak"}})
    assert message.response_metadata["model_name"] == "weak"
    decision = message.response_metadata["routing_decision"]
    assert (decision["model"], decision["policy"]) == ("weak", "forced")
    assert fake_scorer.calls == []


async def test_a_route_is_forced_by_config_async(router: ModelSATRouter) -> None:
    config: Any = {"configurable": {ROUTE_KEY: "weak"}}
    assert (await router.ainvoke("Hello", config)).response_metadata["model_name"] == "weak"
    chunks = [chunk async for chunk in router.astream("Hello", config)]
    assert chunks[0].response_metadata["routing_decision"]["model"] == "weak"


def test_a_route_is_forced_by_its_name(router: ModelSATRouter) -> None:
    assert router.invoke("Hello", model="weak").response_metadata["model_name"] == "weak"
    assert router.bind(model="weak").batch(["Hello"])[0].response_metadata["model_name"] == "weak"


def test_another_model_name_is_handed_on(router: ModelSATRouter, server: OpenAIServer) -> None:
    router.invoke("Hello", model="strong-2026")
    assert server.models_called == ["strong-2026"]


def test_an_unknown_route(router: ModelSATRouter) -> None:
    with pytest.raises(ConfigurationError, match="'nobody' is not a candidate; there are: strong, middling, weak"):
        router.invoke("Hello", {"configurable": {ROUTE_KEY: "nobody"}})


def test_the_forced_route_is_announced(router: ModelSATRouter) -> None:
    assert [spec.id for spec in router.config_specs] == [ROUTE_KEY]
    assert [spec.id for spec in (router | str).config_specs] == [ROUTE_KEY]


def test_a_router_among_the_candidates_decides_for_itself(make_router: Any, chat: Any) -> None:
    inner = make_router()
    outer = make_router(
        models={"strong": chat("lonely"), "inner": inner}, profiles={"strong": {"MMLU": 0.3}, "inner": {"MMLU": 0.9}}
    )
    assert outer.invoke("Hello", {"configurable": {ROUTE_KEY: "inner"}}).response_metadata["model_name"] == "strong"


def test_a_fallback_answers_when_routing_fails(make_router: Any, caplog: pytest.LogCaptureFixture) -> None:
    router = make_router(scorer=FakeScorer(error=RuntimeError("broken")), fallback="weak")
    message = router.invoke("Hello")
    assert message.response_metadata["model_name"] == "weak"
    decision = message.response_metadata["routing_decision"]
    assert decision["fallback"] is True
    assert decision["failure"] == {"kind": "RuntimeError", "message": "routing failed: RuntimeError: broken"}
    assert "fell back to weak" in caplog.text


def test_a_fallback_that_is_not_a_candidate(make_router: Any) -> None:
    with pytest.raises(ConfigurationError, match="fallback='nobody' is not a route; there are: strong"):
        make_router(fallback="nobody")


@pytest.mark.parametrize("options", [{}, {"fallback": "weak", "strict": True}])
def test_without_a_fallback_it_raises(make_router: Any, options: dict[str, Any]) -> None:
    with pytest.raises(RoutingError, match="broken"):
        make_router(scorer=FakeScorer(error=RuntimeError("broken")), **options).invoke("Hello")
    with pytest.raises(ScoringError):
        make_router(scorer=FakeScorer(transform=lambda scores: scores * float("nan")), **options).invoke("Hello")
    with pytest.raises(InvalidRequestError):
        make_router(**options).invoke("")


def test_fallbacks_for_errors_of_the_chosen_model(router: ModelSATRouter, chat: Any, server: OpenAIServer) -> None:
    server.failures["strong"] = 500
    safe = router.with_fallbacks([chat("spare")])
    assert safe.invoke("Hello").response_metadata["model_name"] == "spare"
    assert "".join(chunk.text for chunk in safe.stream("Hello")) == "this is spare speaking to you"
    assert server.models_called == ["strong", "spare", "strong", "spare"]


def test_fallbacks_with_tools(router: ModelSATRouter, chat: Any, server: OpenAIServer) -> None:
    server.failures["strong"] = 500
    safe: Any = router.with_fallbacks([chat("spare")]).bind_tools(
        [{"title": "add", "description": "d", "properties": {}}]
    )
    assert safe.invoke("Add").response_metadata["model_name"] == "spare"


async def test_fallbacks_async(router: ModelSATRouter, chat: Any, server: OpenAIServer) -> None:
    server.failures["strong"] = 500
    safe = router.with_fallbacks([chat("spare")], exceptions_to_handle=(openai.InternalServerError,))
    assert (await safe.ainvoke("Hello")).response_metadata["model_name"] == "spare"


def test_retries(router: ModelSATRouter, server: OpenAIServer) -> None:
    server.failures["strong"] = 500
    with pytest.raises(openai.InternalServerError):
        router.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke("Hello")
    assert server.models_called == ["strong", "strong"]


class Worst:
    name = "worst"

    def choose(self, scored: Any, request: Any = None) -> Choice:
        return Choice(scored[-1].name, "the worst")


def test_the_policy_is_set_at_run_time(make_router: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Router] = []
    monkeypatch.setattr("langchain_modelsat.selector.Router", lambda *given: made.append(Router(*given)) or made[-1])
    router = make_router().configurable_fields(policy=ConfigurableField(id="policy"))
    worst = Worst()
    config: Any = {"configurable": {"policy": worst}}
    assert router.invoke("Hello").response_metadata["model_name"] == "strong"
    assert router.invoke("Hello", config).response_metadata["model_name"] == "weak"
    assert len(made) == 2
    for _ in range(3):
        assert router.invoke("Hello", config).response_metadata["model_name"] == "weak"
    assert len(made) == 2, "the same options must not be prepared again"
