"""Looking a candidate's expected accuracy up on the tasks that an instruction resembles."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHARPEST = 24.0
"""Inverse temperature of the sharpest mixture at the start, on cosine similarities."""


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
        """Look up.

        Args:
            instruction: State of the instruction, shape (batch, 1 or candidates, width).
            expected: z, shape (candidates, tasks).

        Returns:
            r, shape (batch, candidates, mixtures).
        """
        if not self.values:
            return expected.new_zeros(instruction.shape[0], expected.shape[0], 0)
        query = self.query(self.norm(instruction)).float().unflatten(-1, (self.values, self.tasks))
        return (torch.softmax(query, dim=-1) * expected.float().unsqueeze(1)).sum(dim=-1)

    @torch.no_grad()
    def start(self, descriptions: Tensor) -> None:
        """Set the mixtures to what the pretrained encoder finds similar, from all tasks alike to the nearest ones.

        Args:
            descriptions: State of each reference task's description, shape (tasks, width).
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
