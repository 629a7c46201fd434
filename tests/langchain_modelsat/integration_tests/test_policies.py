"""Policies, constraints and what a call asks for, on real clients; one policy file decides alike everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from pydantic import BaseModel
from typer.testing import CliRunner

from langchain_modelsat import ModelSATMiddleware
from modelsat.capability import CapabilityProfile, save_profiles
from modelsat.errors import ConfigurationError, NoCandidateError
from modelsat.policies.resolve import PolicyFile
from modelsat.request import Constraints, RequestContext
from modelsat.router import Router
from tests.fakes import FakeScorer
from tests.langchain_modelsat.conftest import PROFILES

FACTS = {
    "weak": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.2, "abilities": {"tools": False, "vision": False}},
    "middling": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "abilities": ["tools", "vision"], "region": "eu"},
    "strong": {"input_usd_per_mtok": 10, "output_usd_per_mtok": 20, "abilities": ["tools"], "region": "us"},
}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


@pytest.fixture
def route(make_router: Any) -> Any:
    """The candidate that answers, of a router with facts."""

    def answer(message: Any = "Hello", config: Any = None, bound: Any = None, **options: Any) -> str:
        router = make_router(facts=FACTS, **options)
        runnable = bound(router) if bound else router
        return runnable.invoke(message, config).response_metadata["routing_decision"]["model"]  # type: ignore[no-any-return]

    return answer


def test_policies_and_constraints(route: Any) -> None:
    assert route(policy="cheapest(target=0.5)") == "middling"
    assert route(policy={"name": "cheapest", "target": 0.2}) == "weak"
    assert route(constraints={"deny_models": ["strong"]}) == "middling"
    assert route(constraints=Constraints(allow_regions=["eu"])) == "middling"


def test_what_a_call_asks_for_becomes_needs(route: Any) -> None:
    cheap = {"policy": "cheapest(target=0.1)"}
    assert route(**cheap) == "weak"
    assert route(bound=lambda router: router.bind_tools([add]), **cheap) == "middling"
    assert route([HumanMessage([{"type": "text", "text": "What is this?"}, IMAGE])], **cheap) == "middling"
    assert route(bound=lambda router: router.bind(max_tokens=10), **cheap) == "weak"


def test_an_image_is_not_counted_as_text(make_router: Any) -> None:
    message = HumanMessage([{"type": "text", "text": "What is this?"}, IMAGE])
    decision = make_router(facts=FACTS).selector.invoke([message])
    assert decision.tokens["prompt"] < 1_100
    assert set(decision.excluded) == {"weak", "strong"}


def test_a_schema_needs_what_its_method_says(make_router: Any) -> None:
    facts = {**FACTS, "weak": {"abilities": {"tools": False, "json_schema": True}}}
    router = make_router(facts=facts)
    by_schema = router.with_structured_output(Joke, method="json_schema", include_raw=True).invoke("A joke")
    assert by_schema["raw"].response_metadata["routing_decision"]["model"] == "weak"
    freely = router.with_structured_output(Joke, include_raw=True).invoke("A joke")
    assert freely["raw"].response_metadata["routing_decision"]["model"] == "strong"
    unable = make_router(facts={"strong": {"abilities": {"tools": False, "json_schema": False}}})
    decision = unable.with_structured_output(Joke, include_raw=True).invoke("A joke")["raw"].response_metadata
    assert decision["routing_decision"]["model"] == "middling"
    assert decision["routing_decision"]["excluded"] == {
        "strong": {"kind": "ability", "reason": "can neither answer in a schema nor call tools"}
    }


def test_the_thread_of_the_config_is_the_conversation(make_router: Any) -> None:
    scorer = FakeScorer({0.3: 0.3, 0.6: 0.6, 0.9: 0.62})
    router = make_router(policy="sticky(best, min_gain=0.1)", scorer=scorer)
    thread: Any = {"configurable": {"thread_id": "a"}}

    def answered(text: str, config: Any) -> str:
        return router.invoke(text, config).response_metadata["routing_decision"]["model"]  # type: ignore[no-any-return]

    assert answered("Hello", thread) == "strong"
    scorer.scripted[0.6] = 0.7
    assert answered("Hello again", thread) == "strong"
    assert answered("Hello again", {"configurable": {"thread_id": "b"}}) == "middling"
    assert answered("Hello again", None) == "middling"
    scorer.scripted[0.6] = 0.75
    decision = router.invoke("Hello once more", thread).response_metadata["routing_decision"]
    assert (decision["model"], decision["thread"]) == ("middling", "a")


def test_sticky_state_survives_a_policy_set_at_run_time(make_router: Any) -> None:
    scorer = FakeScorer({0.3: 0.3, 0.6: 0.6, 0.9: 0.62})
    router = make_router(scorer=scorer).configurable_fields(policy=ConfigurableField(id="policy"))
    config: Any = {"configurable": {"policy": "sticky(best)", "thread_id": "a"}}
    assert router.invoke("Hello", config).response_metadata["model_name"] == "strong"
    scorer.scripted[0.6] = 0.64
    assert router.invoke("Hello", config).response_metadata["model_name"] == "strong"


def test_residency_reads_the_metadata_of_the_config(make_router: Any) -> None:
    rule = {"key": "tenant", "value": "bank", "regions": ["eu"]}
    router = make_router(facts=FACTS, constraints={"residency": [rule]})
    assert router.invoke("Hello").response_metadata["model_name"] == "strong"
    bank = router.invoke("Hello", {"metadata": {"tenant": "bank"}}).response_metadata["routing_decision"]
    assert bank["model"] == "middling"
    assert "stay in eu, and its region is us" in bank["excluded"]["strong"]["reason"]


def test_constraints_of_one_request(make_router: Any) -> None:
    selector = make_router(facts=FACTS).selector
    context = RequestContext(constraints=Constraints(deny_models=["strong"]))
    assert selector.invoke("Hello", context=context).model == "middling"
    assert [decision.model for decision in selector.batch(["a", "b"], context=context)] == ["middling"] * 2


def test_nobody_left_is_an_error_and_nobody_able_is_the_fallback(make_router: Any) -> None:
    nobody = {"allow_regions": ["mars"]}
    with pytest.raises(NoCandidateError, match="strong: region us is not among the allowed"):
        make_router(facts=FACTS, constraints=nobody).invoke("Hello")
    with pytest.raises(NoCandidateError, match="weak: region is unknown, and only some are allowed"):
        make_router(facts=FACTS, constraints=nobody, fallback="weak").selector.invoke("Hello")
    blind = {name: {"abilities": {"vision": False}} for name in ("strong", "middling", "weak")}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    decision = make_router(facts=blind, fallback="weak").selector.invoke(
        [HumanMessage([{"type": "text", "text": "What is it?"}, image])]
    )
    assert (decision.model, decision.fallback) == ("weak", True)
    assert decision.notes == (
        "the fallback weak is itself unable: cannot do vision (the conversation holds an image part)",
    )
    assert set(decision.excluded) == {"middling", "strong"}


def test_missing_prices_are_told_when_the_router_is_made(make_router: Any) -> None:
    with pytest.raises(ConfigurationError, match="no price is known for strong, middling, weak"):
        make_router(policy="cheapest")


def test_middleware_sees_the_tools_of_a_call(chat: Any, fake_scorer: FakeScorer) -> None:
    middleware = ModelSATMiddleware(
        [chat(name) for name in PROFILES],
        decide="call",
        profiles=PROFILES,
        policy="cheapest(target=0.1)",
        facts=FACTS,
        scorer=fake_scorer,
    )
    agent = create_agent(chat("unused"), tools=[add], system_prompt="Be brief.", middleware=[middleware])
    messages = agent.invoke({"messages": [("user", "Add 4")]})["messages"]  # type: ignore[list-item]
    assert messages[-1].response_metadata["routing_decision"]["model"] == "middling"


def test_one_policy_file_decides_alike_in_langchain_the_router_and_the_shell(
    make_router: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.json"
    PolicyFile(policy="cheapest(target=0.55)", constraints={"deny_models": ["nobody"]}).save(path)
    profiles = [CapabilityProfile.from_benchmarks(name, figures) for name, figures in PROFILES.items()]
    save_profiles(profiles, tmp_path / "profiles.json")
    (tmp_path / "facts.json").write_text(json.dumps(FACTS), "utf-8")
    monkeypatch.setattr("modelsat.inference.load_scorer", lambda *_args, **_options: FakeScorer())
    langchain = make_router(policy=path, facts=FACTS, scorer=FakeScorer()).selector
    router = Router(profiles, policy=str(path), facts=FACTS, scorer=FakeScorer())
    from modelsat.cli import app

    options = ["--profiles", "profiles.json", "--facts", "facts.json", "--policy", "policy.json", "--json"]
    monkeypatch.chdir(tmp_path)
    chosen = set()
    for number in range(12):
        prompt = f"prompt {number}"
        shell = json.loads(CliRunner().invoke(app, ["route", prompt, *options]).stdout)
        for decision in (langchain.invoke(prompt), router.route(prompt)):
            assert decision.model == shell["model"]
            assert decision.scores == shell["scores"]
            assert decision.costs == shell["costs"]
            assert decision.reason == shell["reason"]
            assert decision.versions["profiles"] == shell["versions"]["profiles"]
        chosen.add(shell["model"])
    assert len(chosen) > 1


def test_every_way_in_takes_the_weights_that_a_policy_file_was_fitted_to(
    chat: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain_core.decisions")
    from langchain_core.decisions import Choice

    from langchain_modelsat import ModelSATDecisionModel, ModelSATRouter
    from litellm_modelsat.settings import Settings
    from modelsat.cli import app
    from modelsat.server import ServerSettings

    shipped = [Path("modelsat-mini"), Path("modelsat-nano")]
    monkeypatch.setattr("modelsat.storage.checkpoint.shipped_folders", lambda: shipped)
    path = str(tmp_path / "policy.json")
    PolicyFile(policy="best", fitted={"weights": "modelsat-mini@1"}).save(path)
    models = {name: chat(name) for name in PROFILES}
    loaded: list[str] = []

    def load(weights: Any, *_args: Any, **_options: Any) -> FakeScorer:
        loaded.append(str(weights))
        return FakeScorer(version=f"{weights}@1")

    monkeypatch.setattr("modelsat.inference.load_scorer", load)
    ModelSATRouter(models, profiles=PROFILES, policy=path).selector.invoke("Hello")
    ModelSATMiddleware(models, profiles=PROFILES, policy=path).router.selector.invoke("Hello")
    asked = {"model": Choice(instructions="Who?", criteria=dict.fromkeys(["gpt-4o", "gpt-4"], ""))}
    deciding = ModelSATDecisionModel(policy=path)
    deciding.invoke({"state": "Hello", "questions": asked})
    shell = ["Hello", "--models", "gpt-4o,gpt-4", "--policy", path, "--json"]
    for command in ("route", "explain"):
        assert CliRunner().invoke(app, [command, *shell]).exit_code == 0
    assert loaded == ["modelsat-mini"] * 6, "explain loads once to decide and once to explain"
    assert deciding.model == "modelsat-mini"
    assert ServerSettings.of({"candidates": ["gpt-4o"], "policy": path}).network == "modelsat-mini"
    assert Settings(groups={"chat": {"policy": path}}).network == "modelsat-mini"
    assert ModelSATDecisionModel().model == ServerSettings.of({"candidates": ["gpt-4o"]}).network == "modelsat-nano"
