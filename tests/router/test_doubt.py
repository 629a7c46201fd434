"""How sure P(success) is, and what becomes of a request that nobody is known to be good enough for."""

from __future__ import annotations

import math

import pytest

from modelsat.capability.profile import CapabilityProfile, CapabilityStatement
from modelsat.errors import AbstainedError
from modelsat.router import Router, RoutingDecision
from tests.fakes import FakeScorer

FIGURES = {"MMLU": 0.8, "GPQA": 0.45, "MATH-500": 0.7, "HumanEval": 0.85, "GSM8K": 0.93, "AIME": 0.2}


def known(name: str) -> CapabilityProfile:
    """A model with many figures on many items."""
    statements = [CapabilityStatement(task=task, accuracy=value, items=1_000) for task, value in FIGURES.items()]
    return CapabilityProfile(model=name, statements=statements)


def rumoured(name: str) -> CapabilityProfile:
    """A model with one figure on a handful of items."""
    return CapabilityProfile(model=name, statements=[CapabilityStatement(task="MMLU", accuracy=0.8, items=5)])


def test_a_model_with_few_figures_has_a_wide_interval() -> None:
    decision = Router([known("known"), rumoured("rumoured")], scorer=FakeScorer()).route("Why is the sky blue?")
    widths = {name: high - low for name, (low, high) in decision.intervals.items()}
    assert widths["rumoured"] > 2 * widths["known"] > 0
    for name, (low, high) in decision.intervals.items():
        assert 0 < low < decision.scores[name] < high < 1
    assert RoutingDecision(**decision.model_dump(mode="json")).intervals == decision.intervals


def test_every_number_of_an_interval_is_a_plain_one() -> None:
    decision = Router([known("known"), rumoured("rumoured")], scorer=FakeScorer()).route("Why is the sky blue?")
    assert {type(bound) for interval in decision.intervals.values() for bound in interval} == {float}
    assert all(math.isfinite(bound) for interval in decision.intervals.values() for bound in interval)


def test_a_router_that_does_not_know_says_so_falls_back_or_raises() -> None:
    poor = FakeScorer({0.8: 0.1})
    flagged = Router([known("a")], scorer=poor, policy="abstain(best)").route("hello")
    assert flagged.abstained
    assert flagged.model == "a"
    assert flagged.policy == "abstain"
    spared = Router([known("a")], scorer=poor, policy="abstain(best, then='refuse')", fallback="b").route("hello")
    assert (spared.model, spared.fallback) == ("b", True)
    assert spared.failure is not None
    assert spared.failure.kind == "AbstainedError"
    with pytest.raises(AbstainedError, match=r"highest P\(success\) 0\.10, below 0\.30"):
        Router([known("a")], scorer=poor, policy="abstain(best, then='refuse')").route("hello")
