"""Who may answer at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelsat.candidates import Candidate, ModelFacts
from modelsat.errors import ConfigurationError
from modelsat.request import Constraints, Exclusion, Needs, RequestContext
from modelsat.request.constraints import strike
from modelsat.request.messages import parse_messages
from modelsat.request.needs import find_needs
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile


def candidate(name: str, **facts: Any) -> Candidate:
    return Candidate(name, make_profile(name), ModelFacts(**facts))


POOL = [
    candidate("eu-large", provider="azure", region="EU", tags={"approved"}, context_window=100_000),
    candidate("us-large", provider="openai", region="us", context_window=100_000),
    candidate("unknown"),
]


def left(needs: Needs = Needs(), pool: list[Candidate] | None = None, **constraints: Any) -> list[str]:  # noqa: B008
    pool = POOL if pool is None else pool
    excluded = strike(pool, needs, Constraints(**constraints))
    assert all(why.reason and not why.reason.endswith(".") for why in excluded.values())
    return [candidate.name for candidate in pool if candidate.name not in excluded]


@pytest.mark.parametrize(
    ("constraints", "names"),
    [
        ({}, ["eu-large", "us-large", "unknown"]),
        ({"allow_models": ["EU-Large"]}, ["eu-large"]),
        ({"allow_models": "*-large"}, ["eu-large", "us-large"]),
        ({"deny_models": ["*-large"]}, ["unknown"]),
        ({"allow_providers": ["azure"]}, ["eu-large"]),
        ({"deny_providers": ["azure"]}, ["us-large", "unknown"]),
        ({"allow_regions": {"eu"}}, ["eu-large"]),
        ({"deny_regions": {"us"}}, ["eu-large", "unknown"]),
        ({"require_tags": ["approved"]}, ["eu-large"]),
        ({"deny_tags": ["approved"]}, ["us-large", "unknown"]),
        ({"allow_models": ["nobody"]}, []),
    ],
)
def test_lists(constraints: dict[str, Any], names: list[str]) -> None:
    assert left(**constraints) == names


def test_residency_binds_only_the_requests_it_names() -> None:
    rule = {"residency": [{"key": "tenant", "value": "bank", "regions": ["eu"]}]}
    assert left(Needs(metadata={"tenant": "bank"}), **rule) == ["eu-large"]
    assert left(Needs(metadata={"tenant": "shop"}), **rule) == ["eu-large", "us-large", "unknown"]
    assert left(Needs(), **rule) == ["eu-large", "us-large", "unknown"]
    everyone = {"residency": [{"key": "tenant", "regions": ["eu"]}]}
    assert left(Needs(metadata={"tenant": 7}), **everyone) == ["eu-large"]


def test_the_prompt_has_a_limit_of_its_own() -> None:
    pool = [
        candidate("both", context_window=400_000, max_input_tokens=272_000),
        candidate("one", max_input_tokens=4_000),
    ]
    assert left(Needs(prompt_tokens=272_000), pool) == ["both"]
    assert left(Needs(prompt_tokens=272_001), pool) == []
    assert left(Needs(prompt_tokens=2_976), pool) == ["both", "one"]
    assert left(Needs(prompt_tokens=2_977), pool) == ["both"], "its answer must fit there as well"


def test_the_context_window_holds_prompt_and_answer() -> None:
    pool = [candidate("small", context_window=4_000), candidate("large", context_window=100_000)]
    assert left(Needs(prompt_tokens=2_976), pool) == ["small", "large"]
    assert left(Needs(prompt_tokens=2_977), pool) == ["large"]
    assert left(Needs(prompt_tokens=2_977, answer_tokens=100), pool) == ["small", "large"]
    assert left(Needs(prompt_tokens=2_000), pool, answer_tokens=3_000) == ["large"]
    assert left(Needs(prompt_tokens=100_000), pool) == []


def test_a_short_longest_answer_is_what_is_reserved_and_what_is_refused() -> None:
    pool = [candidate("terse", context_window=4_000, max_output_tokens=100)]
    assert left(Needs(prompt_tokens=3_900), pool) == ["terse"]
    wordy = candidate("wordy", context_window=4_000, max_output_tokens=1_000)
    assert left(Needs(prompt_tokens=10, answer_tokens=101), [*pool, wordy]) == ["wordy"]


def test_the_limit_on_the_answer_alone_never_strikes_every_candidate() -> None:
    pool = [
        candidate("terse", context_window=100_000, max_output_tokens=100),
        candidate("wordy", context_window=100_000, max_output_tokens=1_000, abilities={"vision": False}),
        candidate("tiny", context_window=2_000, max_output_tokens=1_000),
    ]
    needs = Needs(prompt_tokens=10_000, answer_tokens=32_000)
    assert left(needs, pool) == ["terse", "wordy"], "what does not fit stays struck"
    assert left(replace(needs, abilities={"vision": "an image"}), pool) == ["terse"]
    assert left(needs, pool, deny_models=["terse"]) == ["wordy"], "and so does what is forbidden"
    assert left(needs, pool, deny_models=["terse", "wordy"]) == []
    decision = Router(pool, policy="best", scorer=FakeScorer()).route(
        "word " * 1_000, context=RequestContext(answer_tokens=32_000)
    )
    assert decision.model in ("terse", "wordy", "tiny")
    assert any("32,000 tokens is more than any candidate allows" in note for note in decision.notes)


def test_an_unknown_window_is_trusted_with_small_requests_only() -> None:
    assert left(Needs(prompt_tokens=7_000)) == ["eu-large", "us-large", "unknown"]
    assert left(Needs(prompt_tokens=8_000)) == ["eu-large", "us-large"]
    assert left(Needs(prompt_tokens=200_000)) == ["unknown"]


def test_unknown_abilities_strike_only_while_somebody_surely_can() -> None:
    needs = Needs(abilities={"vision": "an image"})
    sure, blind, unknown = (
        candidate("sure", abilities=["vision"]),
        candidate("blind", abilities={"vision": False}),
        candidate("unknown"),
    )
    excluded = strike([sure, blind, unknown], needs, Constraints())
    assert excluded == {
        "blind": Exclusion("ability", "cannot do vision (an image)"),
        "unknown": Exclusion("ability", "not known to do vision, while sure surely can"),
    }
    assert set(strike([blind, unknown], needs, Constraints())) == {"blind"}
    assert set(strike([sure, unknown], needs, Constraints(deny_models=["sure"]))) == {"sure"}


def test_a_maximum_price_needs_a_known_price() -> None:
    excluded = strike(POOL, Needs(), Constraints(max_usd_per_request=0.01), {"eu-large": 0.01, "us-large": 0.02})
    assert excluded == {
        "us-large": Exclusion("price", "costs 0.02 USD for the prompt and a visible answer, more than 0.01"),
        "unknown": Exclusion("price", "price is unknown, and a request may cost at most 0.01 USD"),
    }


def test_several_constraints_hold_together() -> None:
    excluded = strike(POOL, Needs(), [Constraints(allow_regions=["eu"]), Constraints(deny_providers=["azure"])])
    assert set(excluded) == {"eu-large", "us-large", "unknown"}


def test_a_candidates_own_tokenizer_counts() -> None:
    needs = find_needs(parse_messages("word " * 100))
    calls = []
    own = Candidate(
        "own", make_profile("own"), ModelFacts(context_window=1_100), lambda text: calls.append(text) or len(text)
    )
    assert set(strike([own], needs, Constraints())) == {"own"}
    assert set(strike([own], needs, Constraints())) == {"own"}
    assert len(calls) == 1
    assert needs.tokens_for(None) < 200


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"allow_models": ["a"], "deny_models": ["A"]}, "models both allowed and denied: a"),
        ({"allow_regions": ["eu"], "deny_regions": ["eu"]}, "regions both allowed and denied"),
        ({"require_tags": ["x"], "deny_tags": ["x"]}, "tags both required and denied"),
        ({"max_usd_per_request": "1 USD"}, "plain number of USD"),
        ({"max_usd_per_request": -1}, "0 or more USD"),
        ({"max_usd_per_request": 10**400}, "0 or more USD, not so large a number"),
        ({"answer_tokens": 10**400}, "answer_tokens is a whole number"),
        ({"allow_models": "a\n" * 2 + "b", "deny_models": [["x\n" * 500]]}, r"must hold names, not .{1,60}$"),
        ({"residency": [{"key": "t", "regions": ["eu"], "not a name": 1}]}, "unknown field; known: key"),
        ({"answer_tokens": 1.5}, "answer_tokens is a whole number"),
        ({"allow_models": [7]}, "must hold names, not 7"),
        ({"allow_models": {"a": 1}}, "must be a list of names"),
        ({"allowed": ["a"]}, "unknown field 'allowed'"),
        ({"residency": [{"key": "t", "regions": []}]}, "regions is empty"),
        ({"residency": [{"key": "t", "regions": ["eu"]}], "deny_regions": ["eu"]}, "must stay in eu"),
        ({"residency": [{"key": "t", "regions": ["eu"]}], "allow_regions": ["us"]}, "must stay in eu"),
        ({"residency": [{"key": "t", "regions": ["eu"]}, {"key": "t", "regions": ["us"]}]}, "share no region"),
    ],
)
def test_contradictions_and_faults_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Constraints(**fields)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"answer_tokens": 0}, "answer_tokens"),
        ({"answer_tokens": "many"}, "answer_tokens"),
        ({"tools": "search"}, "tools must be a list"),
        ({"metadata": []}, "metadata must be a mapping"),
        ({"constraints": {"allow": 1}}, "unknown field 'allow'"),
    ],
)
def test_faulty_contexts(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        RequestContext(**fields)
