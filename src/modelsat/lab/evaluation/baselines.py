"""Simple ways of routing, to be beaten: each learns from a slice of outcomes and predicts P(success)."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from modelsat.lab.evaluation.metrics import Floats, brier, means


@dataclass(frozen=True)
class Slice:
    """Prompts with normalised sentence embeddings (items, width), tasks (items,) and outcomes 0..1 (items, models)."""

    embeddings: Floats
    tasks: NDArray[np.object_]
    scores: Floats

    def __len__(self) -> int:
        return len(self.tasks)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Slice:
        """Select some of the prompts."""
        return Slice(self.embeddings[rows], self.tasks[rows], self.scores[rows])


Predictor = Callable[[Slice], Floats]
"""P(success) for the prompts of a slice, whose outcomes it does not look at, shape (items, models)."""


@dataclass(frozen=True)
class Baseline(ABC):
    """A simple way of routing.

    Attributes:
        name: Name in the tables.
        seeded: Whether the fit depends on a seed.
        embedded: Whether it reads sentence embeddings.
    """

    name: str = ""
    seeded: ClassVar[bool] = False
    embedded: ClassVar[bool] = True

    def choices(self, train: Slice) -> Sequence[Baseline]:
        """What :meth:`tuned` chooses among: the baseline alone, unless a subclass has a size to tune."""
        return [self]

    def tuned(self, train: Slice, validation: Slice) -> Baseline:
        """Return the choice with the lowest Brier score on validation prompts; the first if there are none."""
        choices = self.choices(train)
        if not len(validation) or len(choices) == 1:
            return choices[0]
        return min(choices, key=lambda choice: brier(choice.fit(train)(validation), validation.scores))

    @abstractmethod
    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Learn from outcomes; models need not have answered every prompt."""


def shrunk_means(scores: Floats, prior: Floats, strength: float) -> Floats:
    """Mean outcome of each model, drawn towards ``prior`` by ``strength`` pseudo-outcomes, shape (models,)."""
    known = ~np.isnan(scores)
    totals: Floats = np.where(known, scores, 0.0).sum(axis=0) + strength * prior
    mean: Floats = totals / (known.sum(axis=0) + strength)
    return mean


@dataclass(frozen=True)
class BestSingle(Baseline):
    """Each model's mean outcome on the training prompts, whatever the prompt."""

    name: str = "best single"
    embedded: ClassVar[bool] = False

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Learn the means."""
        level = means(train.scores)
        return lambda queries: np.tile(level, (len(queries), 1))


@dataclass(frozen=True)
class PerTaskBest(Baseline):
    """Each model's mean outcome on the prompt's task, drawn towards its mean by a few pseudo-outcomes.

    The task of a test prompt is given to it, which no router knows in practice.
    """

    strength: float = 5.0
    name: str = "per-task best"
    embedded: ClassVar[bool] = False

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Learn the means by task."""
        level = means(train.scores)
        known = {
            task: shrunk_means(train.scores[train.tasks == task], level, self.strength) for task in set(train.tasks)
        }
        return lambda queries: np.stack([known.get(task, level) for task in queries.tasks])


NEIGHBOURS = (5, 10, 20, 40, 80, 150, 300)
_CHUNK = 256


@dataclass(frozen=True)
class NearestNeighbours(Baseline):
    """Mean outcome of the ``k`` nearest training prompts by cosine, by model, with one pseudo-outcome at its mean.

    Missing outcomes are left out of the mean.
    """

    k: int = 40
    name: str = "kNN"

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


CLUSTERS = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Clusters(Baseline):
    """Mean outcome in the nearest cluster, drawn towards the model's mean by a few pseudo-outcomes."""

    k: int = 32
    strength: float = 5.0
    name: str = "clusters"
    seeded: ClassVar[bool] = True

    def choices(self, train: Slice) -> Sequence[Baseline]:
        """Numbers of clusters: :data:`CLUSTERS`."""
        return [replace(self, k=k) for k in CLUSTERS if k <= len(train) // 2] or [replace(self, k=1)]

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Cluster all prompts, count those with outcomes."""
        from sklearn.cluster import KMeans

        k = min(self.k, len(train))
        clustering = KMeans(k, n_init=1, random_state=seed).fit(train.embeddings)
        level = means(train.scores)
        table = np.stack([shrunk_means(train.scores[clustering.labels_ == c], level, self.strength) for c in range(k)])
        return lambda queries: table[clustering.predict(queries.embeddings)]


PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3)


@dataclass(frozen=True)
class MatrixFactorisation(Baseline):
    """Logistic matrix factorisation on frozen embeddings, fitted by L-BFGS with a penalty on both factors."""

    rank: int = 16
    penalty: float = 3e-4
    name: str = "matrix factorisation"
    seeded: ClassVar[bool] = True

    def choices(self, train: Slice) -> Sequence[Baseline]:
        """One for each of :data:`PENALTIES`."""
        return [replace(self, penalty=penalty) for penalty in PENALTIES]

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Minimise the mean log loss over known outcomes plus ``penalty`` times the squared factors."""
        from scipy.optimize import minimize  # type: ignore[import-untyped]

        level = means(train.scores)
        problem = _Problem(train, self.rank, self.penalty)
        start = np.random.default_rng(seed).normal(0, 0.3, problem.size)
        mean = np.clip(np.nan_to_num(level, nan=0.5), 0.01, 0.99)
        start[problem.biases] = np.log(mean / (1 - mean))
        found = minimize(problem, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
        return lambda queries: np.where(np.isnan(level), np.nan, problem.probabilities(found, queries.embeddings))


class _Problem:
    """The loss and its gradient in one flat vector of parameters (U, V, b)."""

    def __init__(self, train: Slice, rank: int, penalty: float) -> None:
        self.x = train.embeddings.astype(np.float32)
        self.known = ~np.isnan(train.scores)
        self.y = np.where(self.known, train.scores, 0.0).astype(np.float32)
        self.penalty = penalty
        self._shapes = ((self.x.shape[1], rank), (rank, self.y.shape[1]))
        self._ends = np.cumsum([rows * columns for rows, columns in self._shapes])
        self.size = int(self._ends[1]) + self.y.shape[1]
        self.biases = slice(self._ends[1], None)

    def _split(self, flat: Floats) -> tuple[Floats, Floats, Floats]:
        u, v, b = np.split(flat.astype(np.float32), self._ends)
        return u.reshape(self._shapes[0]), v.reshape(self._shapes[1]), b

    def probabilities(self, flat: Floats, x: Floats) -> Floats:
        u, v, b = self._split(flat)
        return _sigmoid(x @ u @ v + b)

    def __call__(self, flat: Floats) -> tuple[float, Floats]:
        u, v, b = self._split(flat)
        hidden = self.x @ u
        logits = np.clip(hidden @ v + b, -30, 30)
        count = self.known.sum()
        loss = ((np.logaddexp(0, logits) - self.y * logits) * self.known).sum() / count
        slope = (_sigmoid(logits) - self.y) * self.known / count
        gradient = [
            self.x.T @ (slope @ v.T) + 2 * self.penalty * u / 10,
            hidden.T @ slope + 2 * self.penalty * v,
            slope.sum(axis=0),
        ]
        total = float(loss) + self.penalty * float((u**2).sum() / 10 + (v**2).sum())
        return total, np.concatenate([part.ravel() for part in gradient]).astype(np.float64)


INVERSE_PENALTIES = (0.1, 1.0, 10.0)
DECAYS = (0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Logistic(Baseline):
    """One logistic regression for each model; a soft outcome s is a success of weight s and a failure of 1 - s."""

    inverse_penalty: float = 1.0
    name: str = "logistic"

    def choices(self, train: Slice) -> Sequence[Baseline]:
        """One for each of :data:`INVERSE_PENALTIES`."""
        return [replace(self, inverse_penalty=value) for value in INVERSE_PENALTIES]

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Fit model by model; one whose outcomes do not differ keeps its mean."""
        level = means(train.scores)
        fitted = [self._one(train.embeddings, column) for column in train.scores.T]

        def predict(queries: Slice) -> Floats:
            result = np.tile(level, (len(queries), 1))
            for column, weights in enumerate(fitted):
                if weights is not None:
                    result[:, column] = _sigmoid(queries.embeddings @ weights[:-1] + weights[-1])
            return result

        return predict

    def _one(self, x: Floats, y: Floats) -> Floats | None:
        from sklearn.linear_model import LogisticRegression

        known = ~np.isnan(y)
        weight = np.concatenate([y[known], 1 - y[known]])
        used = weight > 0
        label = np.repeat([True, False], known.sum())[used]
        if label.all() or not label.any():
            return None
        model = LogisticRegression(C=self.inverse_penalty, max_iter=500)
        model.fit(np.concatenate([x[known], x[known]])[used], label, sample_weight=weight[used])
        weights: Floats = np.append(model.coef_[0], model.intercept_[0])
        return weights


@dataclass(frozen=True)
class MLP(Baseline):
    """One hidden layer on the embedding, all models' outcomes as outputs; a missing one counts as the model's mean."""

    hidden: int = 256
    decay: float = 1.0
    name: str = "MLP"
    seeded: ClassVar[bool] = True

    def choices(self, train: Slice) -> Sequence[Baseline]:
        """One for each of :data:`DECAYS`."""
        return [replace(self, decay=decay) for decay in DECAYS]

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Train until an inner tenth of the training prompts gets no better."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        level = means(train.scores)
        target = np.where(np.isnan(train.scores), np.nan_to_num(level), train.scores)
        model = MLPRegressor(
            hidden_layer_sizes=(self.hidden,),
            alpha=self.decay,
            early_stopping=len(train) >= 100,
            max_iter=60,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is chosen
            model.fit(train.embeddings, target)

        def predict(queries: Slice) -> Floats:
            p = np.clip(model.predict(queries.embeddings).reshape(len(queries), -1), 0.0, 1.0)
            return np.where(np.isnan(level), np.nan, p)

        return predict


def _sigmoid(z: Floats) -> Floats:
    result: Floats = 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))
    return result


def default_baselines() -> list[Baseline]:
    """Return the baselines that stand in every table, unfitted and untuned."""
    return [BestSingle(), PerTaskBest(), NearestNeighbours(), Logistic(), MLP(), Clusters(), MatrixFactorisation()]
