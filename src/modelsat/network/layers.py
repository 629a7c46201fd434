"""Phi's layers one by one: those of a BERT, or of a Llama, whose positions turn queries and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaModel

from modelsat.errors import ConfigurationError


class Layers:
    """The layers of a phi that is known.

    Args:
        phi: A network that :meth:`known` says yes to.
    """

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
        query, key, value = (
            part(states).unflatten(-1, (attention.self.num_attention_heads, -1)).transpose(1, 2)
            for part, states in (
                (attention.self.query, asking),
                (attention.self.key, hidden),
                (attention.self.value, hidden),
            )
        )
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
