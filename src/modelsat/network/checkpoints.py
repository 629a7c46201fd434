"""A network from and to checkpoints: checked folders, adapters merged into their base, uploads to the Hub."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor

from modelsat.errors import CheckpointError, ConfigurationError
from modelsat.network.gguf import GGUFFile, is_gguf
from modelsat.network.instruction import PSI_TOKENIZER
from modelsat.storage.base import ADAPTER_FILE, Base
from modelsat.storage.checkpoint import Checkpoint, fetch, open_checkpoint, write_manifest
from modelsat.storage.hub import Token, reference
from modelsat.storage.weights import push

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from modelsat.network.model import ModelSATModel

DOWN, UP = ".lora_A", ".lora_B"
"""Ends of the names of A, shape (rank, inputs), and of B, shape (outputs, rank), which holds the scale."""
_CARD = "README.md"
_EXPORTS = ("model.onnx", "psi.onnx", "capabilities.safetensors")
_SHORT_CARD = """---
library_name: modelsat
tags: [llm-routing, model-selection]
---

# {name}

Weights of a modelsat router: `Router([...], weights="{repo}")`.
"""


def local_folder(weights: str | os.PathLike[str], revision: str, token: Token) -> Path:
    """Folder of a network: as given if there is one, else downloaded and checked.

    Raises:
        CheckpointError: Neither a folder nor weights on the Hub.
    """
    if isinstance(weights, os.PathLike) or Path(weights).is_dir():
        return Path(weights)
    if "/" not in weights:
        return open_checkpoint(weights).path
    return fetch(reference(weights, "model", revision, CheckpointError), token, without=_EXPORTS).path


def is_adapter(folder: Path) -> bool:
    """Whether a checkpoint folder holds adapters and heads only."""
    return (folder / ADAPTER_FILE).is_file()


def merged_state(
    network: ModelSATModel, checkpoint: Checkpoint, base: str | os.PathLike[str] | None = None, token: Token = None
) -> dict[str, Tensor]:
    """Weights of a whole network in float16: adapters (LoRA, arXiv 2106.09685) merged into their base, W + B A.

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
    try:
        return GGUFFile(path).state(layers) if is_gguf(path) else load_file(path)
    except (ConfigurationError, OSError, KeyError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


def push_model(
    model: ModelSATModel,
    repo: str,
    tokenizer: Tokenizer | None = None,
    *,
    private: bool | None = None,
    token: Token = None,
    revision: str | None = None,
    commit_message: str | None = None,
) -> str:
    """Upload a network as a checkpoint; see :meth:`~modelsat.network.model.ModelSATModel.push_to_hub`.

    Raises:
        CheckpointError: There is no tokenizer, or the Hub refuses.
    """
    origin = Path(str(model.name_or_path))
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkpoint"
        model.save_pretrained(folder)
        for name in ("tokenizer.json", PSI_TOKENIZER, _CARD):
            if model.name_or_path and (origin / name).is_file():
                shutil.copyfile(origin / name, folder / name)
        if tokenizer is not None:
            tokenizer.save(str(folder / "tokenizer.json"))
        if not (folder / "tokenizer.json").is_file():
            raise CheckpointError("the network was not loaded with a tokenizer: give push_to_hub(..., tokenizer=...)")
        if not (folder / _CARD).is_file():
            name = repo.partition("@")[0]
            (folder / _CARD).write_text(_SHORT_CARD.format(name=name.rpartition("/")[2], repo=name), "utf-8")
        write_manifest(folder)
        pinned = push(folder, repo, revision=revision, private=private, message=commit_message, token=token)
    return str(pinned)
