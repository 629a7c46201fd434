"""Item response theory: fits the items of an aptitude test by the two-parameter logistic model with fixed guessing.

A model of ability t answers an item of difficulty d, discrimination a and chance c correctly with probability

    p(t) = c + (1 - c) * sigmoid(a * (t - d)),

and the answer tells about t (Fisher information; Birnbaum in Lord and Novick, 1968, "Statistical Theories of Mental
Test Scores", chapter 20)

    I(t) = p'(t)^2 / (p (1 - p)) = a^2 * (p - c)^2 / (1 - c)^2 * (1 - p) / p.

Few models answer each item, so items are fitted by empirical Bayes: a normal prior on difficulty around the mean of the
item's group, one on log discrimination around a common mean, both estimated (EM over a grid, after Bock and Aitkin,
1981), abilities jointly. An item all models fail stays hard and its discrimination common; neither runs away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelsat.lab.aptitude.adaptive import probability

Array = NDArray[np.float64]
_Curve = Callable[[ArrayLike, ArrayLike, ArrayLike, ArrayLike], Array]

_DIFFICULTIES = np.linspace(-5.0, 6.0, 45)
_LOG_SLOPES = np.linspace(-2.4, 1.4, 20)
_NODES = np.stack(np.meshgrid(_DIFFICULTIES, _LOG_SLOPES, indexing="ij"), axis=-1).reshape(-1, 2)
_ABILITIES = np.linspace(-4.0, 4.0, 161)
_GROUP_SPREAD = 1.0
_LEAST_SPREAD = 0.1


def information(ability: ArrayLike, difficulty: ArrayLike, discrimination: ArrayLike, chance: ArrayLike) -> Array:
    """Fisher information I(t) of one answer (per squared ability unit); the arguments broadcast."""
    a, c = np.asarray(discrimination, dtype=np.float64), np.asarray(chance, dtype=np.float64)
    p = np.clip(probability(ability, difficulty, a, c), 1e-12, 1.0 - 1e-12)
    result: Array = a**2 * np.maximum(p - c, 0.0) ** 2 / (1.0 - c) ** 2 * (1.0 - p) / p
    return result


@dataclass(frozen=True)
class ItemFit:
    """Fitted items and abilities; the abilities of the models fitted have the mean and spread asked for.

    Attributes:
        difficulty: Posterior mean, ability units, shape (items,).
        discrimination: Geometric posterior mean, per ability unit, shape (items,).
        chance: As given, shape (items,).
        ability: Shape (models,).
    """

    difficulty: Array
    discrimination: Array
    chance: Array
    ability: Array
    _posterior: Array = field(repr=False)
    _location: float = field(default=0.0, repr=False)
    _scale: float = field(default=1.0, repr=False)

    def rescaled(self, mean: float, spread: float) -> ItemFit:
        """The same fit in other units: abilities of the fitted models with this mean and standard deviation."""
        scale = spread / float(self.ability.std())
        shift = mean - scale * float(self.ability.mean())
        return ItemFit(
            difficulty=shift + scale * self.difficulty,
            discrimination=self.discrimination / scale,
            chance=self.chance,
            ability=shift + scale * self.ability,
            _posterior=self._posterior,
            _location=shift + scale * self._location,
            _scale=scale * self._scale,
        )

    def curves(self, ability: ArrayLike) -> Array:
        """Probability of each item at each ability, averaged over what is unsure of the item: (items, abilities)."""
        return self._average(probability, ability)

    def informations(self, ability: ArrayLike) -> Array:
        """Information of each item at each ability, averaged likewise: shape (items, abilities)."""
        return self._average(information, ability) / self._scale**2

    def _average(self, function: _Curve, ability: ArrayLike) -> Array:
        standard = (np.atleast_1d(np.asarray(ability, dtype=np.float64)) - self._location) / self._scale
        result = np.empty((len(self.chance), len(standard)))
        for chance in np.unique(self.chance):
            rows = self.chance == chance
            nodes = function(standard[None], _NODES[:, :1], np.exp(_NODES[:, 1:]), chance)
            result[rows] = self._posterior[rows] @ nodes
        return result


def fit_items(scores: ArrayLike, groups: Sequence[object], chance: ArrayLike, rounds: int = 40) -> ItemFit:
    """Fit items and abilities jointly.

    Args:
        scores: Outcomes 0..1, NaN where a model did not answer, shape (items, models).
        groups: Group of each item (its subject), shape (items,).
        chance: Accuracy of guessing on each item, 0..1, shape (items,).
        rounds: Rounds of expectation and maximisation at most.

    Returns:
        The fit, in units in which the models' abilities have mean 0 and standard deviation 1.
    """
    outcome = np.asarray(scores, dtype=np.float64)
    guess = np.broadcast_to(np.asarray(chance, dtype=np.float64), outcome.shape[:1]).copy()
    _, group = np.unique(np.asarray([str(name) for name in groups], dtype=object), return_inverse=True)
    right, wrong = np.nan_to_num(outcome), np.nan_to_num(1.0 - outcome)
    levels = [(value, guess == value) for value in np.unique(guess)]
    share = np.clip(np.nanmean(outcome, axis=0), 0.02, 0.98)
    ability = _standard(np.log(share / (1.0 - share)))
    centre, spread = np.zeros(group.max() + 1), 1.5
    slope, slope_spread = 0.0, 0.5
    posterior = np.empty((len(outcome), len(_NODES)))
    for _ in range(rounds):
        prior = -0.5 * ((_NODES[:, 0] - centre[group][:, None]) / spread) ** 2
        prior -= 0.5 * ((_NODES[:, 1] - slope) / slope_spread) ** 2
        for value, rows in levels:
            hit, miss = _log_odds(ability, value)
            posterior[rows] = prior[rows] + right[rows] @ hit.T + wrong[rows] @ miss.T
        posterior -= posterior.max(axis=1, keepdims=True)
        np.exp(posterior, out=posterior)
        posterior /= posterior.sum(axis=1, keepdims=True)
        mean, square = posterior @ _NODES, posterior @ _NODES**2
        size = np.bincount(group)
        total = np.bincount(group, mean[:, 0])
        ridge = (spread / _GROUP_SPREAD) ** 2
        centre = (total + ridge * (total / size).mean()) / (size + ridge)
        away = square[:, 0] - 2.0 * centre[group] * mean[:, 0] + centre[group] ** 2
        spread = max(float(np.sqrt(away.mean())), _LEAST_SPREAD)
        slope = float(mean[:, 1].mean())
        slope_spread = max(float(np.sqrt((square[:, 1] - 2 * slope * mean[:, 1] + slope**2).mean())), _LEAST_SPREAD)
        before, ability = ability, _abilities(posterior, right, wrong, levels)
        if np.abs(ability - before).max() < 1e-3:
            break
    return ItemFit(mean[:, 0], np.exp(mean[:, 1]), guess, ability, posterior)


def _log_odds(ability: Array, chance: float) -> tuple[Array, Array]:
    """Logarithms of p and 1 - p at every node and ability, shape (nodes, abilities)."""
    p = np.clip(probability(ability[None], _NODES[:, :1], np.exp(_NODES[:, 1:]), chance), 1e-9, 1.0 - 1e-9)
    return np.log(p), np.log1p(-p)


def _abilities(posterior: Array, right: Array, wrong: Array, levels: list[tuple[float, NDArray[np.bool_]]]) -> Array:
    """Abilities of highest posterior density (standard-normal prior), standardised."""
    value = np.tile(-0.5 * _ABILITIES**2, (right.shape[1], 1))
    for chance, rows in levels:
        hit, miss = _log_odds(_ABILITIES, chance)
        value += right[rows].T @ posterior[rows] @ hit + wrong[rows].T @ posterior[rows] @ miss
    best = np.clip(value.argmax(axis=1), 1, len(_ABILITIES) - 2)
    model = np.arange(len(best))
    left, middle, after = value[model, best - 1], value[model, best], value[model, best + 1]
    step = 0.5 * (left - after) / np.minimum(left - 2.0 * middle + after, -1e-9)
    return _standard(_ABILITIES[best] + np.clip(step, -1, 1) * (_ABILITIES[1] - _ABILITIES[0]))


def _standard(values: Array) -> Array:
    standard: Array = (values - values.mean()) / max(float(values.std()), 1e-9)
    return standard
