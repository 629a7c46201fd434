"""Looking a candidate's expected accuracy up on the tasks that an instruction resembles."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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

    def score(self, found: Tensor) -> Tensor | float:
        """What the looked-up logits add to the score, shape (batch, candidates)."""
        return self.gain(found).squeeze(-1) if self.values else 0.0
