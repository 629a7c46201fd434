"""Simple ways of routing, to be beaten: each learns from a slice of outcomes and predicts P(success)."""

from modelsat.lab.evaluation.baselines.base import Baseline, Predictor, Slice
from modelsat.lab.evaluation.baselines.clusters import Clusters
from modelsat.lab.evaluation.baselines.factors import MatrixFactorisation
from modelsat.lab.evaluation.baselines.learned import MLP, Logistic
from modelsat.lab.evaluation.baselines.neighbours import NearestNeighbours
from modelsat.lab.evaluation.baselines.tables import BestSingle, PerTaskBest

__all__ = [
    "MLP",
    "Baseline",
    "BestSingle",
    "Clusters",
    "Logistic",
    "MatrixFactorisation",
    "NearestNeighbours",
    "PerTaskBest",
    "Predictor",
    "Slice",
    "default_baselines",
]


def default_baselines() -> list[Baseline]:
    """The baselines that stand in every table, unfitted and untuned."""
    return [BestSingle(), PerTaskBest(), NearestNeighbours(), Logistic(), MLP(), Clusters(), MatrixFactorisation()]
