"""The torch backend: for checkpoints without an export, for GPUs, and as the reference of the ONNX backend."""

from __future__ import annotations

import os

import numpy as np

from modelsat.errors import CheckpointError, MissingDependencyError, ModelSATError
from modelsat.inference.base import Floats
from modelsat.inference.local import BatchedScorer
from modelsat.network.instruction import TokenBatch
from modelsat.storage.base import ADAPTER_FILE
from modelsat.storage.cache import CapabilityCache
from modelsat.storage.checkpoint import Checkpoint
from modelsat.storage.hub import Token

try:
    import torch
    from safetensors.torch import load
    from torch import Tensor

    from modelsat.network.checkpoints import merged_state
    from modelsat.network.config import ModelSATConfig
    from modelsat.network.encoder import mean_pool
    from modelsat.network.model import ModelSATModel
except ImportError as error:
    raise MissingDependencyError.for_extra("the torch backend", "torch") from error


class TorchScorer(BatchedScorer):
    """Scores with ``model.safetensors``, or adapters merged into their base, in float32.

    Args:
        checkpoint: The verified checkpoint folder.
        device: Where the network runs, e.g. ``"cpu"`` or ``"cuda"``.
        base: A folder that holds the base of adapters.
        token: Token for the Hub, which the base comes from otherwise.
        cache: Keeps capability embeddings.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "cpu",
        *,
        base: str | os.PathLike[str] | None = None,
        token: Token = None,
        cache: CapabilityCache | None = None,
    ) -> None:
        super().__init__(checkpoint, torch.get_num_threads() if device == "cpu" else None, cache)
        try:
            config = ModelSATConfig.from_dict(checkpoint.json("config.json"))
            if ADAPTER_FILE in checkpoint.digests:
                state = merged_state(ModelSATModel.empty(config), checkpoint, base, token)
            else:
                state = load(checkpoint.read("model.safetensors"))
            model = ModelSATModel.from_pretrained(None, config=config, state_dict=state, dtype=torch.float32)
            self._model = model.eval().to(device)  # type: ignore[no-untyped-call]
        except ModelSATError:
            raise
        except Exception as error:
            raise CheckpointError(f"cannot load the network of {checkpoint.path}: {error}") from error

    @torch.inference_mode()
    def _probabilities(self, batch: TokenBatch, capabilities: Floats) -> Floats:
        ids, mask = self._tokens(batch)
        return _array(self._model.probabilities(ids, mask, self._tensor(capabilities)))

    @torch.inference_mode()
    def _score_and_read(self, batch: TokenBatch, capabilities: Floats) -> tuple[Floats, Floats]:
        if not self._one_pass or self._model.psi is not None:
            return super()._score_and_read(batch, capabilities)
        ids, mask = self._tokens(batch)
        config = self._model.config
        logits, states = self._model.score_and_read(ids, mask, self._tensor(capabilities))
        return _array(torch.sigmoid(config.scale * logits.float() + config.shift)), _array(mean_pool(states, mask))

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
