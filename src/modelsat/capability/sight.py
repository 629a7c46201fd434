"""What a model makes of images: how its figures on benchmarks with images compare with its figures on text."""

from __future__ import annotations

import numpy as np

from modelsat.capability.equating import DEFAULT_ITEMS, equate, expected_accuracy, logit
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.tasks import reference

IMAGE_TASKS = frozenset({"MMMU", "MMMU-Pro", "MathVista", "MATH-Vision", "ChartQA", "DocVQA", "AI2D"})
"""Tasks of the catalogue that are asked with an image."""
SPREAD = 0.4
"""Standard deviation, in logits, assumed for what models make of images once their level is known."""
_DEVIATIONS = 1.645
_LEAST_VARIANCE = 0.01


def sight(profile: CapabilityProfile) -> float:
    """How much better a model does with images than its figures on text let expect, in logits of accuracy.

    The abilities are those of the other figures alone. What each figure on images lies above or below the accuracy that
    they let expect is weighed by the doubt about both, and drawn towards 0 by :data:`SPREAD`.

    Returns:
        0.0 for a profile without a figure on images, or with no other figure.
    """
    seen = [statement for statement in profile.statements if reference(statement.task).name in IMAGE_TASKS]
    read = tuple(statement for statement in profile.statements if statement not in seen)
    if not seen or not read:
        return 0.0
    equated = equate(profile.model_copy(update={"statements": read}), report=False)
    expected, low, high = np.array([expected_accuracy(equated, statement.task) for statement in seen]).T
    accuracy = np.array([statement.accuracy for statement in seen])
    items = np.array([statement.effective_items(DEFAULT_ITEMS) for statement in seen])
    doubt = (logit(high) - logit(low)) / (2 * _DEVIATIONS)
    weight = 1.0 / (doubt**2 + 1.0 / (items * np.maximum(expected * (1.0 - expected), _LEAST_VARIANCE)))
    return float(weight @ (logit(accuracy) - logit(expected)) / (weight.sum() + SPREAD**-2))
