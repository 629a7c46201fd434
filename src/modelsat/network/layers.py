"""Phi's layers one by one, and the layout of one pass over all candidates.

The sequence is ``[x_1 .. x_L, (e_c, p)_1, .., (e_c, p)_M]``: the instruction once, then one branch of b positions per
candidate. A branch sees the instruction and itself, a branch of one position ``e_c + p`` the instruction alone (what it
is itself, its residual stream carries); the instruction sees no branch. All branches stand at the same
positions, right after the instruction, so a score depends neither on the other candidates nor on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaModel

from modelsat.errors import ConfigurationError


def one_pass(instruction_mask: Tensor, candidates: int, branch: int, *, causal: bool) -> tuple[Tensor, Tensor]:
    """Who may look at whom, and at which position everything stands.

    Args:
        instruction_mask: 1 where an instruction token stands, shape (batch, L).
        candidates: Number of branches M.
        branch: Positions per branch b.
        causal: Lower-triangular attention inside the instruction and inside each branch.

    Returns:
        Boolean mask, True where attention is allowed, shape (batch, 1, L + M*b, L + M*b); position ids, shape
        (batch, L + M*b): branches share the b positions after the instruction's last token.
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
    text = torch.arange(length, device=device).unsqueeze(0).expand(batch, length)
    positions = torch.cat([text, instruction_mask.sum(dim=1, keepdim=True) + step.unsqueeze(0)], dim=1)
    return torch.cat([top, bottom], dim=1).unsqueeze(1), positions


def capability_first(instruction_mask: Tensor, inquiry: int, *, causal: bool) -> tuple[Tensor, Tensor]:
    """As :func:`one_pass`, of the paper's sequence ``[e_c, x_1 .. x_L, p]``; padding takes up no position.

    Returns:
        Shapes (batch, 1, 1 + L + P, 1 + L + P) and (batch, 1 + L + P).
    """
    batch, length = instruction_mask.shape
    device = instruction_mask.device
    ones = instruction_mask.new_ones(batch, 1)
    valid = torch.cat([ones, instruction_mask, ones.expand(batch, inquiry)], dim=1).bool()
    size = valid.shape[1]
    mask = valid.unsqueeze(1).expand(batch, size, size)
    if causal:
        mask = mask & torch.ones(size, size, dtype=torch.bool, device=device).tril()
    head = torch.arange(1 + length, device=device).unsqueeze(0).expand(batch, 1 + length)
    tail = 1 + instruction_mask.sum(dim=1, keepdim=True) + torch.arange(inquiry, device=device)
    return mask.unsqueeze(1), torch.cat([head, tail], dim=1)


def additive(allowed: Tensor, like: Tensor) -> Tensor:
    """A boolean attention mask as what is added to attention logits."""
    mask = torch.zeros(allowed.shape, dtype=like.dtype, device=like.device)
    return mask.masked_fill(~allowed, torch.finfo(like.dtype).min)


class Layers:
    """The layers of a BERT, or of a Llama, whose positions turn queries and keys; :meth:`known` says which it takes."""

    def __init__(self, phi: Any) -> None:
        self._phi, self._llama = phi, isinstance(phi, LlamaModel)

    @staticmethod
    def known(phi: nn.Module) -> bool:
        """Whether the network is a BERT or a Llama, without an LM head."""
        return hasattr(phi, "encoder") or isinstance(phi, LlamaModel)

    @property
    def all(self) -> Sequence[nn.Module]:
        """The layers, first to last."""
        return self._phi.layers if self._llama else self._phi.encoder.layer  # type: ignore[no-any-return]

    def begin(self, embeddings: Tensor, positions: Tensor) -> Tensor:
        """What the first layer reads of input embeddings, shape (batch, length, width)."""
        return embeddings if self._llama else self._phi.embeddings(inputs_embeds=embeddings, position_ids=positions)

    def run(self, hidden: Tensor, mask: Tensor, positions: Tensor, part: slice) -> Tensor:
        """States behind some layers.

        Args:
            hidden: States before them, shape (batch, length, width).
            mask: Added to attention logits, shape (batch, 1, length, length).
            positions: Shape (batch, length).
            part: Which layers.
        """
        turned = {"position_embeddings": self._phi.rotary_emb(hidden, positions)} if self._llama else {}
        for layer in self.all[part]:
            hidden = layer(hidden, attention_mask=mask, **turned)
        return hidden

    def finish(self, hidden: Tensor, start: int, mask: Tensor, positions: Tensor) -> Tensor:
        """States behind the last layer of the positions from ``start`` on.

        Arguments as of :meth:`run`. In a BERT the positions before them give their keys and values only.
        """
        if self._llama:
            return self.run(hidden, mask, positions, slice(-1, None))[:, start:]
        layer, asking = self.all[-1], hidden[:, start:]
        attention: Any = layer.attention
        heads = attention.self.num_attention_heads
        parts = (attention.self.query(asking), attention.self.key(hidden), attention.self.value(hidden))
        query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
        dropout = attention.self.dropout.p if attention.training else 0.0
        context = nn.functional.scaled_dot_product_attention(query, key, value, mask[:, :, start:], dropout)
        asking = attention.output(context.transpose(1, 2).flatten(-2), asking)
        return layer.feed_forward_chunk(asking)  # type: ignore[operator, no-any-return]

    def end(self, hidden: Tensor) -> Tensor:
        """Last states, of those behind the last layer."""
        return self._phi.norm(hidden) if self._llama else hidden


def resize_feed_forward(phi: Any, widths: Sequence[int]) -> None:
    """Give the layers of a BERT-like phi feed-forward parts of these widths, newly initialised where they differ."""
    for layer, width in zip(phi.encoder.layer, widths, strict=True):
        hidden, present = layer.intermediate.dense.in_features, layer.intermediate.dense.out_features
        if width != present:
            layer.intermediate.dense, layer.output.dense = nn.Linear(hidden, width), nn.Linear(width, hidden)


@torch.no_grad()
def prune_feed_forward(phi: Any, widths: Sequence[int], input_ids: Tensor, attention_mask: Tensor) -> None:
    """Keep the units of each feed-forward part that add most to its output on some texts.

    A unit's share is the sum over tokens of its activation's magnitude, times the norm of its outgoing weights.

    Args:
        phi: A BERT-like network.
        widths: Units to keep, by layer; no more than there are.
        input_ids: Tokens of the texts, shape (texts, length).
        attention_mask: Shape (texts, length).

    Raises:
        ConfigurationError: There are fewer units than are to be kept.
    """
    most = [layer.intermediate.dense.out_features for layer in phi.encoder.layer]
    if any(width > there for width, there in zip(widths, most, strict=True)):
        raise ConfigurationError(f"phi's feed-forward parts are {most} wide, so feed_forward={list(widths)} cannot be")
    added: list[Tensor] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        added.append((output.abs() * attention_mask.unsqueeze(-1)).sum(dim=(0, 1)))

    hooks = [layer.intermediate.register_forward_hook(record) for layer in phi.encoder.layer]
    phi(input_ids=input_ids, attention_mask=attention_mask)
    for hook in hooks:
        hook.remove()
    full = [(layer.intermediate.dense, layer.output.dense) for layer in phi.encoder.layer]
    resize_feed_forward(phi, widths)
    for layer, width, (into, out), share in zip(phi.encoder.layer, widths, full, added, strict=True):
        kept = (share * out.weight.norm(dim=0)).topk(width).indices.sort().values
        layer.intermediate.dense.weight.copy_(into.weight[kept])
        layer.intermediate.dense.bias.copy_(into.bias[kept])
        layer.output.dense.weight.copy_(out.weight[:, kept])
        layer.output.dense.bias.copy_(out.bias)
