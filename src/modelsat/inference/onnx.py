"""The default backend: the exported network on ONNX Runtime, without torch."""

from __future__ import annotations

import os
from functools import cached_property

import numpy as np

from modelsat.errors import CheckpointError, ConfigurationError
from modelsat.inference.base import Floats
from modelsat.inference.batched import BatchedScorer
from modelsat.network.instruction import TokenBatch
from modelsat.storage.cache import CapabilityCache
from modelsat.storage.checkpoint import Checkpoint

# Since 1.29 ONNX Runtime reports to its maker, from its import on, unless this is set before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort

THREADS_VARIABLE = "MODELSAT_THREADS"

_SLOWER = ("SkipLayerNormFusion", "BiasGeluFusion")
"""Fusions of ONNX Runtime whose kernels take longer on a CPU than the operators they replace."""


class ONNXScorer(BatchedScorer):
    """Scores with ``model.onnx``; ``psi.onnx`` is loaded only when a profile has to be encoded.

    Args:
        checkpoint: The verified checkpoint folder.
        threads: Threads of one pass; ``$MODELSAT_THREADS`` or ONNX Runtime's choice (physical cores) if not given.
        cache: Keeps capability embeddings.
    """

    def __init__(
        self, checkpoint: Checkpoint, threads: int | None = None, cache: CapabilityCache | None = None
    ) -> None:
        self._threads = threads if threads is not None else _threads()
        super().__init__(checkpoint, self._threads or _cores(), cache)
        self._phi = self._session("model.onnx")
        self._width = int(self._phi.get_inputs()[2].shape[1])

    @cached_property
    def _psi(self) -> ort.InferenceSession:
        return self._session("psi.onnx")

    def _session(self, name: str) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        # Threads wait for each other awake inside a pass and sleep as soon as it has ended, as a router shares its
        # machine with what it routes for.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # A graph may name other files that hold its weights, which no manifest lists: none is ever found.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        graph = self._checkpoint.read(name)
        try:
            session = ort.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(_SLOWER)
            )
        except Exception as error:
            raise CheckpointError(f"ONNX Runtime cannot load {self._checkpoint.path / name}: {error}") from error
        session._model_bytes = b""  # It keeps the file to start again on other processors, and there is none.
        return session

    def _probabilities(self, batch: TokenBatch, capabilities: Floats) -> Floats:
        return self._run(batch, np.ascontiguousarray(capabilities, dtype=np.float32), "probabilities")

    def _score_and_read(self, batch: TokenBatch, capabilities: Floats) -> tuple[Floats, Floats]:
        capabilities = np.ascontiguousarray(capabilities, dtype=np.float32)
        probabilities, states = self._outputs(batch, capabilities, "probabilities", "text_embeddings")
        return probabilities, states

    def _embed(self, batch: TokenBatch) -> Floats:
        # The instruction reads no branch, so any one candidate will do.
        return self._run(batch, np.zeros((1, self._width), dtype=np.float32), "text_embeddings")

    def _run(self, batch: TokenBatch, capabilities: Floats, output: str) -> Floats:
        return self._outputs(batch, capabilities, output)[0]

    def _outputs(self, batch: TokenBatch, capabilities: Floats, *names: str) -> list[Floats]:
        feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "capabilities": capabilities}
        return self._phi.run(list(names), feed)  # type: ignore[no-any-return]

    def _pool(self, descriptions: Floats, features: Floats, overall: Floats) -> Floats:
        mask = np.ones(features.shape[:2], dtype=np.float32)
        feed = {"descriptions": descriptions, "features": features, "overall": overall, "mask": mask}
        return self._psi.run(["capabilities"], feed)[0]  # type: ignore[no-any-return]


def _threads() -> int:
    value = os.environ.get(THREADS_VARIABLE, "0")
    if not value.isdigit():
        raise ConfigurationError(
            f"${THREADS_VARIABLE} must be a number of threads (0: let ONNX Runtime choose), not {value!r}"
        )
    return int(value)


def _cores() -> int:
    """Processors that this process may run on: about the threads that ONNX Runtime chooses."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
