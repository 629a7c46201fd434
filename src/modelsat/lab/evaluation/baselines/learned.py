"""Baselines that learn from sentence embeddings with scikit-learn: logistic regression and a small network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from modelsat.lab.evaluation.baselines.base import Baseline, Predictor, Slice, best_of, means
from modelsat.lab.evaluation.metrics import Floats

INVERSE_PENALTIES = (0.1, 1.0, 10.0)
DECAYS = (0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Logistic:
    """One logistic regression for each model; a soft outcome s is a success of weight s and a failure of 1 - s."""

    inverse_penalty: float = 1.0
    name: str = "logistic"
    seeded: bool = False
    embedded: bool = True

    def tuned(self, train: Slice, validation: Slice) -> Baseline:
        """Choose the penalty among :data:`INVERSE_PENALTIES`."""
        choices = [replace(self, inverse_penalty=value) for value in INVERSE_PENALTIES]
        return best_of(choices, train, validation)

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
class MLP:
    """One hidden layer on the embedding, all models' outcomes as outputs; a missing one counts as the model's mean."""

    hidden: int = 256
    decay: float = 1.0
    name: str = "MLP"
    seeded: bool = True
    embedded: bool = True

    def tuned(self, train: Slice, validation: Slice) -> Baseline:
        """Choose the weight decay among :data:`DECAYS`."""
        return best_of([replace(self, decay=decay) for decay in DECAYS], train, validation)

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Train until an inner tenth of the training prompts gets no better."""
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
        _quietly(model.fit, train.embeddings, target)

        def predict(queries: Slice) -> Floats:
            p = np.clip(model.predict(queries.embeddings).reshape(len(queries), -1), 0.0, 1.0)
            return np.where(np.isnan(level), np.nan, p)

        return predict


def _quietly(fit: object, x: Floats, y: Floats) -> None:
    """Fit without the warning that the iterations were used up: their number is chosen, not convergence."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit(x, y)  # type: ignore[operator]


def _sigmoid(z: Floats) -> Floats:
    result: Floats = 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))
    return result
