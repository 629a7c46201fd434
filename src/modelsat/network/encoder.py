"""The capability encoder psi: statements in, one vector per profile out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig


class StatementPooling(nn.Module):
    """Joins what a statement says in words and in numbers, and pools a profile's statements.

    Every statement is encoded by itself, and the pool is a weighted mean, so neither their number nor their order
    matters.

    Args:
        text_width: Width of the text encoder's embedding of a task description.
        features: Numbers beside each description (:func:`modelsat.capability.equating.statement_features`).
        overall: Numbers of the profile as a whole (:func:`modelsat.capability.equating.profile_features`).
        width: Width of the capability vector.
    """

    def __init__(self, text_width: int, features: int, overall: int, width: int) -> None:
        super().__init__()
        self.text = nn.Linear(text_width, width)
        self.gain = nn.Linear(features, width)
        self.offset = nn.Linear(features, width)
        self.statement = nn.Linear(width, width)
        self.weight = nn.Linear(features, 1)
        self.profile = nn.Sequential(nn.Linear(overall + 1, width), nn.GELU(), nn.Linear(width, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, descriptions: Tensor, features: Tensor, overall: Tensor, mask: Tensor) -> Tensor:
        """Pool statements into capability vectors.

        Args:
            descriptions: Text embeddings of the task descriptions, shape (profiles, statements, text_width).
            features: Shape (profiles, statements, features). The last column is the pooling weight, 0..1.
            overall: Shape (profiles, overall).
            mask: 1 where a statement stands, shape (profiles, statements).

        Returns:
            psi(c), shape (profiles, width).
        """
        words = self.text(descriptions)
        joined = nn.functional.gelu(words * (1.0 + self.gain(features)) + self.offset(features))
        precision = features[..., -1]
        present = mask.to(features.dtype)
        logits = self.weight(features).squeeze(-1) + torch.log(precision.clamp_min(1e-4))
        share = torch.softmax(logits + torch.log(present.clamp_min(1e-30)), dim=-1)
        pooled = (self.statement(joined) * share.unsqueeze(-1)).sum(dim=-2)
        certainty = torch.log1p((precision * present).sum(dim=-1, keepdim=True))
        return self.norm(pooled + self.profile(torch.cat([overall, certainty], dim=-1)))  # type: ignore[no-any-return]


def text_encoder(config: PreTrainedConfig) -> Any:
    """A text encoder of a configuration, without the pooling layer that psi would not use."""
    try:
        return AutoModel.from_config(config, add_pooling_layer=False)
    except TypeError:  # architectures that have none
        return AutoModel.from_config(config)


def mean_pool(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean of the hidden states over real tokens, L2-normalised, shape (batch, width)."""
    return nn.functional.normalize(mean_state(hidden, attention_mask), dim=-1)


def mean_state(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean of the hidden states over real tokens, shape (batch, width)."""
    mask = attention_mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1.0)
