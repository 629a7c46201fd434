"""A network as an object to and from the Hub, by the same checked folders as everywhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from modelsat.errors import CheckpointError
from modelsat.network.instruction import PSI_TOKENIZER
from modelsat.storage.checkpoint import fetch, open_checkpoint, write_manifest
from modelsat.storage.hub import Token, reference
from modelsat.storage.weights import push

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from modelsat.network.model import ModelSATModel

_TOKENIZERS = ("tokenizer.json", PSI_TOKENIZER)
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
        for name in (*_TOKENIZERS, _CARD):
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
