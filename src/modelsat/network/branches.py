"""The layout of one pass over all candidates: who may look at whom, and at which position everything stands.

The sequence is ``[x_1 .. x_L, (e_c, p)_1, .., (e_c, p)_M]``: the instruction once, then one branch of b positions per
candidate. A branch sees the instruction and itself, a branch of one position ``e_c + p`` the instruction alone (what it
is itself, its residual stream carries); the instruction sees no branch. All branches stand at the same
positions, right after the instruction, so a score depends neither on the other candidates nor on their order.
"""

from __future__ import annotations

import torch
from torch import Tensor


def one_pass_mask(instruction_mask: Tensor, candidates: int, branch: int, *, causal: bool) -> Tensor:
    """Boolean attention mask, True where attention is allowed, shape (batch, 1, L + M*b, L + M*b).

    Args:
        instruction_mask: 1 where an instruction token stands, shape (batch, L).
        candidates: Number of branches M.
        branch: Positions per branch b.
        causal: Lower-triangular attention inside the instruction and inside each branch.
    """
    batch, length = instruction_mask.shape
    device = instruction_mask.device
    size = candidates * branch
    owner = torch.arange(size, device=device) // branch
    step = torch.arange(size, device=device) % branch
    own = (owner.unsqueeze(1) == owner.unsqueeze(0)) & (branch > 1)
    inside = torch.ones(length, length, dtype=torch.bool, device=device)
    if causal:
        own = own & (step.unsqueeze(1) >= step.unsqueeze(0))
        inside = inside.tril()
    valid = instruction_mask.bool().unsqueeze(1)
    top = torch.cat([inside.unsqueeze(0) & valid, instruction_mask.new_zeros(batch, length, size).bool()], dim=2)
    bottom = torch.cat([valid.expand(batch, size, length), own.unsqueeze(0).expand(batch, size, size)], dim=2)
    return torch.cat([top, bottom], dim=1).unsqueeze(1)


def one_pass_positions(instruction_mask: Tensor, candidates: int, branch: int) -> Tensor:
    """Position ids, shape (batch, L + M*b): branches share the b positions after the instruction's last token."""
    batch, length = instruction_mask.shape
    own = torch.arange(length, device=instruction_mask.device).unsqueeze(0).expand(batch, length)
    steps = torch.arange(candidates * branch, device=instruction_mask.device) % branch
    return torch.cat([own, instruction_mask.sum(dim=1, keepdim=True) + steps.unsqueeze(0)], dim=1)


def capability_first_mask(instruction_mask: Tensor, inquiry: int, *, causal: bool) -> Tensor:
    """Boolean mask of the paper's sequence ``[e_c, x_1 .. x_L, p]``, shape (batch, 1, 1 + L + P, 1 + L + P)."""
    batch, _ = instruction_mask.shape
    ones = instruction_mask.new_ones(batch, 1)
    valid = torch.cat([ones, instruction_mask, ones.expand(batch, inquiry)], dim=1).bool()
    size = valid.shape[1]
    mask = valid.unsqueeze(1).expand(batch, size, size)
    if causal:
        mask = mask & torch.ones(size, size, dtype=torch.bool, device=mask.device).tril()
    return mask.unsqueeze(1)


def capability_first_positions(instruction_mask: Tensor, inquiry: int) -> Tensor:
    """Position ids of the paper's sequence, shape (batch, 1 + L + P); padding takes up no position."""
    batch, length = instruction_mask.shape
    head = torch.arange(1 + length, device=instruction_mask.device).unsqueeze(0).expand(batch, 1 + length)
    tail = 1 + instruction_mask.sum(dim=1, keepdim=True) + torch.arange(inquiry, device=instruction_mask.device)
    return torch.cat([head, tail], dim=1)
