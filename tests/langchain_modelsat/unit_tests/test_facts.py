"""Facts of the routes: given, from LangChain's model profiles, from the shipped table."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_openai import ChatOpenAI

from langchain_modelsat import ModelSATRouter
from langchain_modelsat.candidates import profile_facts, resolve_facts
from modelsat.candidates import Candidate, ModelFacts, resolve_candidates
from modelsat.errors import ConfigurationError
from tests.fakes import FakeScorer, make_profile


def client(name: str, **kwargs: Any) -> ChatOpenAI:
    return ChatOpenAI(**{"model": name, "api_key": "none", **kwargs})


def fake(**profile: Any) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([]), profile=profile)


def test_a_profile_becomes_facts() -> None:
    facts = profile_facts(fake(max_input_tokens=1000, tool_calling=False, image_inputs=True))
    assert (facts.max_input_tokens, facts.window, facts.max_output_tokens) == (1000, 1000, None)
    assert facts.abilities == {"tools": False, "vision": True}
    assert set(facts.origins.values()) == {"LangChain model profile"}
    assert profile_facts(fake()) == ModelFacts()


def test_given_goes_before_the_profile_and_that_before_the_table() -> None:
    model = client("gpt-4o", profile={"max_input_tokens": 64_000, "pdf_inputs": False})
    facts = resolve_facts({"large": model}, {"large": {"abilities": {"tools": False}}, "gpt-4o": {"region": "us"}})
    large = facts["large"]
    assert (large.max_input_tokens, large.region, large.provider) == (64_000, "us", "openai")
    assert large.priced
    assert (large.abilities["tools"], large.abilities["pdf"], large.abilities["json_schema"]) == (False, False, True)
    assert large.origins["region"] == "given"
    assert large.origins["max_input_tokens"] == "LangChain model profile"
    assert large.origins["input_usd_per_mtok"].startswith("price table of")


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        (None, "openai"),
        ("https://api.openai.com/v1", "openai"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://my-house.openai.azure.com/openai/v1", "azure"),
        ("http://10.0.0.1/v1", None),
    ],
)
def test_the_address_of_a_client_says_who_serves_it(address: str | None, provider: str | None) -> None:
    facts = resolve_facts({"house": client("gpt-4o", base_url=address, profile={})})["house"]
    assert facts.provider == provider
    assert facts.priced


def test_an_unknown_provider_stays_unknown_in_the_router() -> None:
    house = client("gpt-4o", base_url="http://10.0.0.1/v1", profile={})
    facts = resolve_facts({"house": house})["house"]
    (candidate,) = resolve_candidates([Candidate("house", make_profile("gpt-4o"), facts)])
    assert candidate.facts.provider is None
    assert candidate.facts.context_window


def test_a_model_that_nobody_knows_at_an_address_of_its_own() -> None:
    own = resolve_facts({"own": client("our-own-8b", base_url="http://localhost:1/v1", profile={})})["own"]
    assert own.known() == {}


def test_the_service_tier_of_a_client_is_that_of_its_requests() -> None:
    facts = resolve_facts({"slow": client("gpt-5.4", service_tier="flex", profile={})})["slow"]
    rate = facts.rate(1000)
    assert rate is not None
    assert (facts.service_tier, rate.input_usd_per_mtok) == ("flex", 1.25)


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"nobody": {}}, "facts names no route: nobody; the routes are a"),
        ({"a": {"input_usd_per_mtok": "$1"}}, "facts of 'a': input_usd_per_mtok is a plain number"),
        (["a"], "facts must be a mapping"),
    ],
)
def test_faulty_facts(facts: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        ModelSATRouter(models={"a": client("a")}, profiles={"a": {"MMLU": 0.5}}, facts=facts, scorer=FakeScorer())
