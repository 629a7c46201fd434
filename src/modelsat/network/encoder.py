"""The capability encoder psi, statements in and one vector per profile out; and what is looked up in its numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig

SHARPEST = 24.0
"""Inverse temperature of the sharpest mixture at the start, on cosine similarities."""


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
        """Pool statements into capability vectors psi(c), shape (profiles, width).

        Args:
            descriptions: Text embeddings of the task descriptions, shape (profiles, statements, text_width).
            features: Shape (profiles, statements, features). The last column is the pooling weight, 0..1.
            overall: Shape (profiles, overall).
            mask: 1 where a statement stands, shape (profiles, statements).
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


class TaskLookup(nn.Module):
    """Mixtures of reference tasks by instruction: r_h(x, m) = sum_t softmax_t(q_h(x)) z_mt.

    z_mt is the logit of the accuracy to expect of model m on reference task t. As the mixtures depend on the
    instruction alone, models are compared on the same tasks, and a model never seen in training keeps its level.

    Args:
        width: Width of the instruction's state.
        tasks: Number of reference tasks; without any, nothing is looked up.
        mixtures: Number of mixtures h.
    """

    def __init__(self, width: int, tasks: int, mixtures: int) -> None:
        super().__init__()
        self.tasks, self.values = tasks, mixtures if tasks else 0
        if self.values:
            self.norm = nn.LayerNorm(width)
            self.query = nn.Linear(width, mixtures * tasks)
            self.gain = nn.Linear(mixtures, 1)

    def forward(self, instruction: Tensor, expected: Tensor) -> Tensor:
        """Look up r, shape (batch, candidates, mixtures).

        Args:
            instruction: State of the instruction, shape (batch, 1 or candidates, width).
            expected: z, shape (candidates, tasks).
        """
        if not self.values:
            return expected.new_zeros(instruction.shape[0], expected.shape[0], 0)
        query = self.query(self.norm(instruction)).float().unflatten(-1, (self.values, self.tasks))
        return (torch.softmax(query, dim=-1) * expected.float().unsqueeze(1)).sum(dim=-1)

    @torch.no_grad()
    def start(self, descriptions: Tensor) -> None:
        """Set the mixtures to what the pretrained encoder finds similar, from all tasks alike to the nearest ones.

        ``descriptions``: the state of each reference task's description, shape (tasks, width).
        """
        if not self.values:
            return
        states = self.norm(descriptions)
        keys = nn.functional.normalize(states - states.mean(dim=0), dim=-1) / states.shape[-1] ** 0.5
        sharpness = torch.linspace(0.0, SHARPEST, self.values, device=keys.device)
        self.query.weight.copy_((sharpness[:, None, None] * keys).flatten(0, 1))
        nn.init.zeros_(self.query.bias)
        nn.init.constant_(self.gain.weight, 1.0 / self.values)
        nn.init.zeros_(self.gain.bias)

    def score(self, found: Tensor) -> Tensor | float:
        """What the looked-up logits add to the score, shape (batch, candidates)."""
        return self.gain(found).squeeze(-1) if self.values else 0.0


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
