"""The torch backend: for checkpoints without an export, for GPUs, and as the reference of the ONNX backend."""

from __future__ import annotations

import numpy as np

from modelsat.errors import CheckpointError, MissingDependencyError
from modelsat.network.instruction import TokenBatch
from modelsat.scoring.batched import BatchedScorer, Floats
from modelsat.storage.checkpoint import Checkpoint

try:
    import torch
    from torch import Tensor

    from modelsat.network.model import ModelSATModel
except ImportError as error:
    raise MissingDependencyError.for_extra("the torch backend", "torch") from error


class TorchScorer(BatchedScorer):
    """Scores with ``model.safetensors`` in float32.

    Args:
        checkpoint: The verified checkpoint folder.
        device: Where the network runs, e.g. ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        super().__init__(checkpoint, torch.get_num_threads() if device == "cpu" else None)
        weights = checkpoint.file("model.safetensors")
        try:
            model = ModelSATModel.from_pretrained(weights.parent, dtype=torch.float32)
            self._model = model.eval().to(device)  # type: ignore[no-untyped-call]
        except Exception as error:
            raise CheckpointError(f"cannot load {weights}: {error}") from error

    @torch.inference_mode()
    def _probabilities(self, batch: TokenBatch, capabilities: Floats) -> Floats:
        ids, mask = self._tokens(batch)
        return _array(self._model.probabilities(ids, mask, self._tensor(capabilities)))

    @torch.inference_mode()
    def _embed(self, batch: TokenBatch) -> Floats:
        return _array(self._model.embed_text(*self._tokens(batch)))

    @torch.inference_mode()
    def _pool(self, descriptions: Floats, features: Floats, overall: Floats) -> Floats:
        words, numbers, whole = self._tensor(descriptions), self._tensor(features), self._tensor(overall)
        mask = torch.ones(numbers.shape[:2], device=self._model.device)
        return _array(self._model.encode_capabilities(words, numbers, whole, mask))

    def _tokens(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        device = self._model.device
        return torch.from_numpy(batch.input_ids).to(device), torch.from_numpy(batch.attention_mask).to(device)

    def _tensor(self, values: Floats) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self._model.device)


def _array(values: Tensor) -> Floats:
    return values.float().cpu().numpy()
