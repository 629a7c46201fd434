"""Matrix factorisation: a vector for each model, and a linear map of the prompt's embedding into the same space.

EmbedLLM (arXiv 2410.02223) and the "mf" router of RouteLLM (arXiv 2406.18665) in one: P = sigmoid(v_m . U x + b_m).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from modelsat.lab.evaluation.baselines.base import Baseline, Predictor, Slice, best_of, means
from modelsat.lab.evaluation.metrics import Floats

PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3)


@dataclass(frozen=True)
class MatrixFactorisation:
    """Logistic matrix factorisation on frozen embeddings, fitted by L-BFGS with a penalty on both factors."""

    rank: int = 16
    penalty: float = 3e-4
    name: str = "matrix factorisation"
    seeded: bool = True
    embedded: bool = True

    def tuned(self, train: Slice, validation: Slice) -> Baseline:
        """Choose the penalty among :data:`PENALTIES`."""
        choices = [replace(self, penalty=penalty) for penalty in PENALTIES]
        return best_of(choices, train, validation)

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Minimise the mean log loss over known outcomes plus ``penalty`` times the squared factors."""
        from scipy.optimize import minimize  # type: ignore[import-untyped]

        level = means(train.scores)
        problem = _Problem(train, self.rank, self.penalty)
        start = np.random.default_rng(seed).normal(0, 0.3, problem.size)
        mean = np.clip(np.nan_to_num(level, nan=0.5), 0.01, 0.99)
        start[problem.biases] = np.log(mean / (1 - mean))
        found = minimize(problem, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x

        def predict(queries: Slice) -> Floats:
            p = problem.probabilities(found, queries.embeddings)
            return np.where(np.isnan(level), np.nan, p)

        return predict


class _Problem:
    """The loss and its gradient in one flat vector of parameters (U, V, b)."""

    def __init__(self, train: Slice, rank: int, penalty: float) -> None:
        self.x = train.embeddings.astype(np.float32)
        self.known = ~np.isnan(train.scores)
        self.y = np.where(self.known, train.scores, 0.0).astype(np.float32)
        self.penalty = penalty
        width, models = self.x.shape[1], self.y.shape[1]
        self._shapes = ((width, rank), (rank, models))
        self._ends = (width * rank, width * rank + rank * models)
        self.size = self._ends[1] + models
        self.biases = slice(self._ends[1], None)

    def _split(self, flat: Floats) -> tuple[Floats, Floats, Floats]:
        u, v = flat[: self._ends[0]], flat[self._ends[0] : self._ends[1]]
        return u.reshape(self._shapes[0]), v.reshape(self._shapes[1]), flat[self.biases]

    def probabilities(self, flat: Floats, x: Floats) -> Floats:
        u, v, b = (part.astype(np.float32) for part in self._split(flat))
        p: Floats = 1.0 / (1.0 + np.exp(-np.clip(x @ u @ v + b, -30, 30)))
        return p

    def __call__(self, flat: Floats) -> tuple[float, Floats]:
        u, v, b = (part.astype(np.float32) for part in self._split(flat))
        hidden = self.x @ u
        logits = np.clip(hidden @ v + b, -30, 30)
        count = self.known.sum()
        loss = ((np.logaddexp(0, logits) - self.y * logits) * self.known).sum() / count
        slope = (1.0 / (1.0 + np.exp(-logits)) - self.y) * self.known / count
        gradient = [
            self.x.T @ (slope @ v.T) + 2 * self.penalty * u / 10,
            hidden.T @ slope + 2 * self.penalty * v,
            slope.sum(axis=0),
        ]
        total = float(loss) + self.penalty * float((u**2).sum() / 10 + (v**2).sum())
        return total, np.concatenate([part.ravel() for part in gradient]).astype(np.float64)
