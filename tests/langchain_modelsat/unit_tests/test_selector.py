"""The decision by itself."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate

from langchain_modelsat import ROUTE_KEY, ModelSATSelector
from modelsat.errors import ConfigurationError, InvalidRequestError
from modelsat.request import Exclusion, RequestContext
from modelsat.router.router import Router
from tests.fakes import FakeScorer
from tests.langchain_modelsat.conftest import Recorder

TOO_DEAR = RequestContext(excluded={"strong": Exclusion("policy", "too dear")})


@pytest.fixture
def selector(profiles: Any, fake_scorer: FakeScorer) -> ModelSATSelector:
    return ModelSATSelector(router=Router(profiles, scorer=fake_scorer))


def test_it_decides(selector: ModelSATSelector, recorder: Recorder) -> None:
    decision = selector.invoke([HumanMessage("Hello")], {"callbacks": [recorder]})
    assert (decision.model, decision.score) == ("strong", pytest.approx(0.9))
    (run,) = recorder.roots
    assert run["name"] == "ModelSATSelector"
    assert run["output"] == decision


async def test_it_decides_async(selector: ModelSATSelector) -> None:
    assert (await selector.ainvoke("Hello")).model == "strong"


def test_in_a_chain(selector: ModelSATSelector) -> None:
    chain = ChatPromptTemplate.from_messages([("user", "{q}")]) | selector | (lambda decision: decision.model)
    assert chain.invoke({"q": "Hello"}) == "strong"
    assert [spec.id for spec in chain.config_specs] == [ROUTE_KEY]


def test_candidates_can_be_left_out(selector: ModelSATSelector) -> None:
    decision = selector.invoke("Hello", context=TOO_DEAR)
    assert (decision.model, decision.excluded) == ("middling", TOO_DEAR.excluded)


def test_a_batch_is_one_pass(selector: ModelSATSelector, fake_scorer: FakeScorer, recorder: Recorder) -> None:
    decisions = selector.batch(["one", "two"], {"callbacks": [recorder]}, context=TOO_DEAR)
    assert [decision.model for decision in decisions] == ["middling", "middling"]
    assert fake_scorer.calls == [["one", "two"]]
    assert len(recorder.roots) == 2


async def test_a_batch_is_one_pass_async(selector: ModelSATSelector, fake_scorer: FakeScorer) -> None:
    configs: Any = [{}, {"configurable": {ROUTE_KEY: "weak"}}, {}]
    decisions = await selector.abatch(["one", "two", "three"], configs)
    assert [decision.model for decision in decisions] == ["strong", "weak", "strong"]
    assert fake_scorer.calls == [["one", "three"]]


def test_one_that_fails_does_not_take_the_others_with_it(selector: ModelSATSelector) -> None:
    outcomes = selector.batch(["one", ""], return_exceptions=True)
    assert outcomes[0].model == "strong"
    assert isinstance(outcomes[1], InvalidRequestError)
    with pytest.raises(InvalidRequestError):
        selector.batch(["one", ""])


def test_an_unknown_route_in_a_batch(selector: ModelSATSelector) -> None:
    outcomes = selector.batch(["one"], {"configurable": {ROUTE_KEY: "nobody"}}, return_exceptions=True)
    assert isinstance(outcomes[0], ConfigurationError)


def test_the_fallback_can_be_forced(profiles: Any, fake_scorer: FakeScorer) -> None:
    selector = ModelSATSelector(router=Router(profiles, scorer=fake_scorer, fallback="elsewhere"))
    assert selector.invoke("Hello", route="elsewhere").model == "elsewhere"
