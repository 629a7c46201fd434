"""What is known about models: given, shipped, and where it comes from."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any

import pytest

from modelsat.candidates import Candidate, ModelFacts, known_facts, resolve_candidates
from modelsat.candidates.fact_table import FactTable
from modelsat.capability.naming import canonical, forms
from modelsat.errors import ConfigurationError
from tests.fakes import make_profile

RAW = json.loads(resources.files("modelsat.candidates").joinpath("data/models.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"input_usd_per_mtok": "$2.50"}, "input_usd_per_mtok is a plain number of USD per million tokens: write 2.5"),
        ({"input_usd_per_mtok": "2.5"}, "no currency sign, no text"),
        ({"output_usd_per_mtok": -1}, "output_usd_per_mtok must be 0 or more"),
        ({"output_usd_per_mtok": math.nan}, "must be 0 or more"),
        ({"input_usd_per_mtok": True}, "plain number"),
        ({"input_usd_per_mtok": 2.5e-6}, "write 2.5 for 2.5e-06 USD a token"),
        ({"context_window": 0}, "context_window is a whole number of tokens"),
        ({"context_window": "128k"}, "write 128000, not '128k'"),
        ({"abilities": {"flight": True}}, "unknown 'flight'; known: tools"),
        ({"abilities": "tools"}, "must be a mapping"),
        ({"latency_ms": -3}, "latency_ms must be 0 or more milliseconds"),
        ({"price": 3}, "unknown field 'price'; known: input_usd_per_mtok"),
        ({"tags": "fast"}, "tags"),
    ],
)
def test_faulty_facts_say_what_to_write(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        ModelFacts(**fields)


def test_given_values_are_kept_with_their_origin() -> None:
    facts = ModelFacts(input_usd_per_mtok=0, context_window=8192.0, abilities=["tools"], tags={"fast"})
    assert facts.abilities == {"tools": True}
    assert set(facts.origins.values()) == {"given"}
    assert set(facts.origins) == {"input_usd_per_mtok", "context_window", "abilities.tools", "tags"}
    assert not facts.priced
    assert ModelFacts().origins == {}


def test_over_fills_what_is_unknown_and_keeps_origins() -> None:
    listed = known_facts("gpt-4o")
    mine = ModelFacts(input_usd_per_mtok=1.0, abilities={"vision": False})
    both = mine.over(listed)
    assert (both.input_usd_per_mtok, both.output_usd_per_mtok) == (1.0, listed.output_usd_per_mtok)
    assert both.abilities == {**listed.abilities, "vision": False}
    assert both.origins["input_usd_per_mtok"] == "given"
    assert both.origins["abilities.vision"] == "given"
    assert both.origins["abilities.tools"].startswith("price table of ")
    assert ModelFacts().over(listed) is listed
    assert mine.over(ModelFacts()) is mine


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("gpt-4o", "openai"),
        ("openai/gpt-4o", "openai"),
        ("azure/gpt-4o", "azure"),
        ("gemini/gemini-2.5-pro", "gemini"),
        ("deepseek-chat", "deepseek"),
    ],
)
def test_the_provider_in_a_name_is_the_one_that_serves(name: str, provider: str) -> None:
    facts = known_facts(name)
    assert facts.provider == provider
    assert facts.priced
    assert facts.abilities["tools"]
    assert facts.origins["output_usd_per_mtok"] == f"price table of {RAW['date']}"


def test_many_providers_give_their_median() -> None:
    facts = known_facts("Meta-Llama-3.1-8B-Instruct")
    assert facts.priced
    assert facts.provider is None
    assert "median of" in facts.origins["input_usd_per_mtok"]


def test_an_undated_name_finds_a_snapshot_and_a_local_one_no_price() -> None:
    assert known_facts("anthropic/claude-3-7-sonnet").input_usd_per_mtok == 3.0
    local = known_facts("ollama/llama3.1:8b-instruct-q4_K_M")
    assert not local.priced
    assert local.context_window
    assert local.provider == "ollama"


def test_an_unknown_name_knows_nothing() -> None:
    assert known_facts("no-such-model") == ModelFacts()
    assert known_facts("") == ModelFacts()


def test_the_shipped_table_is_small_sourced_and_in_step_with_the_naming() -> None:
    data = resources.files("modelsat.candidates").joinpath("data/models.json").read_bytes()
    assert len(data) < 500_000
    assert "MIT" in RAW["source"]
    assert "LiteLLM" in RAW["source"]
    groups = list(RAW["models"].items())
    assert len(groups) > 1_000
    for group, offers in groups[::10]:
        assert {canonical(name) for name in offers} == {group}, "run recipes/build_prices.py"
    for undated, names in list(RAW["undated"].items())[::10]:
        assert {forms(name)[4] for name in names} == {undated}, "run recipes/build_prices.py"
    prices = [price for _, offers in groups for row in offers.values() for price in row[:3] if price is not None]
    assert min(prices) == 0
    assert all(price == 0 or price >= 1e-4 for price in prices)


def test_every_offer_makes_facts() -> None:
    table = FactTable.default()
    for offers in list(RAW["models"].values())[::25]:
        for name in offers:
            assert table.find(name).origins


def test_candidates_know_given_own_and_listed_facts() -> None:
    own = Candidate("house", make_profile("gpt-4o"), ModelFacts(region="eu", input_usd_per_mtok=9))
    house, mini, blank = resolve_candidates(
        [own, make_profile("gpt-4o-mini"), make_profile("nobody-knows")],
        facts={"house": {"input_usd_per_mtok": 0.5}, "gpt-4o-mini": ModelFacts(tags={"fast"})},
    )
    assert (house.facts.input_usd_per_mtok, house.facts.region) == (0.5, "eu")
    assert house.facts.output_usd_per_mtok == known_facts("gpt-4o").output_usd_per_mtok
    assert mini.facts.tags == {"fast"}
    assert mini.facts.priced
    assert blank.facts == ModelFacts()


def test_a_local_server_has_no_price_of_its_neighbours() -> None:
    local = Candidate("local", make_profile("llama-3.1-8b-instruct"), ModelFacts(provider="ollama"))
    named, hosted = resolve_candidates([local, make_profile("Llama-3.1-8B-Instruct")])
    assert not named.facts.priced
    assert named.facts.context_window
    assert hosted.facts.priced


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"b": {}}, "facts names no candidate: b"),
        ({"a": {"input_usd_per_mtok": "3 EUR"}}, "facts of 'a': input_usd_per_mtok is a plain number"),
        ({"a": 3}, "facts of 'a' must be ModelFacts or a mapping"),
        ([], "facts must be a mapping"),
    ],
)
def test_faulty_given_facts(facts: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        resolve_candidates([make_profile("a")], facts=facts)
