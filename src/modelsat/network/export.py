"""Export to ONNX: one graph for phi (psi's text encoder too), one small graph for psi's pooling and the connector.

The graph of a BERT is written by :mod:`modelsat.network.bert`, that of any other phi traced. Weights are stored
compactly and computed in float32, except for eight-bit layers: matrices as float16 (exact for checkpoints saved in
float16), the embedding table as int8 with one scale a row. ONNX Runtime unfolds them once, at load time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from modelsat.errors import ConfigurationError
from modelsat.network import bert
from modelsat.network.encoder import mean_pool
from modelsat.network.model import ModelSATModel
from modelsat.network.quantise import QuantisedLinear

PHI_FILE, PSI_FILE = "model.onnx", "psi.onnx"
_OPSET = 18
_SMALL, _TABLE = 2048, 1_000_000


class _Part(nn.Module):
    def __init__(self, model: ModelSATModel) -> None:
        super().__init__()
        self.model = model


class _Phi(_Part):
    def forward(self, input_ids: Tensor, attention_mask: Tensor, capabilities: Tensor) -> tuple[Tensor, Tensor]:
        logits, hidden = self.model.score_and_read(input_ids, attention_mask, capabilities)
        probabilities = torch.sigmoid(self.model.config.scale * logits + self.model.config.shift)
        return probabilities, mean_pool(hidden, attention_mask)


class _Psi(_Part):
    def forward(self, descriptions: Tensor, features: Tensor, overall: Tensor, mask: Tensor) -> Tensor:
        return self.model.encode_capabilities(descriptions, features, overall, mask)


def export_onnx(model: ModelSATModel, folder: Path, quantised: Mapping[str, QuantisedLinear] | None = None) -> None:
    """Write ``model.onnx`` and ``psi.onnx`` into ``folder``.

    ``model.onnx``: ``input_ids``, ``attention_mask`` (batch, L), ``capabilities`` (candidates, width) to
    ``probabilities`` (batch, candidates) and ``text_embeddings`` (batch, width), the instruction's mean-pooled
    states behind ``read_layer``, which read no candidate.
    ``psi.onnx``: ``descriptions``, ``features``, ``mask`` of profiles x statements and ``overall`` of profiles to
    ``capabilities``.

    Args:
        model: The network.
        folder: Where to write.
        quantised: Layers of :func:`modelsat.network.quantise.fit_layers`, to be computed in eight bits.

    Raises:
        ConfigurationError: The network is not the kind that exports: psi sharing phi, the answer read off the small
            head, instruction first; or eight-bit layers were given for a phi that is not a BERT.
    """
    small_head = model.config.answer_ids is None
    if model.psi is not None or not small_head or model.config.order != "instruction_first":
        raise ConfigurationError(
            "only a network whose psi shares phi, with the small head and the instruction first, exports to ONNX"
        )
    model = model.eval().float()  # type: ignore[no-untyped-call]
    if bert.supports(model):
        graph = bert.BertGraph(model, quantised or {}).build()
        onnx.checker.check_model(graph)
        (folder / PHI_FILE).write_bytes(graph.SerializeToString())
    elif quantised:
        raise ConfigurationError(
            "only a BERT with the small head and inquiry_position: shared can be quantised: train with that key, or "
            "export in float32"
        )
    else:
        _trace_phi(model, folder)
    _trace_psi(model, folder)


def _trace_phi(model: ModelSATModel, folder: Path) -> None:
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=480)
    ids = torch.arange(21).reshape(3, 7) % model.config.phi_config.vocab_size
    _export(
        _Phi(model),
        (ids, torch.ones_like(ids), torch.randn(4, model.capability_size)),
        folder / PHI_FILE,
        inputs=["input_ids", "attention_mask", "capabilities"],
        outputs=["probabilities", "text_embeddings"],
        dynamic=({0: batch, 1: length}, {0: batch, 1: length}, {0: torch.export.Dim("candidates")}),
    )


def _trace_psi(model: ModelSATModel, folder: Path) -> None:
    profiles, statements = torch.export.Dim("profiles"), torch.export.Dim("statements")
    both: dict[int, object] = {0: profiles, 1: statements}
    features, text_width = torch.rand(3, 5, model.config.statement_features), model.pooling.text.in_features
    _export(
        _Psi(model),
        (
            torch.randn(3, 5, text_width),
            features,
            torch.rand(3, model.config.overall_features + len(model.config.reference_tasks)),
            torch.ones(3, 5),
        ),
        folder / PSI_FILE,
        inputs=["descriptions", "features", "overall", "mask"],
        outputs=["capabilities"],
        dynamic=(both, both, {0: profiles}, both),
    )


def _export(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: list[str],
    outputs: list[str],
    dynamic: tuple[dict[int, object], ...],
) -> None:
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            arguments,
            dynamo=True,
            opset_version=_OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic,
            verbose=False,
        )
    if program is None:
        raise ConfigurationError(f"torch.onnx could not export {path.name}")
    graph = program.model_proto
    _compact(graph)
    onnx.checker.check_model(graph)
    path.write_bytes(graph.SerializeToString())


def _compact(model: onnx.ModelProto) -> None:
    """Store large float32 initialisers compactly: tables that Gather reads as int8 rows, other matrices as float16."""
    graph = model.graph
    lookups: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        if node.op_type == "Gather":
            lookups.setdefault(node.input[0], []).append(node)
    kept: list[onnx.TensorProto] = []
    casts: list[onnx.NodeProto] = []
    replaced: dict[str, list[onnx.NodeProto]] = {}
    for tensor in graph.initializer:
        size = int(np.prod(tensor.dims)) if tensor.dims else 1
        if tensor.data_type != TensorProto.FLOAT or size <= _SMALL:
            kept.append(tensor)
        elif tensor.name in lookups and size >= _TABLE:
            kept.extend(_int8_rows(tensor))
            replaced.update({node.output[0]: _int8_lookup(tensor.name, node) for node in lookups[tensor.name]})
        else:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            kept.append(numpy_helper.from_array(values, f"{tensor.name}_f16"))
            casts.append(helper.make_node("Cast", [f"{tensor.name}_f16"], [tensor.name], to=TensorProto.FLOAT))
    body = [new for node in graph.node for new in replaced.get(node.output[0], [node])]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend([*casts, *body])
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")  # stack traces of the exporter: paths of the machine that ran it
        part.ClearField("doc_string")


def _int8_rows(tensor: onnx.TensorProto) -> list[onnx.TensorProto]:
    table = numpy_helper.to_array(tensor)
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127.0, 1e-12).astype(np.float32)
    rows = np.clip(np.rint(table / scale), -127, 127).astype(np.int8)
    return [numpy_helper.from_array(rows, f"{tensor.name}_i8"), numpy_helper.from_array(scale, f"{tensor.name}_scale")]


def _int8_lookup(table: str, gather: onnx.NodeProto) -> list[onnx.NodeProto]:
    """``Gather(table, ids)`` as ``Cast(Gather(int8 table, ids)) * Gather(scales, ids)``."""
    ids, output = gather.input[1], gather.output[0]
    return [
        helper.make_node("Gather", [f"{table}_i8", ids], [f"{output}_i8"], axis=0),
        helper.make_node("Cast", [f"{output}_i8"], [f"{output}_f32"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{table}_scale", ids], [f"{output}_scale"], axis=0),
        helper.make_node("Mul", [f"{output}_f32", f"{output}_scale"], [output]),
    ]
