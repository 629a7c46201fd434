"""Benchmark equating: every figure of a profile on common scales of ability, with honest uncertainty.

A model has a general ability g and a few group abilities theta_k (knowledge, reasoning, ...) that hang on it; every
task reads one of them. With chance level c, discrimination a > 0 and difficulty d,

    g ~ N(0, 1),    theta_k | g ~ N(l_k g, 1 - l_k^2),    p = c + (1 - c) sigmoid(a theta_k - d).

This is a second-order factor model (Schmid and Leiman, 1957) of item response theory (Birnbaum, 1968). A figure y on n
items scatters by p (1 - p) (1 / n + r): binomial noise, and r for what the task alone asks and for runs that differ.
A figure's pull on an ability is its quasi-likelihood score (Wedderburn, 1974), clipped at two standard deviations
(Huber, 1964), so that a mistyped figure pulls little and 0 % or 100 % is finite.

As abilities form a tree, the posterior is exact on a grid by message passing. It is also monotone: every term is
log-supermodular (loadings and l_k are positive, the clipped score rises with y), so raising one figure lowers no
ability, whatever else the profile says (Karlin and Rinott, 1980).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.tasks import Task, correlations, reference

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile

Array = NDArray[np.float64]

FACTORS = ("general", "knowledge", "quantitative", "reasoning", "practice")
"""Abilities, the general one first."""
FEATURES = 8
"""Numbers handed to the capability encoder beside each task description."""
PROFILE_FEATURES = 2 * len(FACTORS) + 1
"""Numbers handed to the capability encoder for the profile as a whole."""
DEFAULT_ITEMS = 100
"""Items assumed behind a figure that was published without a count."""
CLIP = 2.0
"""Standard deviations beyond which a figure pulls no harder."""
UNLIKELY = 4.5
"""Standard deviations from what the rest of the profile says beyond which a figure is taken for a mistake."""
MINIMUM_REST = 2
"""Other statements needed before a figure is called unlikely."""

_GRID: Array = np.linspace(-4.5, 4.5, 91)
_STEP = float(_GRID[1] - _GRID[0])
_PRIOR: Array = np.exp(-0.5 * _GRID**2) / np.exp(-0.5 * _GRID**2).sum()
_LEAST_DEVIATION = 0.03
_FULL_WEIGHT = 0.02
_logger = logging.getLogger(__name__)
_reported: set[tuple[str, str]] = set()


@dataclass(frozen=True, slots=True)
class Equated:
    """A profile on the common scales (standard deviations of the models of the reference fit).

    Attributes:
        factors: Posterior means of the abilities, shape (K,), in the order of ``FACTORS``.
        covariance: Their posterior covariance, shape (K, K).
        level: Scalar summary: the mean of the group abilities.
        expected: Accuracy of each statement's task as the rest of the profile has it, shape (statements,), 0..1.
        shrunk: The figures drawn towards ``expected``, the more the fewer items stand behind them; shape (statements,).
        error: Standard error of ``shrunk`` (accuracy).
        weight: Weight of each statement when statements are pooled, 0..1.
        unlikely: Whether a figure is improbable under the rest of the profile; shape (statements,), bool.
    """

    factors: Array
    covariance: Array
    level: float
    expected: Array
    shrunk: Array
    error: Array
    weight: Array
    unlikely: NDArray[np.bool_] = field(repr=False)


def equate(profile: CapabilityProfile) -> Equated:
    """Place ``profile`` on the common scales: exact posterior means and covariance of the abilities."""
    tasks = [reference(statement.task) for statement in profile.statements]
    accuracy = np.array([statement.accuracy for statement in profile.statements])
    items = np.array([statement.items or DEFAULT_ITEMS for statement in profile.statements], dtype=float)
    curves = np.stack([_curve(task) for task in tasks])
    scatter = np.array([task.scatter for task in tasks])
    pull = _pull(tasks, curves, accuracy, 1.0 / (1.0 / items + scatter))
    factor = np.array([_position(task) for task in tasks])
    evidence = np.zeros((len(FACTORS), len(_GRID)))
    np.add.at(evidence, factor, pull)
    means, covariance, outer = _posterior(evidence)

    cavity = evidence[factor] - pull
    density = outer[factor] * np.exp(cavity - cavity.max(axis=1, keepdims=True)) + 1e-300
    density /= density.sum(axis=1, keepdims=True)
    expected = (density * curves).sum(axis=1)
    doubt = np.maximum((density * curves**2).sum(axis=1) - expected**2, 0.0)
    binomial = np.maximum(expected * (1.0 - expected), 1e-4)
    own = doubt + binomial * scatter
    total = own + binomial / items
    deviation = (accuracy - expected) / np.sqrt(np.maximum(total, _LEAST_DEVIATION**2))
    unlikely = (np.abs(deviation) > UNLIKELY) & (len(tasks) > MINIMUM_REST)
    keep = np.where(unlikely, 0.05, 1.0) * own / total
    weight = np.where(unlikely, 0.02, 1.0) * np.minimum(1.0, _FULL_WEIGHT / (scatter + 1.0 / items))
    for position in np.flatnonzero(unlikely):
        _report(profile.model, tasks[position].name, accuracy[position], expected[position], float(total[position]))
    return Equated(
        factors=means,
        covariance=covariance,
        level=float(means[1:].mean()),
        expected=expected,
        shrunk=expected + keep * (accuracy - expected),
        error=np.sqrt(own * (1.0 - keep)),
        weight=weight,
        unlikely=unlikely,
    )


def expected_accuracy(equated: Equated, task: str) -> tuple[float, float, float]:
    """What an equated model may be expected to score on ``task``: mean and a 90 % interval, accuracies 0..1.

    The interval covers the doubt about the ability and what the task alone asks, not the noise of a finite test.
    """
    known = reference(task)
    k = _position(known)
    density = np.exp(-0.5 * (_GRID - equated.factors[k]) ** 2 / max(float(equated.covariance[k, k]), _STEP**2))
    density /= density.sum()
    curve = _curve(known)
    mean = float(density @ curve)
    spread = float(np.sqrt(max(float(density @ curve**2) - mean**2, 0.0) + mean * (1.0 - mean) * known.scatter))
    return mean, max(0.0, mean - 1.645 * spread), min(1.0, mean + 1.645 * spread)


def statement_features(profile: CapabilityProfile, equated: Equated | None = None) -> NDArray[np.float32]:
    """The numbers psi reads beside each task description, shape (statements, FEATURES).

    Columns: the model's level; the shrunk figure's deviation from what the rest of the profile says (logits); that
    expectation, and the shrunk figure, as accuracies on -1..1; the shrunk figure's standard error (times 4); logarithm
    of the number of items; accuracy of the average model on the task (-1..1); pooling weight (0..1).
    """
    placed = equate(profile) if equated is None else equated
    items = np.array([statement.items or DEFAULT_ITEMS for statement in profile.statements], dtype=float)
    average = np.array([_curve(reference(statement.task)) @ _PRIOR for statement in profile.statements])
    columns = (
        np.full(len(items), placed.level),
        np.clip(_logit(placed.shrunk) - _logit(placed.expected), -3.0, 3.0),
        2.0 * placed.expected - 1.0,
        2.0 * placed.shrunk - 1.0,
        4.0 * placed.error,
        np.minimum(np.log1p(items), 10.0) / 5.0,
        2.0 * average - 1.0,
        placed.weight,
    )
    return np.stack(columns, axis=1).astype(np.float32)


def profile_features(profile: CapabilityProfile, equated: Equated | None = None) -> NDArray[np.float32]:
    """The numbers psi reads once for the whole profile, shape (PROFILE_FEATURES,).

    Means of the abilities (``FACTORS``), their standard errors, the level.
    """
    placed = equate(profile) if equated is None else equated
    errors = np.sqrt(np.diag(placed.covariance))
    return np.concatenate([placed.factors, errors, [placed.level]]).astype(np.float32)


def _logit(accuracy: Array) -> Array:
    inner = np.clip(accuracy, 0.01, 0.99)
    return np.asarray(np.log(inner / (1.0 - inner)))


def _position(task: Task) -> int:
    return FACTORS.index(task.factor)


@lru_cache(maxsize=4096)
def _curve(task: Task) -> Array:
    """Expected accuracy at every ability of the grid, shape (grid,)."""
    share = 0.5 * (1.0 + np.tanh(0.5 * (task.discrimination * _GRID - task.difficulty)))
    return np.asarray(np.clip(task.chance + (1.0 - task.chance) * share, 1e-9, 1.0 - 1e-9))


def _pull(tasks: list[Task], curves: Array, accuracy: Array, items: Array) -> Array:
    """Log quasi-likelihood of each figure over the grid, its score clipped; shape (statements, grid)."""
    chance = np.array([task.chance for task in tasks])[:, None]
    slope = np.array([task.discrimination for task in tasks])[:, None]
    share = (curves - chance) / (1.0 - chance)
    deviation = np.sqrt(curves * (1.0 - curves) / items[:, None])
    distance = np.clip(accuracy[:, None] - curves, -CLIP * deviation, CLIP * deviation)
    score = items[:, None] * slope * share / curves * distance
    steps = 0.5 * _STEP * (score[:, 1:] + score[:, :-1])
    return np.concatenate([np.zeros((len(tasks), 1)), np.cumsum(steps, axis=1)], axis=1)


@lru_cache(maxsize=1)
def _transitions() -> Array:
    """Density of each group ability given the general one, shape (K - 1, grid of g, grid of theta)."""
    shared = np.array([correlations()[name] for name in FACTORS[1:]])[:, None, None]
    distance = _GRID[None, None, :] - shared * _GRID[None, :, None]
    density = np.exp(-0.5 * distance**2 / (1.0 - shared**2))
    return np.asarray(density / density.sum(axis=2, keepdims=True))


def _posterior(evidence: Array) -> tuple[Array, Array, Array]:
    """Means (K,), covariance (K, K), and what the rest of the tree says of each ability, shape (K, grid)."""
    transitions = _transitions()
    likelihood = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    joint = transitions * likelihood[1:, None, :]
    message = joint.sum(axis=2) + 1e-300
    given = joint @ _GRID / message
    squared = joint @ _GRID**2 / message
    logs = np.log(message)
    total = np.log(_PRIOR) + evidence[0] + logs.sum(axis=0)
    general = np.exp(total - total.max())
    general /= general.sum()
    conditional = np.vstack([_GRID, given])
    means = conditional @ general
    covariance = (conditional * general) @ conditional.T - np.outer(means, means)
    inner = ((squared - given**2) * general).sum(axis=1)
    covariance[np.arange(1, len(means)), np.arange(1, len(means))] += inner
    rest = total - logs
    rest = np.exp(rest - rest.max(axis=1, keepdims=True))
    upper = np.log(_PRIOR) + logs.sum(axis=0)
    outer = np.vstack([np.exp(upper - upper.max()), np.einsum("kg,kgt->kt", rest, transitions)])
    return means, covariance, outer


def _report(model: str, task: str, accuracy: float, expected: float, variance: float) -> None:
    if (model, task) in _reported:
        return
    _reported.add((model, task))
    reach = UNLIKELY * max(np.sqrt(variance), _LEAST_DEVIATION)
    _logger.warning(
        "%s: %.1f %% on %s is improbable beside its other figures (expected %.1f to %.1f %%) and counts for almost "
        "nothing: check it for a typing error",
        model,
        100.0 * accuracy,
        task,
        100.0 * max(0.0, expected - reach),
        100.0 * min(1.0, expected + reach),
    )
