"""LangChain's decision-model interface, which langchain-core has had since 1.8."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

import langchain_modelsat
from modelsat.errors import ConfigurationError, MissingDependencyError, UnknownModelError
from tests.fakes import FakeScorer, make_profile

PRESENT = importlib.util.find_spec("langchain_core.decisions") is not None
needs_decisions = pytest.mark.skipif(not PRESENT, reason="langchain-core 1.8 or later is not installed")


@pytest.mark.skipif(PRESENT, reason="langchain-core is new enough")
def test_what_is_missing_is_said() -> None:
    with pytest.raises(MissingDependencyError, match=r"needs langchain-core 1\.8 or later"):
        _ = langchain_modelsat.ModelSATDecisionModel


def make(**kwargs: Any) -> Any:
    given = {"scorer": FakeScorer({0.9: 0.9, 0.3: 0.3}), "profiles": {"strong": make_profile("s", 0.9)}}
    return langchain_modelsat.ModelSATDecisionModel(**{**given, **kwargs})


def ask(model: Any, criteria: dict[str, Any], state: Any = "Hello") -> Any:
    from langchain_core.decisions import Choice

    question = Choice(instructions="Which model?", criteria=criteria)
    return model.invoke({"state": state, "questions": {"route": question}})


@needs_decisions
@pytest.mark.parametrize(
    "state",
    [
        "Hello",
        HumanMessage("Hello"),
        [HumanMessage("Hello")],
        {"messages": [HumanMessage("Hello")]},
        {"role": "user", "content": "Hello"},
        {"ticket": "Hello"},
    ],
)
def test_it_chooses(state: Any) -> None:
    answer = ask(make(), {"strong": None, "weak": {"MMLU": 0.3}}, state).choices["route"]
    assert answer.choice == "strong"
    assert answer.probabilities == {"strong": pytest.approx(0.9), "weak": pytest.approx(0.3)}
    assert answer.confidence == pytest.approx(0.9)


@needs_decisions
async def test_it_chooses_async() -> None:
    from langchain_core.decisions import Choice

    question = Choice(instructions="Which model?", criteria={"strong": None, "gpt-4o-2024-05-13": None})
    response = await make(scorer=FakeScorer()).ainvoke({"state": "Hello", "questions": {"route": question}})
    assert set(response.choices["route"].probabilities) == {"strong", "gpt-4o-2024-05-13"}


@needs_decisions
def test_a_criterion_may_be_a_profile_or_a_name() -> None:
    profile = make_profile("x", 0.3).model_dump(mode="json")
    answer = ask(make(scorer=FakeScorer()), {"a": profile, "b": "gpt-4o-2024-05-13"}).choices["route"]
    assert set(answer.probabilities) == {"a", "b"}


@needs_decisions
def test_an_unknown_label() -> None:
    with pytest.raises(UnknownModelError, match="the label 'zzz-unheard-of'"):
        ask(make(), {"strong": None, "zzz-unheard-of": "Hard tasks."})


@needs_decisions
def test_a_fallback_has_no_confidence() -> None:
    model = make(scorer=FakeScorer(error=RuntimeError("broken")), fallback="weak")
    answer = ask(model, {"strong": None, "weak": {"MMLU": 0.3}}).choices["route"]
    assert (answer.choice, answer.confidence, answer.probabilities) == ("weak", 0.0, {"strong": 0.0, "weak": 0.0})


@needs_decisions
def test_other_questions() -> None:
    from langchain_core.decisions import Noul

    with pytest.raises(ConfigurationError, match="ask it a Choice"):
        make().invoke({"state": "Hello", "questions": {"q": Noul(instructions="Is it?")}})


@needs_decisions
def test_in_langchains_own_router() -> None:
    middleware = pytest.importorskip("langchain.agents.middleware")
    if not hasattr(middleware, "ModelRouterMiddleware"):
        pytest.skip("langchain 1.5 or later is not installed")
    from langchain.agents import create_agent
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    strong, weak = (GenericFakeChatModel(messages=iter([AIMessage(name)])) for name in ("strong", "weak"))
    with pytest.warns(match="beta"):
        router = middleware.ModelRouterMiddleware(
            choices={
                "strong": middleware.ModelChoice(model=strong, criteria=make_profile("s", 0.9).text()),
                "weak": middleware.ModelChoice(model=weak, criteria={"MMLU": 0.3}),
            },
            instructions="Choose the model that will answer well.",
            classifier=make(),
        )
    state = create_agent(weak, middleware=[router]).invoke({"messages": [HumanMessage("Hello")]})
    assert state["messages"][-1].content == "strong"
    assert state["model_route"].choice == "strong"


@needs_decisions
def test_policy_constraints_and_facts() -> None:
    prices = {
        "strong": {"input_usd_per_mtok": 10, "output_usd_per_mtok": 10, "region": "us"},
        "weak": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "region": "eu"},
    }
    labels = {"strong": None, "weak": {"MMLU": 0.3}}
    cheap = make(policy="cheapest(target=0.2)", facts=prices)
    assert ask(cheap, labels).choices["route"].choice == "weak"
    assert ask(make(facts=prices), labels).choices["route"].choice == "strong"
    inside = ask(make(facts=prices, constraints={"allow_regions": ["eu"]}), labels).choices["route"]
    assert (inside.choice, inside.probabilities["strong"]) == ("weak", 0.0)
