"""Low-rank adapters (LoRA, arXiv 2106.09685) merged into the matrices of their base: W + B A."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor

from modelsat.errors import CheckpointError, ConfigurationError
from modelsat.network.gguf import GGUFFile, is_gguf
from modelsat.storage.base import ADAPTER_FILE, Base
from modelsat.storage.checkpoint import Checkpoint
from modelsat.storage.hub import Token

if TYPE_CHECKING:
    from modelsat.network.model import ModelSATModel

DOWN, UP = ".lora_A", ".lora_B"
"""Ends of the names of A, shape (rank, inputs), and of B, shape (outputs, rank), which holds the scale."""


def is_adapter(folder: Path) -> bool:
    """Whether a checkpoint folder holds adapters and heads only."""
    return (folder / ADAPTER_FILE).is_file()


def merged_state(
    network: ModelSATModel, checkpoint: Checkpoint, base: str | os.PathLike[str] | None = None, token: Token = None
) -> dict[str, Tensor]:
    """Weights of a whole network in float16, of a checkpoint of adapters.

    Args:
        network: A network of the checkpoint's configuration; only its names and shapes are looked at.
        checkpoint: Adapters and heads.
        base: A local folder of the base; see :meth:`~modelsat.storage.base.Base.weights`.
        token: Token for the Hub.

    Raises:
        CheckpointError: The base cannot be fetched or is another one, or the adapters do not complete it.
    """
    folder, known = checkpoint.path, Base.of(checkpoint)
    if known is None:
        raise CheckpointError(f"{folder} holds no adapters")
    adapter, pretrained = _adapter(checkpoint), _pretrained(known.weights(base, token), known.layers)
    prefix = f"{network.phi.base_model_prefix}."
    state = {}
    for name, wanted in network.state_dict().items():
        inner = name.removeprefix("phi.")
        weight = adapter.get(name) if inner == name else pretrained.get(inner, pretrained.get(prefix + inner))
        if weight is None or weight.shape != wanted.shape:
            source = ADAPTER_FILE if inner == name else f"the base {known}"
            raise CheckpointError(f"{source} has no {inner} of shape {tuple(wanted.shape)}: {folder} cannot be used")
        stem = name.removesuffix(".weight")
        if stem + UP in adapter:
            weight = weight.float() + adapter.pop(stem + UP).float() @ adapter.pop(stem + DOWN).float()
        state[name] = weight.half()
    left = sorted(name for name in adapter if name.endswith((DOWN, UP)))
    if left:
        raise CheckpointError(f"{ADAPTER_FILE} has adapters of {left[0]}, which the network lacks: {folder} is damaged")
    return state


def _adapter(checkpoint: Checkpoint) -> dict[str, Tensor]:
    try:
        return load(checkpoint.read(ADAPTER_FILE))
    except SafetensorError as error:
        raise CheckpointError(f"cannot read {checkpoint.path / ADAPTER_FILE}: {error}") from error


def _pretrained(path: Path, layers: int) -> dict[str, Tensor]:
    if not is_gguf(path):
        return _read(path)
    try:
        return GGUFFile(path).state(layers)
    except (ConfigurationError, KeyError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
