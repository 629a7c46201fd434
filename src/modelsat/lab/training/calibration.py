"""Calibration: one scale (inverse temperature) and one shift of the logit, fitted on validation prompts.

Platt scaling, whose scale alone is temperature scaling (Guo et al. 2017, arXiv 1706.04599). Every candidate shares both
numbers and the scale is positive, so the order of candidates never changes.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray

_STEEPEST = 100.0
_logger = logging.getLogger(__name__)


def fit_calibration(logits: NDArray[np.float32], labels: NDArray[np.float32]) -> tuple[float, float]:
    """Scale and shift that maximise the likelihood of outcomes.

    Args:
        logits: Uncalibrated logits, any shape.
        labels: Outcomes 0..1 in the same shape; NaN takes no part.

    Returns:
        Scale and shift; 1 and 0, with a warning in the log, where no sensible scale fits (predictions no better than
        chance, or right without exception).
    """
    known = ~np.isnan(labels)
    x, y = torch.from_numpy(logits[known]).double(), torch.from_numpy(labels[known]).double()
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(parameters[0] * x + parameters[1], y)
        loss.backward()
        return loss

    optimiser.step(closure)
    scale, shift = parameters.detach().tolist()
    if not 0.0 < scale < _STEEPEST:
        _logger.warning("no calibration: the best scale of the logit would be %.3g, on %d outcomes", scale, len(y))
        return 1.0, 0.0
    return scale, shift
