"""What the constructor accepts, refuses and warns of; what the model says about itself."""

from __future__ import annotations

import copy
from typing import Any, get_type_hints

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_modelsat import ModelSATRouter
from langchain_modelsat.settings import intersect_profiles
from modelsat.errors import ConfigurationError
from tests.fakes import FakeScorer


def silent(**profile: Any) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([]), profile=profile or None)  # type: ignore[arg-type]


def make(**kwargs: Any) -> ModelSATRouter:
    given = {"models": {"a": silent(), "b": silent()}, "profiles": {"a": {"MMLU": 0.9}, "b": {"MMLU": 0.3}}}
    return ModelSATRouter(**{**given, "scorer": FakeScorer(), **kwargs})


def test_models_are_needed() -> None:
    with pytest.raises(ConfigurationError, match="models is missing"):
        ModelSATRouter()


def test_settings_of_a_client_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="ignored by the router: max_tokens, temperature") as caught:
        make(temperature=0, max_tokens=10)
    assert caught[0].filename == __file__.replace(".pyc", ".py")
    with pytest.warns(UserWarning, match="output_version"):
        make(output_version="v1")


@pytest.mark.parametrize(
    ("name", "value"), [("cache", True), ("cache", InMemoryCache()), ("rate_limiter", InMemoryRateLimiter())]
)
def test_what_belongs_on_the_routes(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}= is not for the router"):
        make(**{name: value})
    assert make(**{name: None})


def test_an_unknown_policy() -> None:
    with pytest.raises(ConfigurationError, match="unknown policy"):
        make(policy="luck")


def test_rules_say_who_may_answer() -> None:
    made = make(rules=[{"when": {"keyword": "sky"}, "then": {"use": "b"}}])
    decision = made.selector.router.route("Why is the sky blue?")
    assert (decision.model, decision.rules) == ("b", ("rule 1",))
    with pytest.raises(ValueError, match="then is empty"):
        make(rules=[{"then": {}}])


def test_it_says_what_it_is() -> None:
    router = make()
    assert router._llm_type == "modelsat-router"
    assert router._identifying_params == {"models": ["a", "b"], "policy": "best", "weights": "modelsat-nano"}
    assert router._get_ls_params(stop=["."]) == {
        "ls_provider": "modelsat",
        "ls_model_name": "modelsat-nano",
        "ls_model_type": "chat",
        "ls_stop": ["."],
    }
    assert not router.is_lc_serializable()
    assert "scorer" not in router.model_dump()


def test_annotations_resolve_at_run_time() -> None:
    for name in ("invoke", "ainvoke", "stream", "astream", "bind_tools", "with_structured_output", "generate", "batch"):
        assert get_type_hints(getattr(ModelSATRouter, name))["return"] is not None


def test_a_copy_shares_the_weights() -> None:
    router = make()
    assert copy.deepcopy(router.pool) is router.pool
    assert router.model_copy().pool is router.pool
    assert router.selector is router.selector


def test_warming_up_scores_for_all_candidates() -> None:
    scorer, counts = FakeScorer(), []
    score = scorer.score
    scorer.score = lambda texts, profiles: counts.append(len(profiles)) or score(texts, profiles)  # type: ignore[method-assign]
    make(scorer=scorer).warmup()
    assert counts == [2]


def test_the_profile_is_what_all_can_do() -> None:
    router = make(
        models={
            "a": silent(max_input_tokens=100, tool_calling=True, image_inputs=True, pdf_inputs=True, name="A"),
            "b": silent(max_input_tokens=50, tool_calling=True, image_inputs=False, name="B"),
        }
    )
    assert router.profile == {"max_input_tokens": 50, "tool_calling": True, "image_inputs": False}


@pytest.mark.parametrize("models", [[], [silent()], [silent(tool_calling=True), silent()]])
def test_no_profile_where_one_says_nothing(models: list[BaseChatModel]) -> None:
    assert intersect_profiles(models) is None


def test_a_profile_may_be_given() -> None:
    assert make(profile={"max_input_tokens": 7}).profile == {"max_input_tokens": 7}


def test_weights_are_shared_between_options(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []

    def load_scorer(weights: Any, **_options: Any) -> FakeScorer:
        loaded.append(weights)
        return FakeScorer()

    monkeypatch.setattr("modelsat.inference.load_scorer", load_scorer, raising=False)
    router = make(scorer=None)
    assert loaded == []
    for strict in (True, False, True):
        again = ModelSATRouter(**{**router.__dict__, "strict": strict})
        assert again.selector.invoke("Hello").model in ("a", "b")
    assert loaded.count("modelsat-nano") <= 2
