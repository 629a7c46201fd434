"""k nearest neighbours: the mean outcome of the most similar training prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from modelsat.lab.evaluation.baselines.base import Predictor, Slice, means
from modelsat.lab.evaluation.metrics import Floats, brier

NEIGHBOURS = (5, 10, 20, 40, 80, 150, 300)
_CHUNK = 256


@dataclass(frozen=True)
class NearestNeighbours:
    """Mean outcome of the ``k`` nearest training prompts by cosine, by model, with one pseudo-outcome at its mean.

    Missing outcomes are left out of the mean.
    """

    k: int = 40
    name: str = "kNN"
    seeded: bool = False
    embedded: bool = True

    def tuned(self, train: Slice, validation: Slice) -> NearestNeighbours:
        """Choose k among :data:`NEIGHBOURS`; neighbours are searched for once."""
        if not len(validation):
            return self
        sizes = [k for k in NEIGHBOURS if k <= len(train)] or [len(train)]
        predictions = _predict(train, validation, sizes)
        return replace(self, k=min(sizes, key=lambda k: brier(predictions[k], validation.scores)))

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Keep the training prompts."""
        k = min(self.k, len(train))
        return lambda queries: _predict(train, queries, [k])[k]


def _predict(train: Slice, queries: Slice, sizes: list[int]) -> dict[int, Floats]:
    """P(success) for several k at once."""
    level = means(train.scores)
    known = ~np.isnan(train.scores)
    filled = np.where(known, train.scores, 0.0).astype(np.float32)
    most = max(sizes)
    result: dict[int, Floats] = {k: np.empty((len(queries), train.scores.shape[1])) for k in sizes}
    for start in range(0, len(queries), _CHUNK):
        similar = queries.embeddings[start : start + _CHUNK] @ train.embeddings.T
        near = np.argpartition(-similar, most - 1, axis=1)[:, :most]
        near = np.take_along_axis(near, np.argsort(-np.take_along_axis(similar, near, 1), axis=1, kind="stable"), 1)
        for k in sizes:
            rows = near[:, :k]
            result[k][start : start + _CHUNK] = (filled[rows].sum(1) + level) / (known[rows].sum(1) + 1)
    return result
