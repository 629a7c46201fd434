"""A small builder of ONNX graphs: operators by name, constants by value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
_IR_VERSION = 9
MICROSOFT = "com.microsoft"
"""Domain of the operators that ONNX Runtime adds to the standard."""


class Graph:
    """Collects nodes and initialisers; every method returns names of tensors."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        return self.ops(kind, *inputs, outputs=1, domain=domain, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        names = [f"{kind}_{len(self._nodes)}" + (f"_{index}" if outputs > 1 else "") for index in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names

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

    def reshape(self, tensor: str, *sizes: str | int) -> str:
        """Reshape; sizes as for :meth:`shape`."""
        known = all(isinstance(size, int) for size in sizes)
        wanted = self.integers(*(int(size) for size in sizes)) if known else self.shape(*sizes)
        return self.op("Reshape", tensor, wanted)

    def slice(self, tensor: str, start: str | int, end: str | int, axis: int, step: int = 1) -> str:
        """Part of a tensor along one axis."""
        edges = (edge if isinstance(edge, str) else self.integers(edge) for edge in (start, end))
        return self.op("Slice", tensor, *edges, self.integers(axis), self.integers(step))

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
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="modelsat")
