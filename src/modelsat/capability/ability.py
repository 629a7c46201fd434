"""Placing accuracies on one ability scale, and shrinking those that rest on few items.

A figure is read against its task: 26 % on an expert exam is superb, 26 % on four options is chance. Every task of the
catalogue has a chance level c, a difficulty d and a discrimination a, so that a model of ability t is expected to score

    p = c + (1 - c) * sigmoid(a * (t - d)).

Inverting the curve turns any figure into an ability; abilities of one model scatter around its level with a spread that
the reference fit measured, and binomial error on top. Empirical Bayes does the rest: the level is the mean weighted by
precision, and each ability is drawn towards it the more, the fewer items stand behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.tasks import reference

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile

TASK_SPREAD = 0.40
"""Spread of a model's ability between known tasks (ability units; reference fit)."""
UNKNOWN_TASK_SPREAD = 1.0
"""The same where the task has no reference statistics: difficulty and slope are guesses."""
DEFAULT_ITEMS = 100
"""Items assumed behind a figure that was published without a count."""
EDGE = 0.03
"""Shares nearer to none or all than this (from 100 items on) say no more: mislabelled items decide there."""
MAXIMUM_ABILITY = 6.0
"""Abilities are kept within this range: beyond it a figure says no more than "all" or "none"."""

FEATURES = 6
"""Numbers handed to the capability encoder beside each task description."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """A profile on the ability scale. Arrays have shape (statements,).

    Attributes:
        raw: Ability read off each figure by itself.
        error: Its standard error (binomial), ability units.
        spread: Spread of true abilities between tasks, ability units.
        level: The model's overall ability.
        shrunk: Abilities drawn towards the level.
    """

    raw: NDArray[np.float64]
    error: NDArray[np.float64]
    spread: NDArray[np.float64]
    level: float
    shrunk: NDArray[np.float64]


def abilities(profile: CapabilityProfile) -> Abilities:
    """Place every statement of ``profile`` on the ability scale and shrink it towards the model's level."""
    tasks = [reference(statement.task) for statement in profile.statements]
    chance = np.array([task.chance for task in tasks])
    slope = np.array([task.discrimination for task in tasks])
    difficulty = np.array([task.difficulty for task in tasks])
    spread = np.array([TASK_SPREAD if task.known else UNKNOWN_TASK_SPREAD for task in tasks])
    items = np.array([statement.items or DEFAULT_ITEMS for statement in profile.statements], dtype=float)
    accuracy = np.array([statement.accuracy for statement in profile.statements])

    smoothed = (accuracy * items + 0.5) / (items + 1.0)
    edge = np.maximum(0.5 / (items + 1.0), EDGE * np.minimum(1.0, items / 100.0))
    share = np.clip((smoothed - chance) / (1.0 - chance), edge, 1.0 - edge)
    raw = np.clip(difficulty + np.log(share / (1.0 - share)) / slope, -MAXIMUM_ABILITY, MAXIMUM_ABILITY)
    gradient = (1.0 - chance) * slope * share * (1.0 - share)
    binomial = chance + (1.0 - chance) * share
    error = np.minimum(np.sqrt(binomial * (1.0 - binomial) / items) / gradient, 10.0)

    precision = 1.0 / (spread**2 + error**2)
    level = float((precision * raw).sum() / (precision.sum() + 1.0))
    keep = spread**2 / (spread**2 + error**2)
    return Abilities(raw=raw, error=error, spread=spread, level=level, shrunk=level + keep * (raw - level))


def shrunk_accuracies(profile: CapabilityProfile) -> NDArray[np.float64]:
    """Accuracies of the statements after shrinkage, shape (statements,), 0..1."""
    tasks = [reference(statement.task) for statement in profile.statements]
    chance = np.array([task.chance for task in tasks])
    slope = np.array([task.discrimination for task in tasks])
    difficulty = np.array([task.difficulty for task in tasks])
    ability = abilities(profile).shrunk
    accuracy: NDArray[np.float64] = chance + (1.0 - chance) / (1.0 + np.exp(-slope * (ability - difficulty)))
    return accuracy


def statement_features(profile: CapabilityProfile) -> NDArray[np.float32]:
    """The numbers psi reads beside each task description, shape (statements, FEATURES).

    Columns: the model's level; the statement's shrunk deviation from it; the shrunk accuracy (-1..1); standard error;
    logarithm of the number of items; pooling weight (precision relative to a perfectly measured known task, 0..1).
    """
    placed = abilities(profile)
    items = np.array([statement.items or DEFAULT_ITEMS for statement in profile.statements], dtype=float)
    columns = (
        np.full(len(items), placed.level),
        placed.shrunk - placed.level,
        2.0 * shrunk_accuracies(profile) - 1.0,
        np.minimum(placed.error, 3.0),
        np.log1p(items) / 5.0,
        TASK_SPREAD**2 / (placed.spread**2 + placed.error**2),
    )
    return np.stack(columns, axis=1).astype(np.float32)
