"""Routers and baselines under real policies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelsat.errors import ConfigurationError
from modelsat.lab.evaluation.costs import Costs, Spending, costs
from modelsat.lab.evaluation.inputs import Price
from modelsat.lab.evaluation.metrics import Floats
from modelsat.lab.evaluation.policies import check_policy, choose_with, policy_rows, swept_metrics
from modelsat.lab.evaluation.predictions import Prediction
from modelsat.lab.evaluation.results import Role
from modelsat.lab.tuning.sweep import Pool
from modelsat.policies.resolve import PolicyFile
from modelsat.request import Constraints
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile
from tests.lab.evaluation.conftest import make_table

NAMES = ("cheap", "free", "good")


@pytest.fixture
def spending() -> Spending:
    """Two priced models; the good one answers all, the cheap one half."""
    y = np.stack([np.arange(100) % 2, np.zeros(100), np.ones(100)], axis=1).astype(float)
    y[0, 0] = np.nan
    cost = np.tile([0.001, np.nan, 0.01], (100, 1))
    found = Spending.of(y, Costs(cost, cost), np.array([0.5, 0.0, 1.0]))
    assert found is not None
    return found


def knowing() -> Floats:
    """Knows what the cheap model answers."""
    return np.stack([0.1 + 0.8 * (np.arange(100) % 2), np.zeros(100), np.full(100, 0.95)], axis=1)


def test_a_router_that_knows_saves_and_one_that_does_not_saves_nothing(spending: Spending) -> None:
    guessing = np.tile([0.5, 0.0, 0.95], (100, 1))
    predictions = [
        Prediction("oracle", Role.ANCHOR, [knowing()], probable=False),
        Prediction("kNN", Role.BASELINE, [guessing]),
        Prediction("mine", Role.ROUTER, [knowing()]),
    ]
    policies = [check_policy("cheapest(target=0.8)")]
    rows = {(row.router, row.policy): row.metrics for row in policy_rows(predictions, spending, NAMES, policies)}
    assert {router for router, _ in rows} == {"kNN", "mine"}
    fixed = rows["mine", "cheapest(target=0.8)"]
    assert fixed["accuracy"] == 1.0
    assert fixed["strong_share"] == pytest.approx(0.5, abs=0.011)
    assert fixed["cost"] == pytest.approx(0.0055, rel=0.02)
    for family in ("tradeoff", "cheapest"):
        mine, other = rows["mine", f"{family}, swept"], rows["kNN", f"{family}, swept"]
        assert mine["aiq"] > other["aiq"] + 0.05
        assert mine["strong_saved_95"] >= 0.48
        assert other["strong_saved_95"] == 0.0


def test_a_model_without_an_outcome_is_not_chosen(spending: Spending) -> None:
    pool = Pool(("cheap", "good"), np.where(np.isnan(spending.y), np.nan, 0.9), spending.expected)
    chosen = choose_with("cheapest(target=0.5)", pool)
    assert chosen.tolist() == [1] + [0] * 99
    assert chosen.tolist() == pool.choose("cheapest", 0.5).tolist()
    assert set(swept_metrics(pool, "tradeoff", spending)) == {"aiq", "cost_saved_95", "strong_saved_95"}


def test_policy_files_are_measured_without_their_memory_of_constraints(tmp_path: Path) -> None:
    plain, bound = tmp_path / "plain.json", tmp_path / "bound.json"
    PolicyFile(policy={"name": "cheapest", "target": 0.7}).save(plain)
    PolicyFile(policy={"name": "best"}, constraints=Constraints(max_usd_per_request=1)).save(bound)
    pool = Pool(("a", "b"), np.array([[0.8, 0.9], [0.6, 0.9]]), np.array([[1.0, 2.0]] * 2))
    assert choose_with(check_policy(str(plain)), pool).tolist() == [0, 1]
    with pytest.raises(ConfigurationError, match="has constraints"):
        check_policy(str(bound))
    with pytest.raises(ConfigurationError, match="unknown policy"):
        check_policy("dearest")


def test_costs_and_decisions_are_those_of_a_router() -> None:
    table = make_table(20)
    models, prices = ["algebra", "history"], {"algebra": Price(1.0, 2.0), "history": Price(5.0, 20.0)}
    facts = {n: {"input_usd_per_mtok": p.input, "output_usd_per_mtok": p.output} for n, p in prices.items()}
    policy = {"name": "tradeoff", "value_per_success": 0.02}
    profiles = [make_profile(model, 0.5 + 0.2 * n) for n, model in enumerate(models)]
    decisions = Router(profiles, scorer=FakeScorer(), facts=facts, policy=policy).route_batch(table.prompts.tolist())
    rows = np.arange(20)
    spent = costs(table, rows, table.columns(models), rows, prices, {}).expected
    np.testing.assert_allclose(spent, [[decision.costs[model] for model in models] for decision in decisions])
    p = np.array([[decision.scores[model] for model in models] for decision in decisions])
    chosen = choose_with(policy, Pool(tuple(models), p, spent))
    assert [models[column] for column in chosen] == [decision.model for decision in decisions]
    assert len(set(chosen.tolist())) == 2
