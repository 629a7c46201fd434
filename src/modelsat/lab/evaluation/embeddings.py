"""Sentence embeddings of the prompts, for the baselines that read them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.lab.evaluation.metrics import Floats
from modelsat.lab.outcomes.table import Rows

_CHUNK = 256
Progress = Callable[[int, int], None]
"""Called with the number of prompts done and in all."""


def load_embeddings(
    source: str | os.PathLike[str], prompts: Sequence[str], rows: Rows, progress: Progress = lambda done, total: None
) -> Floats:
    """Normalised embeddings in the order of the prompts, float32, shape (prompts, width).

    Args:
        source: A ``.npy`` file with one row for each item of the items table, in its order; or the folder or name of a
            sentence-transformers model. An encoder's result is not stored.
        prompts: Text of every item.
        rows: Items that are needed; an encoder leaves the others at zero.
        progress: Told how many prompts are done.

    Raises:
        ConfigurationError: There is no such file or folder, the array does not fit the items, is not finite, or is zero
            for an item that is needed.
        MissingDependencyError: The folder needs sentence-transformers, which is not installed.
    """
    path = Path(source)
    if path.suffix == ".npy":
        return _normalised(_stored(path, len(prompts), rows))
    if not path.is_dir():
        raise ConfigurationError(
            f"no embeddings at {source}: give the folder of a sentence-transformers model such as all-MiniLM-L6-v2, a "
            ".npy file with one row for each item, or --no-embedding-baselines"
        )
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependencyError.for_extra("embedding prompts with a sentence encoder", "bench") from error
    encoder = SentenceTransformer(str(path), device="cpu")
    order = rows[np.argsort([len(prompts[row]) for row in rows])]
    result: Floats | None = None
    for start in range(0, len(order), _CHUNK):
        chosen = order[start : start + _CHUNK]
        vectors = np.asarray(encoder.encode([prompts[row] for row in chosen], show_progress_bar=False), np.float32)
        result = np.zeros((len(prompts), vectors.shape[1]), np.float32) if result is None else result
        result[chosen] = vectors
        progress(min(start + _CHUNK, len(order)), len(order))
    if result is None:
        raise ConfigurationError("there are no prompts to embed")
    return _normalised(result)


def _stored(path: Path, items: int, rows: Rows) -> Floats:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read embeddings from {path}: {error}") from error
    if array.ndim != 2 or len(array) != items:
        raise ConfigurationError(
            f"{path} holds an array of shape {array.shape}: it needs one row for each of the {items} items, in the "
            "order of the items table"
        )
    if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
        raise ConfigurationError(f"{path} holds values that are no finite numbers")
    blank = np.sort(rows[~array[rows].any(axis=1)])
    if len(blank):
        raise ConfigurationError(
            f"{path} has no embedding of {len(blank)} of the {len(rows)} items that are needed (rows of zeros, the "
            f"first is row {blank[0]}): embed them too, or measure other data sets with --datasets"
        )
    vectors: Floats = array.astype(np.float32)
    return vectors


def _normalised(array: Floats) -> Floats:
    scaled: Floats = array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-12)
    return scaled
