"""The metrics of the field, on plain arrays: probabilities and outcomes of shape (items, models)."""

from modelsat.lab.evaluation.metrics.bootstrap import Interval, resampled_auc, resampled_mean, resamples
from modelsat.lab.evaluation.metrics.choice import Anchors, Floats, choice_metrics, choose, outcomes_of
from modelsat.lab.evaluation.metrics.cost import (
    Curve,
    aiq,
    cost_quality_curve,
    cost_saved,
    pareto_distance,
    pareto_front,
    tradeoffs,
)
from modelsat.lab.evaluation.metrics.pairs import PairCurve, pair_curve, pair_metrics
from modelsat.lab.evaluation.metrics.probability import (
    Reliability,
    auc_by_model,
    brier,
    ece,
    mean_auc,
    probability_metrics,
    reliability,
)

__all__ = [
    "Anchors",
    "Curve",
    "Floats",
    "Interval",
    "PairCurve",
    "Reliability",
    "aiq",
    "auc_by_model",
    "brier",
    "choice_metrics",
    "choose",
    "cost_quality_curve",
    "cost_saved",
    "ece",
    "mean_auc",
    "outcomes_of",
    "pair_curve",
    "pair_metrics",
    "pareto_distance",
    "pareto_front",
    "probability_metrics",
    "reliability",
    "resampled_auc",
    "resampled_mean",
    "resamples",
    "tradeoffs",
]
