"""The tree of abilities: what figures say about them, and their exact posterior on a grid.

A model has a general ability g and a few group abilities theta_k that hang on it; every task reads one of them. With
chance level c, discrimination a > 0 and difficulty d,

    g ~ N(0, 1),    theta_k | g ~ N(l_k g, 1 - l_k^2),    p = c + (1 - c) sigmoid(a theta_k - d).

This is a second-order factor model (Schmid and Leiman, 1957) of item response theory (Birnbaum, 1968). A figure y on n
items scatters by p (1 - p) (1 / n + r): binomial noise, and r for what the task alone asks and for runs that differ.
A figure's pull on an ability is its quasi-likelihood score (Wedderburn, 1974), clipped at two standard deviations
(Huber, 1964), so that a mistyped figure pulls little and 0 % or 100 % is finite.

As the abilities form a tree, message passing gives the posterior without approximation but the grid's. It is also
monotone: every term is log-supermodular (a, l_k > 0, and the clipped score rises with y), so raising one figure lowers
no ability, whatever else the profile says (Karlin and Rinott, 1980).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.tasks import Task, correlations

Array = NDArray[np.float64]

FACTORS = ("general", "knowledge", "quantitative", "reasoning", "practice")
"""Abilities, the general one first."""
CLIP = 2.0
"""Standard deviations beyond which a figure pulls no harder."""
GRID: Array = np.linspace(-4.5, 4.5, 91)
"""Abilities at which densities are known (standard deviations of the models of the reference fit)."""
STEP = float(GRID[1] - GRID[0])
PRIOR: Array = np.exp(-0.5 * GRID**2) / np.exp(-0.5 * GRID**2).sum()
"""Density of every ability before anything is known, shape (grid,), sum 1."""


def position(task: Task) -> int:
    """Index in ``FACTORS`` of the ability that ``task`` reads."""
    return FACTORS.index(task.factor)


@lru_cache(maxsize=4096)
def curve(task: Task) -> Array:
    """Expected accuracy at every ability of the grid, shape (grid,)."""
    share = 0.5 * (1.0 + np.tanh(0.5 * (task.discrimination * GRID - task.difficulty)))
    return np.asarray(np.clip(task.chance + (1.0 - task.chance) * share, 1e-9, 1.0 - 1e-9))


def evidence(tasks: list[Task], curves: Array, accuracy: Array, items: Array) -> Array:
    """Log quasi-likelihood of each figure over the grid, its score clipped; shape (statements, grid)."""
    chance = np.array([task.chance for task in tasks])[:, None]
    slope = np.array([task.discrimination for task in tasks])[:, None]
    share = (curves - chance) / (1.0 - chance)
    deviation = np.sqrt(curves * (1.0 - curves) / items[:, None])
    distance = np.clip(accuracy[:, None] - curves, -CLIP * deviation, CLIP * deviation)
    score = items[:, None] * slope * share / curves * distance
    steps = 0.5 * STEP * (score[:, 1:] + score[:, :-1])
    return np.concatenate([np.zeros((len(tasks), 1)), np.cumsum(steps, axis=1)], axis=1)


@lru_cache(maxsize=1)
def transitions() -> Array:
    """Density of each group ability given the general one, shape (K - 1, grid of g, grid of theta)."""
    shared = np.array([correlations()[name] for name in FACTORS[1:]])[:, None, None]
    distance = GRID[None, None, :] - shared * GRID[None, :, None]
    density = np.exp(-0.5 * distance**2 / (1.0 - shared**2))
    return np.asarray(density / density.sum(axis=2, keepdims=True))


def posterior(logs: Array) -> tuple[Array, Array, Array]:
    """Posterior of the abilities, given their summed log-likelihoods of shape (K, grid).

    Returns:
        Means (K,); covariance (K, K); and for each ability the density that the prior and the evidence on the *other*
        abilities give it, shape (K, grid), not normalised.
    """
    density = transitions()
    likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
    joint = density * likelihood[1:, None, :]
    message = joint.sum(axis=2) + 1e-300
    given = joint @ GRID / message
    squared = joint @ GRID**2 / message
    upwards = np.log(message)
    total = np.log(PRIOR) + logs[0] + upwards.sum(axis=0)
    general = np.exp(total - total.max())
    general /= general.sum()
    conditional = np.vstack([GRID, given])
    means = conditional @ general
    covariance = (conditional * general) @ conditional.T - np.outer(means, means)
    inner = ((squared - given**2) * general).sum(axis=1)
    covariance[np.arange(1, len(means)), np.arange(1, len(means))] += inner
    rest = total - upwards
    rest = np.exp(rest - rest.max(axis=1, keepdims=True))
    upper = np.log(PRIOR) + upwards.sum(axis=0)
    outer = np.vstack([np.exp(upper - upper.max()), np.einsum("kg,kgt->kt", rest, density)])
    return means, covariance, outer
