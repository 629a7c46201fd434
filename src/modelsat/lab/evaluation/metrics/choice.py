"""How good the choice among models is: accuracy of the routed answers, beside random, best single and oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Numbers; NaN where an outcome or a probability is unknown."""


@dataclass(frozen=True)
class Anchors:
    """Average accuracies, 0..1, that every router is read against.

    Attributes:
        random: A model drawn at random for every prompt.
        best_single: Always the model that was best on the training prompts.
        oracle: The best outcome of every prompt.
    """

    random: float
    best_single: float
    oracle: float


def choose(p: Floats, y: Floats) -> NDArray[np.intp]:
    """Column with the highest probability among the models that answered; ties go to the first, shape (items,).

    Args:
        p: P(success), NaN for a model the router knows nothing of (it is never chosen), shape (items, models).
        y: Outcomes, NaN where a model did not answer, shape (items, models).
    """
    value = np.where(np.isnan(y), -np.inf, np.where(np.isnan(p), -1.0, p))
    chosen: NDArray[np.intp] = value.argmax(axis=1)
    return chosen


def outcomes_of(chosen: NDArray[np.intp], values: Floats) -> Floats:
    """The value (outcome, cost) of the chosen column in every row, shape (items,)."""
    picked: Floats = values[np.arange(len(values)), chosen]
    return picked


def choice_metrics(accuracy: float, anchors: Anchors) -> dict[str, float]:
    """Average accuracy and its distances to the anchors, all as shares 0..1.

    ``gap_closed`` is the share of the way from best single to oracle; NaN where there is no way to go.
    """
    span = anchors.oracle - anchors.best_single
    return {
        "accuracy": accuracy,
        "gain_over_random": accuracy - anchors.random,
        "gain_over_best_single": accuracy - anchors.best_single,
        "gap_to_oracle": anchors.oracle - accuracy,
        "gap_closed": (accuracy - anchors.best_single) / span if span > 1e-9 else float("nan"),
    }
