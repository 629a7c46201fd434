"""What a request costs: the providers' published arithmetic on cases worked out by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from modelsat.candidates import Candidate, ModelFacts, known_facts
from modelsat.candidates.listing import read_listing
from modelsat.request.costs import Tariff, usage_usd
from modelsat.request.needs import Needs
from tests.fakes import make_profile

CASES = list(csv.DictReader(Path(__file__).with_name("costs.csv").read_text("utf-8").splitlines()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['model']} {case['service']} {case['prompt']}")
def test_the_cost_of_known_tokens_is_the_providers_arithmetic(case: dict[str, str]) -> None:
    facts = known_facts(case["model"]).model_copy(update={"service_tier": case["service"] or None})
    usd = usage_usd(
        facts,
        prompt=int(case["prompt"]),
        cached=int(case["cached"]),
        cache_writes=int(case["cache_writes"]),
        completion=int(case["completion"]),
        reasoning=int(case["reasoning"]),
    )
    assert usd == pytest.approx(float(case["usd"]), rel=0.01)


def test_there_are_sixty_cases() -> None:
    assert len(CASES) >= 60


def test_requests_and_images_cost_besides_their_tokens() -> None:
    facts = ModelFacts(input_usd_per_mtok=1, output_usd_per_mtok=1, usd_per_request=0.005, usd_per_image=0.001)
    assert usage_usd(facts, prompt=1000, completion=0, images=2) == pytest.approx(0.001 + 0.005 + 0.002)
    assert usage_usd(ModelFacts(), prompt=1000, completion=0) is None


def test_expected_costs_follow_the_length_of_the_prompt() -> None:
    pool = [Candidate("long", make_profile("long"), known_facts("gpt-5.4"))]
    short, long = (Tariff.of(pool[0]).cost(Needs(prompt_tokens=tokens), 100) for tokens in (272_000, 272_001))
    assert short is not None
    assert long is not None
    assert short.total == pytest.approx(0.68 + 0.0015)
    assert long.total == pytest.approx(1.360005 + 0.00225)
    assert long.cached_input == pytest.approx(0.1360005)


def test_a_listing_of_litellm_with_tiers_services_and_dates() -> None:
    facts = read_listing(
        {
            "input_cost_per_token": 1e-6,
            "output_cost_per_token": "2e-06",
            "cache_creation_input_token_cost": 0.0,
            "input_cost_per_token_above_200k_tokens": 2e-6,
            "output_cost_per_token_above_200k_tokens": 4e-6,
            "input_cost_per_token_flex": 5e-7,
            "output_cost_per_token_flex": 1e-6,
            "max_input_tokens": 1000,
            "max_output_tokens": None,
            "deprecation_date": "2026-12-31",
            "successor_model": "next",
            "supports_vision": True,
            "supports_reasoning": None,
        },
        "there",
    )
    long, flex = facts.rate(200_001), facts.model_copy(update={"service_tier": "flex"}).rate(1)
    assert (long.input_usd_per_mtok, long.output_usd_per_mtok, flex.input_usd_per_mtok) == (2.0, 4.0, 0.5)
    assert (facts.cache_write_usd_per_mtok, facts.max_input_tokens, facts.context_window) == (None, 1000, None)
    assert (facts.deprecated_on, facts.successor, facts.abilities) == ("2026-12-31", "next", {"vision": True})
    assert set(facts.origins.values()) == {"there"}
