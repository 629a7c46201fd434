"""The field of an instruction, read off the network's text embedding by a linear classifier.

It ships with the weights, made by ``recipes/fields.py`` from the subjects of training prompts. It costs a product with
a matrix of a few thousand numbers: the embedding is there after every pass.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from modelsat.errors import CheckpointError
from modelsat.storage.checkpoint import Checkpoint

Floats = NDArray[np.float32]

FIELDS_FILE = "fields.safetensors"


@dataclass(frozen=True)
class FieldHead:
    """Shares of the fields: softmax(W e + b).

    Attributes:
        names: Names of the fields.
        weight: W, shape (fields, width).
        bias: b, shape (fields,).
    """

    names: tuple[str, ...]
    weight: Floats
    bias: Floats

    def shares(self, embeddings: Floats) -> Floats:
        """Share of each field, shape (texts, fields), from text embeddings of shape (texts, width)."""
        logits = embeddings @ self.weight.T + self.bias
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Floats = raised / raised.sum(axis=1, keepdims=True)
        return shares

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> FieldHead | None:
        """The classifier of a checkpoint; ``None`` if it has none.

        Raises:
            CheckpointError: The file is damaged.
        """
        if FIELDS_FILE not in checkpoint.digests:
            return None
        path = checkpoint.file(FIELDS_FILE)
        try:
            with safe_open(path, framework="numpy") as stored:
                names = tuple(json.loads((stored.metadata() or {})["fields"]))
                weight, bias = stored.get_tensor("weight"), stored.get_tensor("bias")
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{path} holds no field classifier: {error}") from error
        if not len(names) == len(weight) == len(bias):
            raise CheckpointError(f"{path} names {len(names)} fields for {len(weight)} rows of weights")
        return cls(names, weight.astype(np.float32), bias.astype(np.float32))

    def save(self, path: Path) -> None:
        """Write the classifier as it ships with a checkpoint."""
        stored = {"weight": self.weight.astype(np.float16), "bias": self.bias.astype(np.float16)}
        save_file(stored, path, metadata={"fields": json.dumps(list(self.names))})


def named(names: Sequence[str], shares: Floats, least: float = 0.02) -> list[dict[str, float]]:
    """Rows of shares as mappings, rounded to a thousandth; shares below ``least`` are left out."""
    return [
        {name: round(float(share), 3) for name, share in zip(names, row, strict=True) if share >= least}
        for row in shares
    ]
