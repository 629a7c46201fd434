"""The effort is part of the candidate: that of ``litellm_params``, and those among which modelsat chooses."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from litellm_modelsat import handler
from litellm_modelsat.deployments import id_of, once, read_deployment, read_deployments, real_id, spread, whole
from litellm_modelsat.membership import Membership
from litellm_modelsat.settings import GroupSettings, validated
from modelsat.candidates import Candidate
from modelsat.errors import ConfigurationError
from tests.litellm_modelsat.conftest import HEART, NUMBER_THEORY, deployment
from tests.litellm_modelsat.proxies import Proxy
from tests.litellm_modelsat.test_sdk import Make, make, turn, weights
from tests.litellm_modelsat.test_walk import reported
from tests.openai_server import OpenAIServer

# What LiteLLM and its clients warn about is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")
__all__ = ["make", "weights"]
MODEL = "openai/gpt-5-mini"


def test_the_effort_of_a_deployment_is_part_of_its_candidate() -> None:
    known = Membership("smart", GroupSettings(), "mean", "groups.smart")

    def made(**params: object) -> Candidate:
        entry = {"model_name": "smart", "litellm_params": {"model": "openai/gpt-5.6", **params}}
        found = known.candidate(read_deployment(entry, "model_list[0]"))
        assert found is not None
        return found

    low, high, plain = made(reasoning_effort="low"), made(thinking={"type": "enabled", "budget_tokens": 16_000}), made()
    assert [c.name for c in (low, high, plain)] == ["openai/gpt-5.6@low", "openai/gpt-5.6@high", "openai/gpt-5.6"]
    assert [c.effort for c in (low, high, plain)] == ["low", "high", ""]
    assert low.profile.digest != high.profile.digest
    assert low.facts.input_usd_per_mtok == plain.facts.input_usd_per_mtok


def test_a_deployment_that_nobody_has_measured_is_estimated_if_that_is_wanted() -> None:
    entry = {"model_name": "smart", "litellm_params": {"model": "openai/gpt-6.7"}}
    deployment = read_deployment(entry, "model_list[0]")
    assert Membership("smart", GroupSettings(), "mean", "groups.smart").candidate(deployment) is None
    found = Membership("smart", GroupSettings(), "estimate", "groups.smart").candidate(deployment)
    assert found is not None
    assert found.profile.estimated_from[0].startswith("gpt-")


def thinking(url: str, efforts: Any = ("low", "high"), model: str = MODEL, **said: Any) -> dict[str, Any]:
    return deployment(url, "smart", model, {"efforts": list(efforts), **said}, {"id": "thinker"})


def test_a_deployment_with_efforts_is_several_candidates() -> None:
    known, named = thinking("x"), thinking("x", name="quick", benchmarks={"MMLU": 0.8})
    for entry, name in ((known, MODEL), (named, "quick")):
        low, high = map(Membership("smart", GroupSettings(), "mean", "g").candidate, read_deployments([entry]))
        assert low is not None
        assert high is not None
        assert (low.name, low.effort, high.name, high.effort) == (f"{name}@low", "low", f"{name}@high", "high")
        assert low.profile.digest != high.profile.digest


def test_litellm_sees_one_deployment() -> None:
    entries = [thinking("x"), deployment("x", "smart", "openai/gpt-4o", info={"id": "other"})]
    several = spread(entries)
    assert [real_id(id_of(entry)) for entry in several] == ["thinker", "thinker", "other"]
    assert len({id_of(entry) for entry in several}) == 3
    assert whole(several[1:], entries) == entries
    assert whole(several[2:], entries) == entries[1:]
    assert once(several) == [several[0], several[2]]
    assert [entry["litellm_params"].get("reasoning_effort") for entry in spread(entries, "medium")] == ["high", None]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (thinking("x", ["loud"]), "'loud' is not a reasoning effort; known: none, minimal, low"),
        (thinking("x", []), "efforts"),
        (thinking("x", model="openai/gpt-4o"), "LiteLLM knows of no reasoning_effort 'low' for 'openai/gpt-4o'"),
        (
            deployment("x", "smart", MODEL, {"efforts": ["low"]}, reasoning_effort="high"),
            "litellm_params ask for effort 'high' already",
        ),
    ],
)
def test_a_mistake_about_efforts_is_told(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read_deployments([entry])


def test_efforts_are_the_deployments_to_say() -> None:
    with pytest.raises(ConfigurationError, match=r"models: write 'efforts' under model_info.modelsat"):
        validated(GroupSettings, {"models": {MODEL: {"efforts": ["low"]}}}, "groups.smart")


@pytest.mark.parametrize(("policy", "effort"), [("best", "high"), ("cheapest(target=0)", "low")])
async def test_the_request_carries_the_effort(make: Make, server: OpenAIServer, policy: str, effort: str) -> None:
    router, strategy = make([thinking(server.url)], policy=policy)
    await router.acompletion(model="smart", messages=turn(NUMBER_THEORY))
    router.completion(model="smart", messages=turn(NUMBER_THEORY))
    stream = await router.acompletion(model="smart", messages=turn(NUMBER_THEORY), stream=True)
    assert [chunk async for chunk in stream]
    await router.aanthropic_messages(model="smart", messages=turn(NUMBER_THEORY), max_tokens=4_000)
    await router.aresponses(model="smart", input=NUMBER_THEORY)
    assert [asked_for(request) for request in server.requests] == [effort] * 5
    await reported(strategy, 5)
    assert strategy.service.metrics.outcomes == {("smart", "carried_out"): 5}


def asked_for(request: dict[str, Any]) -> Any:
    """The effort in a request to OpenAI, chat or Responses API."""
    return request.get("reasoning_effort") or (request.get("reasoning") or {}).get("effort")


@pytest.mark.parametrize(("policy", "more"), [("best", True), ("cheapest(target=0)", False)])
async def test_the_effort_is_spelt_as_its_provider_does(
    make: Make, server: OpenAIServer, policy: str, more: bool
) -> None:
    base = server.url.removesuffix("/v1")
    models = [thinking(base, model="anthropic/claude-sonnet-4-5")]
    router, _ = make(models, policy=policy, router={"num_retries": 0})
    with contextlib.suppress(Exception):  # The provider here answers as OpenAI does.
        await router.acompletion(model="smart", messages=turn(NUMBER_THEORY))
    [request] = server.requests
    assert "reasoning_effort" not in request
    assert request["thinking"]["type"] == "enabled"
    assert (request["thinking"]["budget_tokens"] > 2_000) is more


async def test_a_request_keeps_the_effort_that_it_asks_for(make: Make, server: OpenAIServer) -> None:
    router, strategy = make([thinking(server.url)])
    asked = {"model": "smart", "messages": turn(NUMBER_THEORY), "reasoning_effort": "minimal"}
    await router.acompletion(**asked)
    router.completion(**asked)
    assert [request["reasoning_effort"] for request in server.requests] == ["minimal", "minimal"]
    await reported(strategy, 2)
    assert strategy.service.metrics.outcomes == {("smart", "carried_out"): 2}


async def test_what_fails_at_one_effort_is_not_tried_at_another(make: Make, server: OpenAIServer) -> None:
    models = [thinking(server.url), deployment(server.url, "smart", "openai/gpt-3.5-turbo", info={"id": "other"})]
    router, strategy = make(models, router={"num_retries": 1, "disable_cooldowns": True})
    server.failures = {"gpt-5-mini": 500}
    asked = {"model": "smart", "messages": turn(NUMBER_THEORY)}
    assert (await router.acompletion(**asked)).model == "gpt-3.5-turbo"
    assert router.completion(**asked).model == "gpt-3.5-turbo"
    assert server.models_called == ["gpt-5-mini", "gpt-3.5-turbo"] * 2
    await reported(strategy, 2)
    assert strategy.service.metrics.outcomes == {("smart", "lower_ranked"): 2}


async def test_a_conversation_keeps_its_effort(make: Make, server: OpenAIServer) -> None:
    router, _ = make([thinking(server.url)], policy="sticky(tradeoff(value_per_success=0.0005), min_gain=1.0)")
    session = {"metadata": {"session_id": "s-1"}}
    efforts = set()
    for prompt in ("Hi!", NUMBER_THEORY, HEART):
        await router.acompletion(model="smart", messages=turn(prompt), **session)
        efforts.add(server.requests[-1]["reasoning_effort"])
    assert len(efforts) == 1


async def test_an_effort_that_is_not_sent_is_a_decision_not_carried_out(
    make: Make, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "send_efforts", lambda: None)
    router, strategy = make([thinking(server.url)])
    await router.acompletion(model="smart", messages=turn(NUMBER_THEORY))
    await reported(strategy, 1)
    assert strategy.service.metrics.outcomes == {("smart", "ignored"): 1}


@pytest.mark.parametrize(("group", "effort"), [("thinking", "high"), ("thrifty", "low")])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": turn(NUMBER_THEORY)}),
        ("/v1/responses", {"input": NUMBER_THEORY}),
        ("/v1/messages", {"messages": turn(NUMBER_THEORY), "max_tokens": 4_000, "thinking": {"type": "adaptive"}}),
    ],
)
def test_the_proxy_sends_the_effort_and_says_so(
    proxy: Proxy, server: OpenAIServer, group: str, effort: str, path: str, body: dict[str, Any]
) -> None:
    response = proxy.post(path, {"model": group, **body})
    assert response.status_code == 200, response.text
    assert response.headers["x-modelsat-model"] == f"{MODEL}@{effort}"
    assert [asked_for(request) for request in server.requests] == [effort]
    [line] = proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    assert line["chosen"] == line["answered"] == f"{MODEL}@{effort}"
    assert (line["effort"], line["outcome"]) == (effort, "carried_out")
    assert line["deployment"] == response.headers["x-litellm-model-id"]
