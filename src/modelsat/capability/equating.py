"""Benchmark equating: every figure of a profile on common scales of ability, with honest uncertainty.

Profiles come in different currencies: fifty subjects on twenty items each, or five headline benchmarks. All are read
against the same tree of abilities; what the others say of a figure gives its expected value, and the figure is drawn
towards that value the more, the fewer items stand behind it.

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

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.core import core_tasks
from modelsat.capability.efforts import EFFORTS
from modelsat.capability.tasks import Task, catalogue, correlations, reference

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile

__all__ = ["equate", "expected_accuracy"]

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
FEATURES = 8
"""Numbers handed to the capability encoder beside each task description."""
OVERALL = 2 * len(FACTORS) + 1
"""Numbers that say how able the model is as a whole."""
DEFAULT_ITEMS = 100
"""Items assumed behind a figure that was published without a count."""
UNLIKELY = 4.5
"""Standard deviations from what the rest of the profile says beyond which a figure is taken for a mistake."""
MINIMUM_REST = 2
"""Other statements needed before a figure is called unlikely."""

_LEAST_DEVIATION = 0.03
_FULL_WEIGHT = 0.02
_logger = logging.getLogger(__name__)
_reported: set[tuple[str, str]] = set()


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


@cache
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


def level_error(equated: Equated) -> float:
    """Standard error of the level (ability units)."""
    return float(np.sqrt(equated.covariance[1:, 1:].mean()))


def equate(profile: CapabilityProfile, *, report: bool = True) -> Equated:
    """Place ``profile`` on the common scales: exact posterior means and covariance of the abilities.

    ``report``: a figure that is taken for a mistake is logged, once.
    """
    tasks = [reference(statement.task) for statement in profile.statements]
    accuracy = np.array([statement.accuracy for statement in profile.statements])
    items = np.array([statement.effective_items(DEFAULT_ITEMS) for statement in profile.statements])
    curves = np.stack([curve(task) for task in tasks])
    scatter = np.array([task.scatter for task in tasks])
    pull = evidence(tasks, curves, accuracy, 1.0 / (1.0 / items + scatter))
    factor = np.array([position(task) for task in tasks])
    summed = np.zeros((len(FACTORS), len(GRID)))
    np.add.at(summed, factor, pull)
    means, covariance, outer = posterior(summed)

    cavity = summed[factor] - pull
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
    for row in np.flatnonzero(unlikely & report):
        _report(profile.model, tasks[row].name, accuracy[row], expected[row], float(total[row]))
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


def levels_by_effort(whole: CapabilityProfile) -> dict[str, float]:
    """The level at each effort that ``whole``, from :meth:`.registry.Registry.figures`, has figures of."""
    measured = {statement.effort for statement in whole.statements}
    return {e: equate(whole.at_effort(e), report=False).level for e in EFFORTS if e in measured}


def expected_accuracy(equated: Equated, task: str) -> tuple[float, float, float]:
    """What an equated model may be expected to score on ``task``: mean and a 90 % interval, accuracies 0..1.

    The interval covers the doubt about the ability and what the task alone asks, not the noise of a finite test.
    """
    known = reference(task)
    k = position(known)
    density = np.exp(-0.5 * (GRID - equated.factors[k]) ** 2 / max(float(equated.covariance[k, k]), STEP**2))
    density /= density.sum()
    accuracies = curve(known)
    mean = float(density @ accuracies)
    spread = float(np.sqrt(max(float(density @ accuracies**2) - mean**2, 0.0) + mean * (1.0 - mean) * known.scatter))
    return mean, max(0.0, mean - 1.645 * spread), min(1.0, mean + 1.645 * spread)


def statement_features(profile: CapabilityProfile, equated: Equated | None = None) -> NDArray[np.float32]:
    """The numbers psi reads beside each task description, shape (statements, FEATURES).

    Columns: the model's level; the shrunk figure's deviation from what the rest of the profile says (logits); that
    expectation, and the shrunk figure, as accuracies on -1..1; the shrunk figure's standard error (times 4); logarithm
    of the number of items; accuracy of the average model on the task (-1..1); pooling weight (0..1).
    """
    placed = equate(profile) if equated is None else equated
    items = np.array([statement.effective_items(DEFAULT_ITEMS) for statement in profile.statements])
    average = np.array([curve(reference(statement.task)) @ PRIOR for statement in profile.statements])
    columns = (
        np.full(len(items), placed.level),
        np.clip(logit(placed.shrunk) - logit(placed.expected), -3.0, 3.0),
        2.0 * placed.expected - 1.0,
        2.0 * placed.shrunk - 1.0,
        4.0 * placed.error,
        np.minimum(np.log1p(items), 10.0) / 5.0,
        2.0 * average - 1.0,
        placed.weight,
    )
    return np.stack(columns, axis=1).astype(np.float32)


@cache
def reference_tasks() -> tuple[str, ...]:
    """Tasks that every profile is read on, asked or not: the core tasks and the benchmarks of the reference fit."""
    core = {task.name for task in core_tasks()}
    return tuple(t.name for t in catalogue().values() if t.name in core or (t.family == "benchmark" and t.fitted))


def profile_features(
    profile: CapabilityProfile, equated: Equated | None = None, tasks: Sequence[str] | None = None
) -> NDArray[np.float32]:
    """The numbers psi reads once for the whole profile, shape (OVERALL + len(tasks),).

    Means of the abilities (``FACTORS``), their standard errors, the level; then the logit of the accuracy to expect on
    each reference task: the shrunk figure where the profile states one, what the abilities say elsewhere.

    Args:
        profile: The profile.
        equated: Its place on the common scales, if known already.
        tasks: The reference tasks; those of :func:`reference_tasks` if not given.
    """
    placed = equate(profile) if equated is None else equated
    names = reference_tasks() if tasks is None else tuple(tasks)
    errors = np.sqrt(np.diag(placed.covariance))
    return np.concatenate([placed.factors, errors, [placed.level], _reference_logits(profile, placed, names)]).astype(
        np.float32
    )


def _reference_logits(profile: CapabilityProfile, equated: Equated, names: tuple[str, ...]) -> Array:
    factors, curves, rows = _reference_curves(names)
    variance = np.maximum(np.diag(equated.covariance), STEP**2)[:, None]
    density = np.exp(-0.5 * (GRID[None, :] - equated.factors[:, None]) ** 2 / variance)
    density /= density.sum(axis=1, keepdims=True)
    logits = logit((density[factors] * curves).sum(axis=1))
    told: dict[int, list[float]] = {}
    for statement, value in zip(profile.statements, logit(equated.shrunk).tolist(), strict=True):
        row = rows.get(reference(statement.task).name)
        if row is not None:
            told.setdefault(row, []).append(value)
    for row, values in told.items():  # a task may be stated more than once
        logits[row] = sum(values) / len(values)
    return logits


@lru_cache(maxsize=8)
def _reference_curves(names: tuple[str, ...]) -> tuple[NDArray[np.intp], Array, dict[str, int]]:
    tasks = [reference(name) for name in names]
    curves = np.stack([curve(task) for task in tasks]) if tasks else np.zeros((0, len(GRID)))
    rows = {task.name: row for row, task in enumerate(tasks)}
    return np.array([position(task) for task in tasks], dtype=np.intp), curves, rows


def logit(accuracy: Array) -> Array:
    """Logits of accuracies, those beyond 1 and 99 % as these."""
    inner = np.clip(accuracy, 0.01, 0.99)
    return np.asarray(np.log(inner / (1.0 - inner)))


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
