from __future__ import annotations

import pytest

from modelsat.capability import CapabilityProfile, Registry
from modelsat.capability.equating import equate
from modelsat.capability.estimate import estimate, lineage_of


def profile(model: str, **figures: float) -> CapabilityProfile:
    return CapabilityProfile.from_benchmarks(model, figures)


FAMILY = Registry(
    [
        profile("tau-4", GPQA=0.60, LiveCodeBench=0.50, AIME=0.50),
        profile("tau-4.5", GPQA=0.70, LiveCodeBench=0.60),
        profile("tau-5.5", GPQA=0.86, LiveCodeBench=0.80),
        profile("tau-5.5-mini", GPQA=0.72, LiveCodeBench=0.62),
    ]
)


def level(of: CapabilityProfile | None) -> float:
    assert of is not None
    return equate(of, report=False).level


def spread(of: CapabilityProfile, task: str) -> float:
    """Doubt of a figure in logits."""
    found = next(statement for statement in of.statements if statement.task == task)
    return found.doubt / (found.accuracy * (1.0 - found.accuracy))


@pytest.mark.parametrize(
    ("name", "line", "version", "date"),
    [
        ("openai/gpt-5.6-luna", ("gpt", "luna"), (5, 6), 0),
        ("claude-opus-5-5", ("claude", "opus"), (5, 5), 0),
        ("gemini-3.5-flash-lite-preview", ("gemini", "flash", "lite"), (3, 5), 0),
        ("grok-4.20-0309", ("grok",), (4, 2), 309),
        ("gpt-4o-2024-05-13", ("gpt", "4o"), (0, 0), 20240513),
        ("gpt-4.1-mini-2025-04-14", ("gpt", "mini"), (4, 1), 20250414),
        ("gemini-2.5-pro-exp-03-25", ("gemini", "pro"), (2, 5), 0),
        ("kimi-k2.6", ("kimi", "k"), (2, 6), 0),
        ("Qwen3.8-27B", ("qwen", "27b"), (3, 8), 0),
    ],
)
def test_a_name_says_line_and_version(name: str, line: tuple[str, ...], version: tuple[int, int], date: int) -> None:
    found = lineage_of(name)
    assert (found.line, found.version, found.date) == (line, version, date)


def test_a_version_between_two_is_between_them() -> None:
    between = estimate("tau-5", FAMILY)
    assert between is not None
    assert between.estimated_from == ("tau-4.5", "tau-5.5")
    assert level(FAMILY.find("tau-4.5")) < level(between) < level(FAMILY.find("tau-5.5"))
    assert "estimated from tau-4.5, tau-5.5" in between.provenance


def test_a_successor_is_better_and_less_sure_the_further_it_is() -> None:
    known = FAMILY.find("tau-5.5")
    later = Registry([*FAMILY, profile("tau-6-mini", GPQA=0.8, LiveCodeBench=0.7), profile("tau-7-mini", GPQA=0.85)])
    near, far = estimate("tau-6", FAMILY), estimate("tau-8", later)
    assert near is not None
    assert far is not None
    gpqa = {s.task: s for s in near.statements}["GPQA"]
    assert gpqa.accuracy > 0.86
    assert 0.02 < gpqa.doubt < 0.2
    assert level(near) > level(known) - 0.05
    assert spread(far, "MMLU-Pro") > spread(near, "MMLU-Pro")


def test_the_doubt_counts() -> None:
    guess = estimate("tau-6", FAMILY)
    assert guess is not None
    sure = guess.model_copy(update={"statements": tuple(s.model_copy(update={"doubt": 0.0}) for s in guess.statements)})
    assert guess.digest != sure.digest
    assert equate(guess).covariance[1, 1] > 2 * equate(sure).covariance[1, 1]


def test_another_line_of_the_family_is_a_weaker_guess_and_a_price_the_weakest() -> None:
    line, family, price = (estimate(name, FAMILY, price=5.0) for name in ("tau-6", "tau-5.5-nano", "omega-1"))
    doubts = [equate(found).covariance[1, 1] for found in (line, family, price) if found is not None]
    assert doubts == sorted(doubts)
    assert family is not None
    assert family.estimated_from == ("tau-5.5-mini",)  # the same size class
    assert price is not None
    assert "price alone" in price.provenance


def test_a_special_form_or_a_fine_tuned_model_is_taken_for_the_model_that_it_was_made_of() -> None:
    special, tuned = estimate("tau-5.5-law", FAMILY), estimate("ft:tau-4.5:acme::7", FAMILY, price=99.0)
    assert special is not None
    assert special.estimated_from == ("tau-5.5",)
    assert tuned is not None
    assert tuned.estimated_from == ("tau-4.5",)
    assert spread(special, "GPQA") > 0.3
    size = estimate("tau-5.5-nano", FAMILY)
    assert size is not None
    assert size.estimated_from != ("tau-5.5",)  # another size is no special form


def test_a_bare_name_is_taken_for_the_newest_of_its_line() -> None:
    registry = Registry([profile("rho-small-2402", GPQA=0.4, AIME=0.1), profile("rho-small-2603", GPQA=0.7, AIME=0.5)])
    guess = estimate("rho-small-latest", registry)
    assert guess is not None
    assert guess.estimated_from == ("rho-small-2603",)


def test_the_date_of_a_snapshot_never_makes_a_relative_of_another_model() -> None:
    for name in ("gpt-4-turbo-vision-preview", "anthropic.claude-v1", "gemini-3.8-flash-cyber"):
        guess = estimate(name, Registry.shipped())
        assert guess is not None
        assert {lineage_of(relative).version for relative in guess.estimated_from} <= {(4, 0), (2, 0), (2, 1), (3, 8)}


def test_nothing_is_made_of_nothing() -> None:
    assert estimate("omega-1", FAMILY) is None
    assert estimate("my-deployment", FAMILY, price=0.0) is None


def test_a_successor_that_thinks_is_not_estimated_from_one_that_only_answers() -> None:
    guess = estimate("claude-haiku-4.2", Registry.shipped())
    assert guess is not None
    assert all(Registry.shipped().figures(name).effort != "none" for name in guess.estimated_from)


def test_names_of_today_without_figures_are_estimated_in_the_order_one_expects() -> None:
    shipped = Registry.shipped()
    assert level(estimate("grok-5", shipped)) > level(shipped.find("grok-4.3"))
    assert level(estimate("gpt-5.3", shipped)) < level(shipped.find("gpt-5.5"))
