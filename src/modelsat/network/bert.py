"""The graph of a network whose phi is a BERT, written operator by operator for speed on a CPU.

Against a traced graph: the instruction and the branches attend separately, so the cost of attention grows with the
number of candidates and not with its square; queries, keys and values are one product; the last layer computes only the
positions that are read; and linear layers may be eight-bit ones (:mod:`modelsat.network.quantise`).

Positions are ``[x_1 .. x_L, (e_c, p_1 .. p_k)_1, ..]`` as in :mod:`modelsat.network.branches`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from torch import nn
from transformers import BertModel

from modelsat.network.graph import MICROSOFT, Graph
from modelsat.network.model import ModelSATModel
from modelsat.network.quantise import Floats, QuantisedLinear

Layers = Mapping[str, QuantisedLinear]
"""Eight-bit layers by name: ``encoder.layer.0.attention.self`` (query, key and value in one), ``... .dense``."""


def supports(model: ModelSATModel) -> bool:
    """Whether phi is a BERT of the usual kind, read by the small head."""
    phi = model.phi
    plain = isinstance(phi, BertModel) and model.config.phi_config.hidden_act == "gelu"
    return plain and model.config.answer_ids is None and not model.config.causal


def parameters(layer: nn.Linear) -> tuple[Floats, Floats]:
    """Weight of shape (inputs, outputs) and bias."""
    return layer.weight.detach().float().numpy().T.copy(), layer.bias.detach().float().numpy()


def joined(attention: Any) -> tuple[Floats, Floats]:
    """Query, key and value as one layer."""
    parts = [parameters(getattr(attention.self, name)) for name in ("query", "key", "value")]
    return np.concatenate([part[0] for part in parts], axis=1), np.concatenate([part[1] for part in parts])


class BertGraph:
    """Writes the graph of one network, whose parts are torch modules that carry no types of their own.

    Args:
        model: The network, in float32.
        quantised: Linear layers to compute in eight bits; the others are float32.
    """

    def __init__(self, model: ModelSATModel, quantised: Layers) -> None:
        self._model: Any = model
        self._quantised, self._g = quantised, Graph()
        config = model.config.phi_config
        self._width, self._heads, self._depth = config.hidden_size, config.num_attention_heads, config.num_hidden_layers
        self._branch = model.config.branch
        self._tables: dict[str, tuple[str, str]] = {}

    def build(self) -> onnx.ModelProto:
        """The whole graph; inputs and outputs as in :func:`modelsat.network.export.export_onnx`."""
        g, width = self._g, self._width
        self._batch, self._length = g.size("input_ids", 0), g.size("input_ids", 1)
        self._count = g.size("capabilities", 0)
        self._mask = g.op("Cast", "attention_mask", to=TensorProto.FLOAT)
        barred = g.op("Mul", g.op("Sub", self._mask, g.floats(1.0)), g.floats(1e30))
        self._bias = g.op("Unsqueeze", barred, g.integers(1, 2))  # batch, 1, 1, L
        vectors = g.slice("capabilities", 0, width, 1)
        hidden = self._embed(vectors)
        for index, layer in enumerate(self._model.phi.encoder.layer):
            hidden = self._layer(f"encoder.layer.{index}", layer, hidden, last=index == self._depth - 1)
        text, last = self._parts(hidden, 1)
        self._answer(text, last, vectors)
        batch, length = "batch", "length"
        return g.model(
            [
                ("input_ids", TensorProto.INT64, (batch, length)),
                ("attention_mask", TensorProto.INT64, (batch, length)),
                ("capabilities", TensorProto.FLOAT, ("candidates", self._model.capability_size)),
            ],
            [("probabilities", (batch, "candidates")), ("text_embeddings", (batch, width))],
        )

    def _parts(self, hidden: str, axis: int) -> list[str]:
        """Instruction and branches."""
        end = self._g.integers(2**31 - 1)
        return [
            self._g.slice(hidden, 0, self._length, axis),
            self._g.slice(hidden, self._length, end, axis),
        ]

    # -- embeddings ----------------------------------------------------------------------------------------------------

    def _embed(self, vectors: str) -> str:
        g, width, embeddings = self._g, self._width, self._model.phi.embeddings
        kind = embeddings.token_type_embeddings.weight[0].detach().numpy()
        places = embeddings.position_embeddings.weight.detach().numpy() + kind
        table = g.op("Cast", g.constant(places.astype(np.float16), "positions"), to=TensorProto.FLOAT)
        words = embeddings.word_embeddings.weight.detach().numpy()
        text = g.op("Add", self._words(words), g.slice(table, 0, self._length, 0))
        inquiry = g.floats(words[self._model.config.inquiry_ids][None])
        tail = g.op("Unsqueeze", vectors, g.integers(1))
        if self._model.config.inquiry_position == "shared":
            tail = g.op("Add", tail, inquiry)
        else:
            tail = g.op("Concat", tail, g.op("Expand", inquiry, g.shape(self._count, 1, 1)), axis=1)
        long = g.op("ReduceSum", "attention_mask", g.integers(1), keepdims=1)
        steps = g.op("Add", long, g.constant(np.arange(self._branch, dtype=np.int64)[None]))
        branches = g.op("Add", tail, g.op("Unsqueeze", g.op("Gather", table, steps), g.integers(1)))
        branches = g.reshape(branches, self._batch, -1, width)
        return self._norm(embeddings.LayerNorm, g.op("Concat", text, branches, axis=1))

    def _words(self, words: Floats) -> str:
        """The table of words as int8 with one step a row."""
        g = self._g
        steps = np.maximum(np.abs(words).max(axis=1, keepdims=True) / 127.0, 1e-12)
        rows = g.op("Gather", g.constant(np.rint(words / steps).astype(np.int8), "words"), "input_ids")
        return g.op(
            "Mul", g.op("Cast", rows, to=TensorProto.FLOAT), g.op("Gather", g.floats(steps, "word_steps"), "input_ids")
        )

    def _norm(self, norm: nn.LayerNorm, tensor: str) -> str:
        weight, bias = (self._g.floats(value.detach().numpy()) for value in (norm.weight, norm.bias))
        return self._g.op("LayerNormalization", tensor, weight, bias, epsilon=norm.eps)

    # -- layers --------------------------------------------------------------------------------------------------------

    def _layer(self, name: str, layer: Any, hidden: str, *, last: bool) -> str:
        g = self._g
        attended = self._attend(name, layer.attention, hidden, last=last)
        if last:  # of the branches, only the last position is read
            text, branches = self._parts(hidden, 1)
            hidden = g.op("Concat", text, self._ends(branches, 1), axis=1)
        output = layer.attention.output
        mixed = self._linear(f"{name}.attention.output.dense", attended, *parameters(output.dense))
        hidden = self._norm(output.LayerNorm, g.op("Add", mixed, hidden))
        wide = self._linear(f"{name}.intermediate.dense", hidden, *parameters(layer.intermediate.dense))
        back = self._linear(f"{name}.output.dense", g.op("Gelu", wide), *parameters(layer.output.dense))
        return self._norm(layer.output.LayerNorm, g.op("Add", back, hidden))

    def _ends(self, branches: str, axis: int) -> str:
        return self._g.slice(branches, self._branch - 1, 2**31 - 1, axis, self._branch)

    def _attend(self, name: str, attention: Any, hidden: str, *, last: bool) -> str:
        g, size = self._g, self._width // self._heads
        everything = self._linear(f"{name}.attention.self", hidden, *joined(attention))
        split = g.reshape(everything, self._batch, -1, 3, self._heads, size)
        rows = g.op("Transpose", split, perm=[2, 0, 3, 1, 4])  # 3, batch, heads, positions, size
        text, branches = self._parts(rows, 3)
        query, key, value = g.ops("Split", text, outputs=3, axis=0, num_outputs=3)
        own_query, own_key, own_value = g.ops("Split", branches, outputs=3, axis=0, num_outputs=3)
        if last:
            own_query = self._ends(own_query, 3)
        read = g.op("MatMul", g.op("Softmax", self._look(query, key), axis=-1), value)
        asked = 1 if last else self._branch
        looked = self._look(own_query, key)  # 1, batch, heads, M * asked, L
        query_6 = g.reshape(own_query, self._batch, self._heads, -1, asked, 1, size)
        key_6, value_6 = (
            g.reshape(part, self._batch, self._heads, -1, 1, self._branch, size) for part in (own_key, own_value)
        )
        own = g.op("ReduceSum", g.op("Mul", query_6, key_6), g.integers(5), keepdims=0)
        own = g.op("Mul", g.reshape(own, 1, self._batch, self._heads, -1, self._branch), g.floats(size**-0.5))
        share = g.op("Softmax", g.op("Concat", looked, own, axis=-1), axis=-1)
        of_text = g.op("MatMul", g.slice(share, 0, self._length, 4), value)
        of_own = g.reshape(
            g.slice(share, self._length, 2**31 - 1, 4), self._batch, self._heads, -1, asked, self._branch, 1
        )
        own = g.op("ReduceSum", g.op("Mul", of_own, value_6), g.integers(4), keepdims=0)
        branches = g.op("Add", of_text, g.reshape(own, 1, self._batch, self._heads, -1, size))
        joint = g.op("Concat", read, branches, axis=3)
        return g.reshape(g.op("Transpose", joint, perm=[0, 1, 3, 2, 4]), self._batch, -1, self._width)

    def _look(self, query: str, key: str) -> str:
        """Attention logits on the instruction."""
        scale = (self._width // self._heads) ** -0.5
        return self._g.op(
            "Add", self._g.op("FusedMatMul", query, key, domain=MICROSOFT, transB=1, alpha=scale), self._bias
        )

    def _linear(self, name: str, tensor: str, weight: Floats, bias: Floats) -> str:
        g, layer = self._g, self._quantised.get(name)
        if layer is None:
            return g.op("Add", g.op("MatMul", tensor, self._matrix(weight)), g.floats(bias))
        step, zero = g.floats(layer.scale), g.constant(np.asarray(layer.zero, dtype=np.uint8))
        grid = g.op("QuantizeLinear", g.op("Mul", tensor, g.floats(1.0 / layer.smooth)), step, zero)
        return g.op(
            "MatMulIntegerToFloat",
            *(grid, g.constant(layer.weight), step, g.floats(layer.steps), zero, "", g.floats(layer.bias)),
            domain=MICROSOFT,
        )

    def _matrix(self, weight: Floats) -> str:
        """A matrix, kept as float16 if that loses nothing and unfolded once, at load time."""
        half = weight.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), weight):
            return self._g.floats(weight)
        return self._g.op("Cast", self._g.constant(half), to=TensorProto.FLOAT)

    # -- answer --------------------------------------------------------------------------------------------------------

    def _answer(self, text: str, last: str, vectors: str) -> None:
        g, config, lookup = self._g, self._model.config, self._model.lookup
        mask = g.op("Unsqueeze", self._mask, g.integers(1))  # batch, 1, L
        words = g.op("ReduceSum", self._mask, g.integers(1), keepdims=1)
        many = g.op("Unsqueeze", g.op("Max", words, g.floats(1.0)), g.integers(1))
        read = g.op("Div", g.op("MatMul", mask, text), many)  # batch, 1, width
        norm = g.op("ReduceL2", read, g.integers(2), keepdims=1)
        g.rename(
            g.op("Squeeze", g.op("Div", read, g.op("Max", norm, g.floats(1e-12))), g.integers(1)), "text_embeddings"
        )
        spread = g.op("Expand", vectors, g.shape(self._batch, 1, 1))
        parts = [last, spread]
        if lookup.values:
            found = self._look_up(read)
            parts.append(found)
        first, second = self._model.head[0], self._model.head[2]
        inner = g.op("Gelu", self._plain(first, g.op("Concat", *parts, axis=-1)))
        weight, bias = parameters(second)  # of Yes and of No: only their difference counts
        logit = self._affine(inner, weight[:, :1] - weight[:, 1:], bias[:1] - bias[1:])
        if lookup.values:
            logit = g.op("Add", logit, self._plain(lookup.gain, found))
        scaled = g.op("Add", g.op("Mul", logit, g.floats(config.scale)), g.floats(config.shift))
        g.rename(g.op("Squeeze", g.op("Sigmoid", scaled), g.integers(2)), "probabilities")

    def _look_up(self, read: str) -> str:
        """Candidates' expected logits on the tasks that the instruction resembles, (batch, candidates, mixtures)."""
        g, lookup = self._g, self._model.lookup
        query = self._plain(lookup.query, self._norm(lookup.norm, read))
        share = g.op("Softmax", g.reshape(query, self._batch, lookup.values, lookup.tasks), axis=-1)
        expected = g.slice("capabilities", self._width, 2**31 - 1, 1)
        return g.op("Transpose", g.op("FusedMatMul", share, expected, domain=MICROSOFT, transB=1), perm=[0, 2, 1])

    def _plain(self, layer: nn.Linear, tensor: str) -> str:
        return self._affine(tensor, *parameters(layer))

    def _affine(self, tensor: str, weight: Floats, bias: Floats) -> str:
        return self._g.op("Add", self._g.op("MatMul", tensor, self._matrix(weight)), self._g.floats(bias))
