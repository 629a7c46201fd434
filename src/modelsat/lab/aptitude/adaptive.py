"""Adaptive testing: a posterior of what the model can do, and the questions that are most informative."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelsat.capability.core import CoreTask
from modelsat.capability.tasks import reference

Array = NDArray[np.float64]

GENERAL_SPREAD, FIELD_SPREAD, TASK_SPREAD = 1.5, 0.2, 0.15
"""Spreads s_g, s_f, s_t in ability units."""
ITEM_DOUBT = 0.4
"""Standard error of an item's difficulty, ability units."""
GUESSING = (0.4, 0.7, 1.0)
LAPSES = (0.005, 0.03, 0.08)
"""Values of k and e that are averaged over, equally likely beforehand."""
ROUND = 25
"""Questions asked before the posterior is computed again."""
LEAST = 2
"""Questions each task is asked at least."""

GRID: Array = np.linspace(-5.0, 5.0, 101)
_GROUPS = ("knowledge", "quantitative")
_AMONG = 3


def probability(ability: ArrayLike, difficulty: ArrayLike, discrimination: ArrayLike, chance: ArrayLike) -> Array:
    """Return the probability of a correct answer: two-parameter logistic model with guessing (Birnbaum, 1968).

    p(t) = c + (1 - c) * sigmoid(a * (t - d)) for ability t, difficulty d, discrimination a and chance c; the arguments
    broadcast against each other.
    """
    t, d, a, c = (np.asarray(value, dtype=np.float64) for value in (ability, difficulty, discrimination, chance))
    logistic: Array = c + (1.0 - c) * 0.5 * (1.0 + np.tanh(0.5 * a * (t - d)))
    return logistic


@dataclass(frozen=True)
class Posterior:
    """Where a model stands after some answers.

    Attributes:
        expected: Probability of a correct answer to each item, shape (items,).
        variance: Variance of each task's accuracy on all of its items, asked or not, shape (tasks,).
        covariance: Normal approximation of the covariance of the task abilities, shape (tasks, tasks).
        information: Expected information of each item (per squared ability unit), shape (items,).
        slope: Rise of each task's accuracy with its ability, shape (tasks,).
    """

    expected: Array
    variance: Array
    covariance: Array
    information: Array
    slope: Array

    @property
    def error(self) -> float:
        """Root mean square over tasks of the standard error of a task's accuracy."""
        return float(np.sqrt(self.variance.mean()))


class CoreModel:
    """The item response model of some core tasks; made once, asked often.

    Attributes:
        tasks: The tasks.
        ids: Item ids in the order of the tasks, shape (items,).
        task: Position of each item's task, shape (items,).
        chance: Accuracy of guessing, shape (items,).
    """

    def __init__(self, tasks: Sequence[CoreTask]) -> None:
        """Tabulate the curves of the items of ``tasks``."""
        items = [item for task in tasks for item in task.items]
        self.tasks = tuple(tasks)
        self.ids = np.array([item.id for item in items])
        self.task = np.repeat(np.arange(len(tasks)), [len(task.items) for task in tasks])
        self.chance = np.array([item.chance for item in items])
        self._row = {int(number): row for row, number in enumerate(self.ids)}
        self._difficulty = np.array([item.difficulty for item in items])
        slope = np.array([item.discrimination for item in items])
        self._slope = slope / np.sqrt(1.0 + (slope * ITEM_DOUBT / 1.7) ** 2)
        self._styles = [self._style(k, e) for k, e in product(GUESSING, LAPSES)]
        group = [_GROUPS.index(f) if (f := reference(task.name).factor) in _GROUPS else 0 for task in tasks]
        self._group = np.array(group, dtype=np.intp)
        same = self._group[:, None] == self._group[None, :]
        prior = GENERAL_SPREAD**2 + FIELD_SPREAD**2 * same + TASK_SPREAD**2 * np.eye(len(tasks))
        self._precision = np.linalg.inv(prior)

    def row(self, identifier: int) -> int:
        """Position of an item."""
        return self._row[identifier]

    def posterior(self, answers: Mapping[int, float], rotations: Mapping[int, int] | None = None) -> Posterior:
        """Place a model by its answers.

        Args:
            answers: 1 (right) or 0 (wrong) by item id.
            rotations: How often an item had to be answered rightly for a 1, where more than once: guesses survive that
                less often.
        """
        rows = np.array([self._row[number] for number in answers], dtype=np.intp)
        right = np.array(list(answers.values()), dtype=np.float64)[:, None] > 0.5
        times = np.array([(rotations or {}).get(number, 1) for number in answers])
        parts, evidence = [], []
        for style in self._styles:
            curves = style.curves[rows]
            if (times > 1).any():
                curves = self._curve((style.guessing * self.chance[rows]) ** times, style.lapse, rows)
            logs = np.zeros((len(self.tasks), len(GRID)))
            np.add.at(logs, self.task[rows], np.where(right, np.log(curves), np.log1p(-curves)))
            density, total = self._messages(logs)
            parts.append(self._part(style, density))
            evidence.append(total)
        weights = np.exp(np.array(evidence) - max(evidence))
        weights /= weights.sum()
        expected, means, squares, slope, information = (
            weights @ np.stack(column) for column in zip(*parts, strict=True)
        )
        held = np.bincount(self.task[rows], information[rows], minlength=len(self.tasks))
        return Posterior(
            expected=expected,
            variance=np.maximum(squares - means**2, 0.0),
            covariance=np.linalg.inv(self._precision + np.diag(held)),
            information=information,
            slope=slope,
        )

    def _part(self, style: _Style, density: Array) -> tuple[Array, ...]:
        """Expected answers, mean and mean square of accuracies, their slope, and information, under one style."""
        means = (density * style.task_curves).sum(axis=1)
        squares = (density * style.task_curves**2).sum(axis=1)
        slope = (density * np.gradient(style.task_curves, GRID, axis=1)).sum(axis=1)
        information = (density[self.task] * style.information).sum(axis=1)
        expected = (density[self.task] * style.curves).sum(axis=1)
        return expected, means, squares, slope, information

    def _curve(self, chance: Array, lapse: float, rows: NDArray[np.intp] | slice = slice(None)) -> Array:
        """Probability of a right answer at every ability, shape (rows, grid)."""
        p = probability(GRID[None], self._difficulty[rows][:, None], self._slope[rows][:, None], chance[:, None])
        share = (p - chance[:, None]) / (1.0 - chance[:, None])
        return np.asarray(np.clip(chance[:, None] + (1.0 - chance[:, None] - lapse) * share, 1e-6, 1.0 - 1e-6))

    def _style(self, guessing: float, lapse: float) -> _Style:
        curves = self._curve(guessing * self.chance, lapse)
        information = np.gradient(curves, GRID, axis=1) ** 2 / (curves * (1.0 - curves))
        summed = np.zeros((len(self.tasks), len(GRID)))
        np.add.at(summed, self.task, curves)
        return _Style(guessing, lapse, curves, information, summed / np.bincount(self.task)[:, None])

    def _messages(self, logs: Array) -> tuple[Array, float]:
        """Posterior of every task's ability and log evidence, given log-likelihoods of shape (tasks, grid)."""
        up = _blur(logs, _TO_TASK.T)
        fields = np.stack([up[self._group == group].sum(axis=0) for group in range(len(_GROUPS))])
        upper = _blur(fields, _TO_FIELD.T)
        general = -0.5 * (GRID / GENERAL_SPREAD) ** 2 + upper.sum(axis=0)
        down = _blur(general - upper, _TO_FIELD) + fields
        cavity = _blur(down[self._group] - up, _TO_TASK)
        return _normal(cavity + logs), float(np.log(np.exp(general - general.max()).sum()) + general.max())


@dataclass(frozen=True)
class _Style:
    """Curves under one way of guessing and slipping; ``curves`` and ``information`` of shape (items, grid)."""

    guessing: float
    lapse: float
    curves: Array
    information: Array
    task_curves: Array


def _kernel(spread: float) -> Array:
    """Density of a child (columns) given its parent (rows)."""
    density = np.exp(-0.5 * ((GRID[None, :] - GRID[:, None]) / spread) ** 2)
    return np.asarray(density / density.sum(axis=1, keepdims=True))


_TO_FIELD = _kernel(FIELD_SPREAD)
_TO_TASK = _kernel(TASK_SPREAD)


def _blur(logs: Array, kernel: Array) -> Array:
    """Logarithm of densities carried over ``kernel``, for log densities of shape (rows, grid)."""
    top = logs.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(logs - top) @ kernel + 1e-300) + top)


def _normal(logs: Array) -> Array:
    density = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(density / density.sum(axis=1, keepdims=True))


def next_round(
    model: CoreModel, posterior: Posterior, taken: Collection[int], *, target: float, most: int, seed: int = 0
) -> list[int]:
    """Ids to ask next; empty when the target is met or ``most`` items were taken.

    Before anything is known, that is one item of every task.

    Args:
        model: The core items.
        posterior: Where the tested model stands.
        taken: Ids of items that were asked, or could not be.
        target: :attr:`Posterior.error` at which to stop.
        most: Items to ask at most.
        seed: Each item is drawn among the three best by it: seeds differ in what they ask, hardly in how well.
    """
    if not taken:
        return _choose(model, posterior, (), min(len(model.tasks), most), seed, limit=1)
    if posterior.error <= target or len(taken) >= most:
        return []
    return _choose(model, posterior, taken, min(ROUND, most - len(taken)), seed)


def _choose(
    model: CoreModel,
    posterior: Posterior,
    taken: Collection[int],
    count: int,
    seed: int,
    limit: int | None = None,
) -> list[int]:
    """Ids of the most informative items, at most ``limit`` of one task; fewer than ``count`` if there are no more."""
    rng = np.random.default_rng((seed, len(taken)))
    covariance, weight = posterior.covariance.copy(), posterior.slope**2
    free = ~np.isin(model.ids, list(taken))
    asked = np.bincount(model.task[~free], minlength=len(model.tasks))
    doubt = posterior.expected * (1.0 - posterior.expected) / np.bincount(model.task)[model.task] ** 2
    chosen: list[int] = []
    while len(chosen) < count and free.any():
        own = np.diag(covariance)
        effect = weight @ covariance**2
        gain = effect[model.task] * posterior.information / (1.0 + posterior.information * own[model.task]) + doubt
        needy = asked[model.task] < LEAST
        gain = np.where(free, np.where(needy, gain + 10.0 * gain.max(), gain), -1.0)
        best = np.argsort(-gain, kind="stable")[:_AMONG]
        row = int(rng.choice(best[gain[best] > 0.5 * gain[best[0]]]))
        task = int(model.task[row])
        information, column = posterior.information[row], covariance[:, task].copy()
        covariance -= np.outer(column, column) * (information / (1.0 + information * column[task]))
        free[row] = False
        asked[task] += 1
        if limit is not None and asked[task] >= limit:
            free &= model.task != task
        chosen.append(int(model.ids[row]))
    return chosen
