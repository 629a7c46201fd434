from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from modelsat.lab.evaluation.costs import Curve, aiq, cost_quality_curve, cost_saved, pareto_distance, pareto_front
from modelsat.lab.evaluation.metrics import (
    Anchors,
    Interval,
    brier,
    choice_metrics,
    choose,
    interval,
    mean_auc,
    outcomes_of,
    pair_curve,
    pair_metrics,
    reliability,
    resampled_auc,
    resampled_mean,
    resamples,
    widened,
)

NAN = np.nan
seeds = st.integers(0, 2**32 - 1)


def world(seed: int, items: int = 60, models: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with ties, outcomes with gaps; every prompt was answered by the first model."""
    rng = np.random.default_rng(seed)
    p = rng.integers(0, 11, (items, models)) / 10
    y = (rng.random((items, models)) < p).astype(float)
    y[rng.random((items, models)) < 0.2] = NAN
    y[:, 0] = np.nan_to_num(y[:, 0])
    return p, y


# -- choice --------------------------------------------------------------------------------------------------------


def test_the_best_scored_model_that_answered_is_chosen() -> None:
    p = np.array([[0.9, 0.5], [0.9, 0.5], [0.5, 0.5], [NAN, 0.1]])
    y = np.array([[1, 0], [NAN, 0], [0, 1], [1, 0.0]])
    assert choose(p, y).tolist() == [0, 1, 0, 1]
    assert outcomes_of(choose(p, y), y).tolist() == [1, 0, 0, 0]


def test_choice_metrics_by_hand() -> None:
    found = choice_metrics(0.7, Anchors(random=0.4, best_single=0.6, oracle=0.8))
    assert found == pytest.approx(
        {
            "accuracy": 0.7,
            "gain_over_random": 0.3,
            "gain_over_best_single": 0.1,
            "gap_to_oracle": 0.1,
            "gap_closed": 0.5,
        }
    )
    assert np.isnan(choice_metrics(0.7, Anchors(0.4, 0.8, 0.8))["gap_closed"])


@given(seeds)
def test_no_router_beats_the_oracle(seed: int) -> None:
    p, y = world(seed)
    oracle = np.nanmax(y, axis=1)
    assert (outcomes_of(choose(p, y), y) <= oracle).all()
    np.testing.assert_array_equal(outcomes_of(choose(y, y), y), oracle)


# -- probabilities -------------------------------------------------------------------------------------------------


def test_auc_and_brier_agree_with_sklearn_and_skip_gaps() -> None:
    p, y = world(3, 200)
    for column in range(3):
        known = ~np.isnan(y[:, column])
        alone = mean_auc(p[:, [column]], y[:, [column]])
        assert alone == pytest.approx(roc_auc_score(y[known, column], p[known, column]))
    known = ~np.isnan(y)
    assert brier(p, y) == pytest.approx(brier_score_loss(y[known], p[known]))


def test_a_model_that_always_succeeds_has_no_auc() -> None:
    y = np.array([[1, 0], [1, 1], [1, 0.0]])
    p = np.array([[0.5, 0.1], [0.6, 0.9], [0.7, 0.2]])
    assert mean_auc(p, y) == 1.0
    assert np.isnan(mean_auc(p[:, :1], y[:, :1]))


def test_ece_by_hand() -> None:
    p = np.array([[0.2], [0.2], [0.8], [0.8]])
    y = np.array([[0.0], [1.0], [1.0], [1.0]])
    diagram = reliability(p, y, bins=2)
    assert diagram.ece == pytest.approx((2 * 0.3 + 2 * 0.2) / 4)
    assert diagram.predicted.tolist() == pytest.approx([0.2, 0.8])
    assert diagram.observed.tolist() == [0.5, 1.0]
    assert diagram.count.tolist() == [2, 2]


def test_fewer_pairs_than_bins_are_no_trouble() -> None:
    assert reliability(np.array([[0.5]]), np.array([[1.0]])).ece == 0.5


# -- strong and weak -----------------------------------------------------------------------------------------------


def test_pair_metrics_by_hand() -> None:
    """Only the first prompt needs the strong model; preference finds it first."""
    strong, weak = np.array([1.0, 1, 1, 0]), np.array([0.0, 1, 1, 0])
    curve = pair_curve(np.array([0.9, 0.1, 0.2, 0.3]), strong, weak)
    assert curve is not None
    assert curve.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.recovered.tolist() == [0, 1, 1, 1, 1]
    assert curve.apgr == pytest.approx(0.875)
    assert curve.cpt(0.5) == pytest.approx(0.125)
    assert curve.cpt(1.0) == pytest.approx(0.25)


def test_a_constant_preference_is_a_coin() -> None:
    p, y = world(5, 400)
    y[:, 1] = np.where(np.arange(400) % 3 == 0, 1.0, y[:, 1])
    better = int(np.nanmean(y[:, 1]) > np.nanmean(y[:, 2]))
    pair = (1, 2) if better else (2, 1)
    found = pair_metrics(np.zeros_like(p), y, [pair])
    assert found == pytest.approx({"apgr": 0.5, "cpt_50": 0.5, "cpt_80": 0.8, "cpt_95": 0.95})


def test_no_gap_no_curve() -> None:
    same = np.array([1.0, 0.0])
    assert pair_curve(same, same, same) is None
    assert pair_metrics(np.zeros((2, 2)), np.stack([same, same], 1), [(0, 1)]) == {}


@given(seeds)
def test_cpt_rises_with_its_target_and_apgr_is_highest_for_the_truth(seed: int) -> None:
    p, y = world(seed)
    curve = pair_curve(p[:, 0] - p[:, 1], y[:, 0], y[:, 1])
    if curve is None:
        return
    found = [curve.cpt(target) for target in (0.2, 0.5, 0.8, 0.95, 1.0)]
    assert found == sorted(found)
    assert all(0 <= value <= 1 for value in found)
    truth = pair_curve(y[:, 0] - y[:, 1], y[:, 0], y[:, 1])
    assert truth is not None
    assert truth.apgr >= curve.apgr - 1e-9


# -- cost ----------------------------------------------------------------------------------------------------------


def test_the_hull_drops_points_below_it_and_never_falls() -> None:
    hull = Curve(np.array([0.0, 1, 2, 3, 4]), np.array([0.0, 0.1, 1.0, 0.5, 1.2])).hull()
    assert hull.cost.tolist() == [0, 2, 4]
    assert hull.quality.tolist() == [0, 1, 1.2]


def test_aiq_by_hand() -> None:
    line = Curve(np.array([1.0, 3.0]), np.array([0.4, 0.8]))
    assert aiq(line, 1, 3) == pytest.approx(0.6)
    assert aiq(line, 1, 5) == pytest.approx((2 * 0.6 + 2 * 0.8) / 4)
    assert aiq(line, 2, 2) == pytest.approx(0.8)


def test_the_trade_off_sweeps_from_the_best_to_the_cheapest() -> None:
    p = np.array([[0.9, 0.4], [0.6, 0.5]])
    y = np.array([[1.0, 0.0], [1.0, 1.0]])
    costs = np.tile([0.010, 0.001], (2, 1))
    curve = cost_quality_curve(p, y, costs, costs)
    assert (curve.cost[0], curve.quality[0]) == pytest.approx((0.010, 1.0))
    assert (curve.cost[-1], curve.quality[-1]) == pytest.approx((0.001, 0.5))
    assert cost_saved(curve, 0.010, 1.0, 1.0) == pytest.approx(1 - 0.0055 / 0.010)
    assert np.isnan(cost_saved(Curve(curve.cost, curve.quality / 2), 0.010, 1.0, 0.95))


@given(seeds)
def test_aiq_stays_within_the_curves_quality_and_the_oracles_is_highest(seed: int) -> None:
    p, y = world(seed)
    costs = np.tile([0.001, 0.004, 0.020], (len(y), 1))
    curve, oracle = cost_quality_curve(p, y, costs, costs), cost_quality_curve(y, y, costs, costs)
    area = aiq(curve, 0.001, 0.020)
    assert curve.quality.min() - 1e-9 <= area <= curve.quality.max() + 1e-9
    assert area <= aiq(oracle, 0.001, 0.020) + 1e-9
    saved = [cost_saved(curve, 0.020, 0.5, share) for share in (0.95, 0.99, 1.0)]
    reached = [value for value in saved if not np.isnan(value)]
    assert reached == sorted(reached, reverse=True)


def test_the_pareto_front_by_hand() -> None:
    cost, quality = np.array([1.0, 2, 3, 2]), np.array([0.5, 0.7, 0.6, 0.7])
    assert pareto_front(cost, quality).tolist() == [True, True, False, True]
    front = Curve(cost[:2], quality[:2])
    assert pareto_distance(front, front, 1.0, 1.0) == 0.0
    assert pareto_distance(Curve(np.array([3.0]), np.array([0.7])), front, 2.0, 1.0) == pytest.approx(0.5)


# -- bootstrap -----------------------------------------------------------------------------------------------------


def test_resampled_values_surround_the_value() -> None:
    p, y = world(7, 300)
    weights = resamples(len(y), 400)
    assert (weights.sum(axis=1) == len(y)).all()
    areas = resampled_auc(p, y, weights)
    assert areas.mean() == pytest.approx(mean_auc(p, y), abs=0.01)
    once = np.ones((1, len(y)), dtype=np.float32)
    assert resampled_auc(p, y, once)[0] == pytest.approx(mean_auc(p, y), abs=1e-6)
    values = y[:, 0]
    found = interval(values.mean(), resampled_mean(values, weights))
    error = values.std() / np.sqrt(len(values))
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.01)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.01)


def test_a_weighted_auc_is_sklearns() -> None:
    p, y = world(9, 80, 1)
    weights = resamples(80, 3, seed=1)
    for drawn, area in zip(weights, resampled_auc(p, y, weights), strict=True):
        assert area == pytest.approx(roc_auc_score(y[:, 0], p[:, 0], sample_weight=drawn), abs=1e-6)


def test_two_equal_routers_on_a_few_prompts_are_not_equal_for_sure() -> None:
    same = np.zeros(12)
    found = widened(Interval(0.0, 0.0, 0.0), same)
    assert found.low < -0.05
    assert found.high > 0.05
    assert found.mean == 0.0
    one_better = np.array([1.0] + [0.0] * 11)
    assert widened(Interval(1 / 12, 0.0, 0.25), one_better).low < 0.0
    many = np.zeros(100_000)
    assert widened(Interval(0.0, 0.0, 0.0), many).high < 1e-4
