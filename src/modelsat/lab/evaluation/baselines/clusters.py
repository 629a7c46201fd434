"""Cluster routers: k-means on the prompts' embeddings, and each model's accuracy in each cluster.

With outcomes of all training prompts this is an Avengers-style router (arXiv 2505.19797); with outcomes of the core
items alone, for models that were never trained on, UniRoute (arXiv 2502.08773): the clusters come from all prompts, a
new model's accuracies in them from the few it answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from modelsat.lab.evaluation.baselines.base import Baseline, Predictor, Slice, best_of, means, shrunk_means
from modelsat.lab.evaluation.metrics import Floats

CLUSTERS = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Clusters:
    """Mean outcome in the nearest cluster, drawn towards the model's mean by a few pseudo-outcomes."""

    k: int = 32
    strength: float = 5.0
    name: str = "clusters"
    seeded: bool = True
    embedded: bool = True

    def tuned(self, train: Slice, validation: Slice) -> Baseline:
        """Choose the number of clusters among :data:`CLUSTERS`."""
        sizes = [k for k in CLUSTERS if k <= len(train) // 2] or [1]
        return best_of([replace(self, k=k) for k in sizes], train, validation)

    def fit(self, train: Slice, seed: int = 0) -> Predictor:
        """Cluster all prompts, count those with outcomes."""
        from sklearn.cluster import KMeans

        k = min(self.k, len(train))
        clustering = KMeans(k, n_init=1, random_state=seed).fit(train.embeddings)
        level = means(train.scores)
        table = np.stack([shrunk_means(train.scores[clustering.labels_ == c], level, self.strength) for c in range(k)])

        def predict(queries: Slice) -> Floats:
            accuracy: Floats = table[clustering.predict(queries.embeddings)]
            return accuracy

        return predict
