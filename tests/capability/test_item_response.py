"""The item response model behind the core tasks, as the recipe fits it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from modelsat.capability.core import core_tasks

RECIPES = Path(__file__).parents[2] / "recipes"
if not RECIPES.is_dir():
    pytest.skip("the recipes are not part of this installation", allow_module_level=True)
sys.path.insert(0, str(RECIPES))
from item_response import fit_items, information, probability  # noqa: E402


def test_items_tell_models_apart_from_weak_to_far_above_the_best() -> None:
    items = [item for task in core_tasks() for item in task.items]
    difficulty = np.array([item.difficulty for item in items])
    slope = np.array([item.discrimination for item in items])
    chance = np.array([item.chance for item in items])
    assert (slope > 0).all()
    assert ((chance > 0) & (chance < 0.5)).all()
    assert (difficulty < -1).mean() > 0.05
    assert (difficulty > 0.9).mean() > 0.1
    ability = np.linspace(-2.0, 1.5, 15)
    told = information(ability[:, None], difficulty, slope, chance).sum(axis=1)
    assert (told**-0.5 < 0.1).all()


@pytest.mark.parametrize("chance", [0.0, 0.1, 0.25])
def test_information_is_that_of_the_curve(chance: float) -> None:
    ability, step = np.linspace(-2, 3, 21), 1e-5
    p = probability(ability, 0.4, 1.7, chance)
    slope = (probability(ability + step, 0.4, 1.7, chance) - probability(ability - step, 0.4, 1.7, chance)) / (2 * step)
    np.testing.assert_allclose(information(ability, 0.4, 1.7, chance), slope**2 / (p * (1 - p)), rtol=1e-5)
    assert probability(0.4, 0.4, 1.7, chance) == pytest.approx(chance + (1 - chance) / 2)


def test_extreme_abilities_are_finite() -> None:
    for ability in (-1e4, 1e4):
        assert np.isfinite(probability(ability, 0.0, 2.0, 0.1))
        assert information(ability, 0.0, 2.0, 0.1) == pytest.approx(0.0, abs=1e-6)


def simulated(models: int, items: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    ability = rng.normal(size=models)
    ability = (ability - ability.mean()) / ability.std()
    group = rng.integers(0, 6, items)
    difficulty = np.linspace(-1, 2, 6)[group] + rng.normal(0, 0.8, items)
    slope = np.exp(rng.normal(0.3, 0.35, items))
    p = probability(ability[None], difficulty[:, None], slope[:, None], 0.1)
    scores = (rng.random(p.shape) < p).astype(float)
    scores[rng.random(p.shape) < 0.05] = np.nan
    return scores, group, difficulty, slope, ability


def test_the_fit_recovers_simulated_items_and_abilities() -> None:
    scores, group, difficulty, slope, ability = simulated(models=200)
    fit = fit_items(scores, group.tolist(), 0.1)
    assert np.corrcoef(fit.ability, ability)[0, 1] > 0.99
    assert np.corrcoef(fit.difficulty, difficulty)[0, 1] > 0.97
    assert np.corrcoef(np.log(fit.discrimination), np.log(slope))[0, 1] > 0.7
    assert abs(np.log(fit.discrimination).mean() - 0.3) < 0.15
    assert abs((fit.difficulty - difficulty).mean()) < 0.1


def test_few_models_are_shrunk_and_the_curves_stay_right() -> None:
    scores, group, difficulty, slope, ability = simulated(models=16)
    fit = fit_items(scores, group.tolist(), 0.1)
    assert np.corrcoef(fit.ability, ability)[0, 1] > 0.97
    assert np.corrcoef(fit.difficulty, difficulty)[0, 1] > 0.85
    assert np.log(fit.discrimination).std() < np.log(slope).std()
    grid = np.linspace(-2, 2, 9)
    truth = probability(grid[None], difficulty[:, None], slope[:, None], 0.1)
    assert np.abs(fit.curves(grid).mean(axis=0) - truth.mean(axis=0)).max() < 0.04


def test_an_item_that_every_model_fails_is_hard_but_does_not_run_away() -> None:
    scores, group, *_ = simulated(models=16)
    scores[0], scores[1] = 0.0, 1.0
    fit = fit_items(scores, group.tolist(), 0.1)
    assert np.quantile(fit.difficulty, 0.7) < fit.difficulty[0] < 5
    assert -4 < fit.difficulty[1] < np.quantile(fit.difficulty, 0.3)


def test_other_units_give_the_same_curves() -> None:
    scores, group, *_ = simulated(models=16, items=60)
    fit = fit_items(scores, group.tolist(), 0.1)
    moved = fit.rescaled(-0.5, 0.6)
    assert (moved.ability.mean(), moved.ability.std()) == pytest.approx((-0.5, 0.6))
    grid = np.linspace(-2, 2, 5)
    np.testing.assert_allclose(moved.curves(-0.5 + 0.6 * grid), fit.curves(grid))
    np.testing.assert_allclose(moved.informations(-0.5 + 0.6 * grid), fit.informations(grid) / 0.6**2)
    direct = probability(0.1, moved.difficulty, moved.discrimination, 0.1)
    np.testing.assert_allclose(direct, probability(1.0, fit.difficulty, fit.discrimination, 0.1))
