"""Profiles drawn for training: what varies, by how much, and what can be switched off."""

from __future__ import annotations

import numpy as np
import pytest

from modelsat.capability import CapabilityProfile
from modelsat.errors import OutcomesError
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.training.sampling import FEWEST_ITEMS, ProfileSampler

GIVEN = CapabilityProfile.from_benchmarks(
    "figures", {"GSM8K": 0.8, "MMLU": 0.6, "HumanEval": 0.5}, items={"GSM8K": 400}
)


@pytest.fixture
def table():
    """Twelve tasks of ten core items; ``tested`` passes seven of each, ``partly`` took the first eight tasks only."""
    scores = np.tile(np.array([[1.0]] * 7 + [[0.0]] * 3, dtype=np.float32), (12, 3))
    scores[80:, 1] = np.nan
    scores[:, 2] = np.nan
    names = np.array([f"q{row}" for row in range(120)], dtype=object)
    return OutcomeTable(
        names, names, names, names, ("tested", "partly", "figures"), scores, np.full_like(scores, np.nan)
    )


@pytest.fixture
def core():
    return {f"task {task}": np.arange(10 * task, 10 * task + 10) for task in range(12)}


def statements(sampler, model, draws=200):
    rng = np.random.default_rng(0)
    return [sampler.draw(model, rng).statements for _ in range(draws)]


def test_statements_are_subsampled_and_shuffled(table, core):
    drawn = statements(ProfileSampler(table, core, {}), "tested")
    counts = [len(profile) for profile in drawn]
    assert min(counts) == 2
    assert max(counts) == 12
    assert len({profile[0].task for profile in drawn}) == 12, "any task may stand first"
    everything = statements(ProfileSampler(table, core, {}, subsample=False), "tested", 20)
    assert all([statement.task for statement in profile] == list(core) for profile in everything)


def test_shots_say_how_many_items_a_task_rests_on(table, core):
    drawn = statements(ProfileSampler(table, core, {}, shots=(3, 5)), "tested")
    assert {statement.items for profile in drawn for statement in profile} == {3, 5}
    assert {len({statement.items for statement in profile}) for profile in drawn} == {1}, "one number a profile"
    accuracies = [s.accuracy for profile in drawn for s in profile if s.items == 5]
    assert np.mean(accuracies) == pytest.approx(0.7, abs=0.03)
    hypergeometric = np.sqrt(0.7 * 0.3 / 5 * (10 - 5) / (10 - 1))
    assert np.std(accuracies) == pytest.approx(hypergeometric, rel=0.15)


def test_noise_of_figures_is_their_binomial_error(table, core):
    sampler = ProfileSampler(table, core, {"figures": GIVEN}, subsample=False)
    drawn = [s for profile in statements(sampler, "figures", 2000) for s in profile if s.task == "GSM8K"]
    assert min(s.items for s in drawn) >= FEWEST_ITEMS
    assert max(s.items for s in drawn) <= 400
    standard = [(s.accuracy - 0.8) / np.sqrt(0.8 * 0.2 / s.items) for s in drawn]
    assert np.mean(standard) == pytest.approx(0.0, abs=0.1)
    assert np.std(standard) == pytest.approx(1.0, abs=0.06)
    exact = statements(ProfileSampler(table, core, {"figures": GIVEN}, subsample=False, noise=False), "figures", 3)
    assert all(profile == GIVEN.statements for profile in exact)


def test_a_tested_model_is_described_by_its_figures_now_and_then(table, core):
    given = {"tested": GIVEN.model_copy(update={"model": "tested"})}
    drawn = statements(ProfileSampler(table, core, given), "tested", 600)
    kinds = [(any(s.task in core for s in p), any(s.task not in core for s in p)) for p in drawn]
    assert kinds.count((False, True)) / 600 == pytest.approx(0.15, abs=0.05), "figures instead of core tasks"
    assert kinds.count((True, True)) / 600 == pytest.approx(0.85 * 0.3, abs=0.06), "figures beside core tasks"


def test_no_profile_is_ever_empty(table, core):
    """``partly`` answered nothing of four tasks, and a draw may name just those."""
    assert all(statements(ProfileSampler(table, core, {}), "partly", 1000))


def test_the_full_profile_counts_every_core_item(table, core):
    sampler = ProfileSampler(table, core, {"figures": GIVEN})
    assert [(s.accuracy, s.items) for s in sampler.full("tested").statements] == [(pytest.approx(0.7), 10)] * 12
    assert len(sampler.full("partly").statements) == 8
    assert sampler.full("figures") is GIVEN
    with pytest.raises(OutcomesError, match="no profile of 'figures'"):
        ProfileSampler(table, core, {}).full("figures")
