"""What is known about models: given, shipped, and where it comes from."""

from __future__ import annotations

import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from modelsat.candidates import Candidate, ModelFacts, known_facts, resolve_candidates
from modelsat.candidates.fact_table import FactTable
from modelsat.capability.naming import canonical, forms
from modelsat.errors import ConfigurationError
from tests.fakes import make_profile

RAW: dict[str, Any] = json.loads(resources.files("modelsat.candidates").joinpath("data/models.json").read_text("utf-8"))
MODELS = {key: rows for key, rows in RAW.items() if isinstance(rows, dict)}


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
        ({"deprecated_on": "next spring"}, "deprecated_on is a day: write '2026-12-31'"),
        (
            {"tiers": [{"above_tokens": 200_000, "input_usd_per_mtok": 2.5e-6, "output_usd_per_mtok": 1}]},
            "write 2.5 for",
        ),
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


@pytest.mark.parametrize(
    ("name", "provider", "region"),
    [
        ("bedrock/us-east-1/anthropic.claude-3-haiku-20240307-v1:0", "bedrock", "us-east-1"),
        ("us.anthropic.claude-opus-5", "bedrock", "us"),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-5", "bedrock", "eu-west-1"),
        ("azure_ai/gpt-5-mini", "azure_ai", None),
        ("azure/eu/gpt-4o", "azure", "eu"),
        ("openrouter/openai/gpt-5", "openrouter", None),
        ("groq/llama-3.1-8b-instant", "groq", None),
        ("vertex_ai/claude-opus-4-5@20251101", "vertex_ai", None),
        ("openai:gpt-5", "openai", None),
        ("grok-4.3", "xai", None),
        ("meta-llama/Llama-3.3-70B-Instruct", None, None),
        ("gpt-oss-120b", None, None),
    ],
)
def test_the_written_prefix_is_the_provider(name: str, provider: str | None, region: str | None) -> None:
    facts = known_facts(name)
    assert (facts.provider, facts.region) == (provider, region)
    assert facts.priced


def test_a_free_variant_costs_nothing_and_a_fine_tuned_model_what_the_table_lists_for_its_base() -> None:
    free = known_facts("openrouter/meta-llama/llama-3.1-8b-instruct:free")
    assert (free.input_usd_per_mtok, free.output_usd_per_mtok, free.provider) == (0, 0, "openrouter")
    tuned = known_facts("ft:gpt-4o-mini-2024-07-18:acme::abc")
    assert (tuned.input_usd_per_mtok, tuned.output_usd_per_mtok) == (0.3, 1.2)
    assert tuned.context_window == known_facts("gpt-4o-mini").context_window
    unlisted = known_facts("ft:gpt-5.4:acme::abc")
    assert not unlisted.priced
    assert unlisted.context_window == known_facts("gpt-5.4").context_window


def test_both_limits_of_the_prompt_are_known() -> None:
    five = known_facts("gpt-5")
    assert (five.context_window, five.max_input_tokens) == (400_000, 272_000)
    assert known_facts("claude-opus-5").window == 1_000_000


def test_rates_by_prompt_length_and_service_tier() -> None:
    facts = known_facts("gpt-5.4")
    assert [facts.rate(tokens).input_usd_per_mtok for tokens in (0, 272_000, 272_001)] == [2.5, 2.5, 5.0]
    flex = facts.model_copy(update={"service_tier": "flex"})
    assert [flex.rate(tokens).input_usd_per_mtok for tokens in (1, 300_000)] == [1.25, 2.5]
    unheard = facts.model_copy(update={"service_tier": "overnight"})
    assert unheard.rate(1) == facts.rate(1)
    assert ModelFacts(input_usd_per_mtok=1).rate(10) is None


def test_a_given_price_leaves_the_tables_rates_out() -> None:
    mine = ModelFacts(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0).over(known_facts("gpt-5.4"))
    rate = mine.rate(500_000)
    assert rate is not None
    assert (rate.input_usd_per_mtok, rate.output_usd_per_mtok) == (1.0, 2.0)
    assert mine.services == {}


def test_a_given_limit_goes_before_the_tables_other_one() -> None:
    wide = ModelFacts(context_window=1_000_000).over(known_facts("gpt-5"))
    assert (wide.context_window, wide.max_input_tokens) == (1_000_000, None)
    long = ModelFacts(max_input_tokens=500_000).over(known_facts("gpt-5"))
    assert (long.window, long.max_input_tokens) == (500_000, 500_000)
    assert ModelFacts(max_input_tokens=272_000).over(known_facts("gpt-5")).window == 400_000


def test_what_is_known_to_be_unknown_stays_so() -> None:
    own = ModelFacts(region="eu", origins={"provider": "address of its own", "region": "given"})
    facts = own.over(known_facts("gpt-4o"))
    assert facts.provider is None
    assert facts.priced
    assert facts.origins["provider"] == "address of its own"


def test_a_model_past_its_date_is_told_once_with_its_successor(caplog: pytest.LogCaptureFixture) -> None:
    old = Candidate("old one", make_profile("a"), ModelFacts(deprecated_on="2020-01-31", successor="b"))
    young = Candidate("young one", make_profile("b"), ModelFacts(deprecated_on="2999-01-31"))
    resolve_candidates([old, young])
    resolve_candidates([old, young])
    (record,) = [record for record in caplog.records if record.name == "modelsat.candidates.candidate"]
    assert "old one: its provider shut it down on 2020-01-31; its provider names b" in record.getMessage()


def test_an_unknown_name_knows_nothing() -> None:
    assert known_facts("no-such-model") == ModelFacts()
    assert known_facts("") == ModelFacts()


def test_the_shipped_table_is_small_sourced_and_in_step_with_the_naming() -> None:
    data = resources.files("modelsat.candidates").joinpath("data/models.json").read_bytes()
    assert len(data) < 500_000
    assert "MIT" in RAW["source"]
    assert "LiteLLM" in RAW["source"]
    groups = list(MODELS.items())
    assert len(groups) > 1_000
    for group, offers in groups[::10]:
        assert {canonical(name) for name in offers} == {group}, "run recipes/build_prices.py"
    for undated, names in [(key[1:], names) for key, names in RAW.items() if key.startswith("~")][::10]:
        assert {forms(name)[4] for name in names} == {undated}, "run recipes/build_prices.py"
    prices = [price for _, offers in groups for row in offers.values() for price in row[:4] if price is not None]
    assert min(prices) == 0
    assert all(price == 0 or price >= 1e-4 for price in prices)


def test_documentation_says_how_many_offers_there_are() -> None:
    offers = len(list(FactTable.shipped()))
    root = Path(__file__).parents[2]
    assert f"abilities of {offers:,} offers" in (root / "README.md").read_text("utf-8")
    assert f"holds {offers:,} offers" in (root / "docs/prices.md").read_text("utf-8")


def test_every_offer_makes_facts() -> None:
    table = FactTable.default()
    for offers in list(MODELS.values())[::25]:
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
