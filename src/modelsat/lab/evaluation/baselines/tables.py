"""Baselines that count: always the best model, or the best model of the prompt's task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelsat.lab.evaluation.baselines.base import Baseline, Predictor, Slice, means, shrunk_means
from modelsat.lab.evaluation.metrics import Floats


@dataclass(frozen=True)
class BestSingle:
    """Each model's mean outcome on the training prompts, whatever the prompt."""

    name: str = "best single"
    seeded: bool = False
    embedded: bool = False

    def tuned(self, train: Slice, validation: Slice) -> Baseline:
        """Nothing to choose."""
        return self

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Count."""
        level = means(train.scores)
        return lambda queries: np.tile(level, (len(queries), 1))


@dataclass(frozen=True)
class PerTaskBest:
    """Each model's mean outcome on the prompt's task, drawn towards its mean by a few pseudo-outcomes.

    The task of a test prompt is given to it, which no router knows in practice.
    """

    strength: float = 5.0
    name: str = "per-task best"
    seeded: bool = False
    embedded: bool = False

    def tuned(self, train: Slice, validation: Slice) -> Baseline:
        """Nothing to choose."""
        return self

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Count by task."""
        level = means(train.scores)
        known = {
            task: shrunk_means(train.scores[train.tasks == task], level, self.strength) for task in set(train.tasks)
        }

        def predict(queries: Slice) -> Floats:
            return np.stack([known.get(task, level) for task in queries.tasks])

        return predict
