"""The field of an instruction and the core tasks it resembles, read off the network's text embedding.

Both ship with the weights, made by ``recipes/fields.py`` from the subjects of training prompts. A field costs a product
with a matrix of a few thousand numbers: the embedding is there after every pass.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelsat.errors import CheckpointError
from modelsat.inference.base import Floats
from modelsat.storage.arrays import load_arrays, save_arrays
from modelsat.storage.checkpoint import Checkpoint

FIELDS_FILE = "fields.safetensors"
_TENSORS = ("weight", "bias", "centroids", "centre")


@dataclass(frozen=True)
class FieldHead:
    """Shares of the fields: softmax(W e + b); and core tasks by the mean embedding of their prompts.

    Attributes:
        names: Names of the fields.
        weight: W, shape (fields, width).
        bias: b, shape (fields,).
        tasks: Names of the core tasks.
        centroids: Mean embedding of each task's prompts, shape (tasks, width).
        centre: Mean embedding of all prompts, shape (width,).
    """

    names: tuple[str, ...]
    weight: Floats
    bias: Floats
    tasks: tuple[str, ...]
    centroids: Floats
    centre: Floats

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
        path = checkpoint.path / FIELDS_FILE
        try:
            stored, about = load_arrays(checkpoint.read(FIELDS_FILE))
            names, tasks = (tuple(json.loads(about[key])) for key in ("fields", "tasks"))
            tensors = {key: stored[key].astype(np.float32) for key in _TENSORS}
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{path} holds no field classifier: {error}") from error
        head = cls(names, tensors["weight"], tensors["bias"], tasks, tensors["centroids"], tensors["centre"])
        if (len(names), len(names), len(tasks)) != (len(head.weight), len(head.bias), len(head.centroids)):
            raise CheckpointError(f"{path} does not hold a row for each of its fields and tasks")
        return head

    def save(self, path: Path) -> None:
        """Write the classifier as it ships with a checkpoint."""
        stored = {key: np.asarray(getattr(self, key), dtype=np.float16) for key in _TENSORS}
        save_arrays(stored, path, metadata={"fields": json.dumps(self.names), "tasks": json.dumps(self.tasks)})
