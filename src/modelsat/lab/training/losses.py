"""The objective: Bernoulli likelihood of every outcome, and contrast in both directions.

Loss 5 of Model-SAT (arXiv 2502.17282) ranks instructions for a model; a router ranks models for an instruction. Both
are here, each with its own weight, beside the likelihood that makes scores probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_NEVER = -1e4


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each term counts.

    Attributes:
        likelihood: Cross-entropy of each outcome.
        per_model: Loss 5: for a model, an instruction it did well against those of the batch it did badly.
        per_instruction: For an instruction, a model that did well against those that did not.
    """

    likelihood: float = 1.0
    per_model: float = 0.1
    per_instruction: float = 0.1


def contrast(logits: Tensor, labels: Tensor) -> Tensor:
    """Loss 5 over the columns: each positive against all negatives of its column (homogeneous in-batch negatives).

    Args:
        logits: log P('Yes')/P('No'), shape (batch, models).
        labels: Outcomes 0..1, above one half is a positive; NaN takes no part. Shape (batch, models).

    Returns:
        Mean over the positives that have a negative, a scalar; 0 where there is none.
    """
    known = ~labels.isnan()
    good, bad = known & (labels > 0.5), known & (labels <= 0.5)
    against = torch.logsumexp(logits.masked_fill(~bad, _NEVER), dim=0, keepdim=True)
    loss = torch.logaddexp(logits, against) - logits
    usable = good & bad.any(dim=0, keepdim=True)
    return loss[usable].mean() if bool(usable.any()) else logits.sum() * 0.0


def likelihood(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy of soft targets (0..1, NaN takes no part); all of shape (batch, models)."""
    known = ~targets.isnan()
    if not bool(known.any()):
        return logits.sum() * 0.0
    each = nn.functional.binary_cross_entropy_with_logits(logits[known], targets[known], reduction="none")
    share = weights[known]
    return (each * share).sum() / share.sum().clamp_min(1e-6)


def objective(logits: Tensor, labels: Tensor, targets: Tensor, weights: Tensor, terms: LossWeights) -> Tensor:
    """The weighted sum of the three terms, a scalar.

    Args:
        logits: Shape (batch, models).
        labels: Logged outcomes, NaN where none was logged. Shape (batch, models).
        targets: What the likelihood aims at: the outcomes, or outcomes mixed with a teacher's probabilities.
        weights: Weight of each cell in the likelihood.
        terms: Weights of the terms.
    """
    loss = logits.sum() * 0.0
    if terms.likelihood:
        loss = loss + terms.likelihood * likelihood(logits, targets, weights)
    if terms.per_model:
        loss = loss + terms.per_model * contrast(logits, labels)
    if terms.per_instruction:
        loss = loss + terms.per_instruction * contrast(logits.T, labels.T)
    return loss
