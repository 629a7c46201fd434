"""The one interface of the baselines, and what they learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from modelsat.lab.evaluation.metrics import Floats, brier


@dataclass(frozen=True)
class Slice:
    """Prompts with their outcomes.

    Attributes:
        embeddings: Normalised sentence embeddings, shape (items, width).
        tasks: Task of each prompt, shape (items,).
        scores: Outcomes 0..1, NaN where unknown, shape (items, models).
    """

    embeddings: Floats
    tasks: NDArray[np.object_]
    scores: Floats

    def __len__(self) -> int:
        return len(self.tasks)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Slice:
        """Some of the prompts."""
        return Slice(self.embeddings[rows], self.tasks[rows], self.scores[rows])


Predictor = Callable[[Slice], Floats]
"""P(success) for the prompts of a slice, whose outcomes it does not look at, shape (items, models)."""


class Baseline(Protocol):
    """A simple way of routing."""

    @property
    def name(self) -> str:
        """As it stands in the tables."""
        ...

    @property
    def seeded(self) -> bool:
        """Whether the fit depends on a seed."""
        ...

    @property
    def embedded(self) -> bool:
        """Whether it reads sentence embeddings."""
        ...

    def tuned(self, train: Slice, validation: Slice) -> Baseline:
        """The baseline with its size chosen by the Brier score on validation prompts."""
        ...

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Learn from outcomes; models need not have answered every prompt."""
        ...


def means(scores: Floats) -> Floats:
    """Mean outcome of each model, NaN for one that answered nothing, shape (models,)."""
    known = ~np.isnan(scores)
    counts = known.sum(axis=0)
    totals = np.where(known, scores, 0.0).sum(axis=0)
    mean: Floats = np.divide(totals, counts, out=np.full(scores.shape[1], np.nan), where=counts > 0)
    return mean


def shrunk_means(scores: Floats, prior: Floats, strength: float) -> Floats:
    """Mean outcome of each model, drawn towards ``prior`` by ``strength`` pseudo-outcomes, shape (models,)."""
    known = ~np.isnan(scores)
    totals: Floats = np.where(known, scores, 0.0).sum(axis=0) + strength * prior
    mean: Floats = totals / (known.sum(axis=0) + strength)
    return mean


def best_of(choices: Sequence[Baseline], train: Slice, validation: Slice) -> Baseline:
    """The choice with the lowest Brier score on validation prompts; the first if there are none."""
    if not len(validation) or len(choices) == 1:
        return choices[0]
    return min(choices, key=lambda choice: brier(choice.fit(train)(validation), validation.scores))
