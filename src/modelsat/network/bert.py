"""The graph of a network whose phi is a BERT, written operator by operator for speed on a CPU.

For a network whose candidates are one position each, which reads the instruction (``inquiry_position="shared"``).
Against a traced graph: keys and values are computed for the instruction only, so the cost of attention grows with the
number of candidates and not with its square; attention is one fused operator; linear layers may be eight-bit ones
(:mod:`modelsat.network.quantise`); and where the instruction is read before the last layer (``read_layer``), that layer
computes its keys and values only.

Positions are ``[x_1 .. x_L, (e_c + p)_1, ..]`` as in :mod:`modelsat.network.layers`; candidates enter behind
``entry_layer`` layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from transformers import BertModel

from modelsat.network.model import ModelSATModel

if TYPE_CHECKING:
    from modelsat.network.quantise import QuantisedLinear

Floats = NDArray[np.float32]
_OPSET, _IR_VERSION = 20, 9
_MICROSOFT = "com.microsoft"
"""Domain of the operators that ONNX Runtime adds to the standard."""

Layers = Mapping[str, "QuantisedLinear"]
"""Eight-bit layers by name: ``encoder.layer.0.attention.self`` (query, key and value in one), ``... .dense``."""


class Graph:
    """Collects nodes and initialisers; every method returns names of tensors."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, value: NDArray[Any], name: str | None = None) -> str:
        """Add an initialiser."""
        name = name or f"constant_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def floats(self, value: Any, name: str | None = None) -> str:
        """A float32 initialiser."""
        return self.constant(np.asarray(value, dtype=np.float32), name)

    def integers(self, *values: int) -> str:
        """An int64 vector; equal ones are shared."""
        name = "integers_" + "_".join(map(str, values))
        return name if name in self._constants else self.constant(np.asarray(values, dtype=np.int64), name)

    def shape(self, *sizes: str | int) -> str:
        """A shape of known numbers and of one-element vectors known when the graph runs."""
        return self.op("Concat", *(s if isinstance(s, str) else self.integers(s) for s in sizes), axis=0)

    def size(self, tensor: str, axis: int) -> str:
        """A size as a one-element vector."""
        return self.op("Shape", tensor, start=axis, end=axis + 1)

    def slice(self, tensor: str, start: str | int, end: str | int, axis: int) -> str:
        """Part of a tensor along one axis."""
        edges = (edge if isinstance(edge, str) else self.integers(edge) for edge in (start, end))
        return self.op("Slice", tensor, *edges, self.integers(axis), self.integers(1))

    def rename(self, tensor: str, name: str) -> None:
        """Give a tensor the name of an output."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name]))

    def model(
        self, inputs: Sequence[tuple[str, int, Sequence[str | int]]], outputs: Sequence[tuple[str, Sequence[str | int]]]
    ) -> onnx.ModelProto:
        """The finished model; inputs are given with their element type, outputs are float32."""
        graph = helper.make_graph(
            self._nodes,
            "modelsat",
            [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="modelsat")


def supports(model: ModelSATModel) -> bool:
    """Whether phi is a BERT of the usual kind, read by the small head, with one position a candidate."""
    phi = model.phi
    plain = isinstance(phi, BertModel) and model.config.phi_config.hidden_act == "gelu"
    shared = model.config.inquiry_position == "shared"
    return plain and shared and model.config.answer_ids is None and not model.config.causal


def parameters(layer: nn.Linear) -> tuple[Floats, Floats]:
    """Weight of shape (inputs, outputs) and bias."""
    return layer.weight.detach().float().numpy().T.copy(), layer.bias.detach().float().numpy()


def joined(attention: Any) -> tuple[Floats, Floats]:
    """Query, key and value as one layer."""
    parts = [parameters(getattr(attention.self, name)) for name in ("query", "key", "value")]
    return np.concatenate([part[0] for part in parts], axis=1), np.concatenate([part[1] for part in parts])


class BertGraph:
    """Writes the graph of one network in float32, some of whose linear layers are computed in eight bits."""

    def __init__(self, model: ModelSATModel, quantised: Layers) -> None:
        self._model: Any = model
        self._quantised, self._g = quantised, Graph()
        config = model.config.phi_config
        self._width, self._heads = config.hidden_size, config.num_attention_heads

    def build(self) -> onnx.ModelProto:
        """The whole graph; inputs and outputs as in :func:`modelsat.network.export.export_onnx`."""
        g, width = self._g, self._width
        self._batch, self._length = g.size("input_ids", 0), g.size("input_ids", 1)
        self._mask = g.op("Cast", "attention_mask", to=TensorProto.INT32)
        self._count = g.op("ReduceSum", "attention_mask", g.integers(1), keepdims=1)  # tokens, (batch, 1)
        vectors = g.slice("capabilities", 0, width, 1)
        hidden, behind = self._embed(vectors)
        config, layers = self._model.config, self._model.phi.encoder.layer
        read = len(layers) if config.read_layer is None else config.read_layer
        text = ""
        for index, layer in enumerate(layers):
            if index == config.entry_layer:
                hidden = g.op("Concat", hidden, behind, axis=1)
            if index == read:
                text = self._text(hidden)
            asking = self._candidates(hidden) if read <= index == len(layers) - 1 else hidden
            hidden = self._layer(f"encoder.layer.{index}", layer, hidden, asking)
        if text:
            self._answer(text, hidden, vectors)
        else:
            self._answer(self._text(hidden), self._candidates(hidden), vectors)
        batch, length = "batch", "length"
        return g.model(
            [
                ("input_ids", TensorProto.INT64, (batch, length)),
                ("attention_mask", TensorProto.INT64, (batch, length)),
                ("capabilities", TensorProto.FLOAT, ("candidates", self._model.capability_size)),
            ],
            [("probabilities", (batch, "candidates")), ("text_embeddings", (batch, width))],
        )

    def _text(self, positions: str) -> str:
        """The instruction's part of (batch, positions, ..)."""
        return self._g.slice(positions, 0, self._length, 1)

    def _candidates(self, positions: str) -> str:
        """The candidates' part of (batch, positions, ..)."""
        return self._g.slice(positions, self._length, 2**31 - 1, 1)

    # -- embeddings ----------------------------------------------------------------------------------------------------

    def _embed(self, vectors: str) -> tuple[str, str]:
        """Embeddings of the instruction and of the candidates behind it."""
        g, embeddings = self._g, self._model.phi.embeddings
        kind = embeddings.token_type_embeddings.weight[0].detach().numpy()
        places = embeddings.position_embeddings.weight.detach().numpy() + kind
        table = g.op("Cast", g.constant(places.astype(np.float16), "positions"), to=TensorProto.FLOAT)
        words = embeddings.word_embeddings.weight.detach().numpy()
        text = g.op("Add", self._words(words), g.slice(table, 0, self._length, 0))
        inquiry = g.op("Add", vectors, g.floats(words[self._model.config.inquiry_ids]))
        candidates = g.op("Add", inquiry, g.op("Gather", table, self._count))  # behind the instruction
        return self._norm(embeddings.LayerNorm, text), self._norm(embeddings.LayerNorm, candidates)

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

    def _layer(self, name: str, layer: Any, hidden: str, asking: str) -> str:
        """States behind a layer of the positions that ask, which are all or the candidates."""
        g, output = self._g, layer.attention.output
        context = self._attend(f"{name}.attention.self", layer.attention, hidden, asking)
        mixed = self._linear(f"{name}.attention.output.dense", context, *parameters(output.dense))
        hidden = self._norm(output.LayerNorm, g.op("Add", mixed, asking))
        wide = self._linear(f"{name}.intermediate.dense", hidden, *parameters(layer.intermediate.dense))
        back = self._linear(f"{name}.output.dense", g.op("Gelu", wide), *parameters(layer.output.dense))
        return self._norm(layer.output.LayerNorm, g.op("Add", back, hidden))

    def _attend(self, name: str, attention: Any, hidden: str, asking: str) -> str:
        """Every position that asks, of the instruction or a candidate, looks at the instruction."""
        weight, bias = joined(attention)
        everything = self._grid(name, hidden)
        text = self._text(everything)  # all of it, below the entry layer
        queries = everything if asking == hidden else self._candidates(everything)
        query, key, value = (
            self._product(name, read, weight, bias, slice(part * self._width, (part + 1) * self._width))
            for part, read in enumerate((queries, text, text))
        )
        return self._g.op(
            "MultiHeadAttention", query, key, value, "", self._mask, domain=_MICROSOFT, num_heads=self._heads
        )

    def _linear(self, name: str, tensor: str, weight: Floats, bias: Floats) -> str:
        product = self._product(name, self._grid(name, tensor), weight, bias, slice(None))
        return self._kept(name, tensor, product)

    def _grid(self, name: str, tensor: str) -> str:
        """The input of a layer, on its grid of 256 steps if it is an eight-bit one."""
        g, layer = self._g, self._quantised.get(name)
        if layer is None:
            return tensor
        if np.any(layer.smooth != 1.0):
            tensor = g.op("Mul", tensor, g.floats(1.0 / layer.smooth))
        return g.op("QuantizeLinear", tensor, *self._scale(layer))

    def _scale(self, layer: QuantisedLinear) -> tuple[str, str]:
        return self._g.floats(layer.scale), self._g.constant(np.asarray(layer.zero, dtype=np.uint8))

    def _product(self, name: str, grid: str, weight: Floats, bias: Floats, outputs: slice) -> str:
        g, layer = self._g, self._quantised.get(name)
        if layer is None:
            return self._affine(grid, weight[:, outputs], bias[outputs])
        step, zero = self._scale(layer)
        return g.op(
            "MatMulIntegerToFloat",
            *(grid, g.constant(layer.weight[:, outputs]), step, g.floats(layer.steps[outputs]), zero, ""),
            g.floats(layer.bias[outputs]),
            domain=_MICROSOFT,
        )

    def _kept(self, name: str, tensor: str, product: str) -> str:
        """Add what an eight-bit layer multiplies in float32."""
        g, layer = self._g, self._quantised.get(name)
        if layer is None or not len(layer.kept):
            return product
        few = g.op("Gather", tensor, g.integers(*layer.kept.tolist()), axis=-1)
        return g.op("Add", product, g.op("MatMul", few, g.floats(layer.kept_weight)))

    def _matrix(self, weight: Floats) -> str:
        """A matrix, kept as float16 if that loses nothing and unfolded once, at load time."""
        half = weight.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), weight):
            return self._g.floats(weight)
        return self._g.op("Cast", self._g.constant(half), to=TensorProto.FLOAT)

    # -- answer --------------------------------------------------------------------------------------------------------

    def _answer(self, text: str, last: str, vectors: str) -> None:
        g, config, lookup = self._g, self._model.config, self._model.lookup
        mask = g.op("Unsqueeze", g.op("Cast", "attention_mask", to=TensorProto.FLOAT), g.integers(1))  # batch, 1, L
        words = g.op("Max", g.op("Cast", self._count, to=TensorProto.FLOAT), g.floats(1.0))
        many = g.op("Unsqueeze", words, g.integers(1))
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
        query = g.op("Reshape", query, g.shape(self._batch, lookup.values, lookup.tasks))
        share = g.op("Softmax", query, axis=-1)
        expected = g.slice("capabilities", self._width, 2**31 - 1, 1)
        return g.op("Transpose", g.op("FusedMatMul", share, expected, domain=_MICROSOFT, transB=1), perm=[0, 2, 1])

    def _plain(self, layer: nn.Linear, tensor: str) -> str:
        return self._affine(tensor, *parameters(layer))

    def _affine(self, tensor: str, weight: Floats, bias: Floats) -> str:
        return self._g.op("Add", self._g.op("MatMul", tensor, self._matrix(weight)), self._g.floats(bias))
