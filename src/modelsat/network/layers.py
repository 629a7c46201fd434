"""Phi's layers one by one: those of a BERT, or of a Llama, whose positions turn queries and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import LlamaModel


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
