"""Scoring: instructions and capability embeddings in, probabilities out."""

from __future__ import annotations

import os

from modelsat.errors import ConfigurationError
from modelsat.scoring.base import Scorer

__all__ = ["BACKENDS", "Scorer", "load_scorer"]

BACKENDS = ("onnx", "torch")
_TEXTS = ("README.md", "recipe.json", "results.json")
_NETWORKS = ("model.onnx", "psi.onnx", "model.safetensors")
_NOT_NEEDED = {"onnx": ("model.safetensors", *_TEXTS), "torch": ("model.onnx", "psi.onnx", *_TEXTS)}
"""Files of a checkpoint that a backend leaves on the Hub."""


def load_scorer(
    weights: str | os.PathLike[str] = "modelsat-nano",
    backend: str = "auto",
    *,
    token: str | bool | None = None,
    device: str = "cpu",
) -> Scorer:
    """Load a checkpoint into a scorer.

    Args:
        weights: Name of shipped weights, a checkpoint folder, or a repository on the Hub, ``"org/name@revision"``.
        backend: ``"onnx"`` (ONNX Runtime), ``"torch"`` (needs the extra ``torch``), or ``"auto"``: ONNX Runtime, torch
            for weights that have no ONNX export.
        token: Token for the Hub; the one logged in with if not given.
        device: Where the torch backend runs, e.g. ``"cuda"``.

    Raises:
        CheckpointError: The weights are missing, incomplete, damaged, cannot be downloaded, or a file does not match
            its manifest.
        MissingDependencyError: The torch backend is needed and torch is not installed.
        ConfigurationError: Unknown backend.
    """
    from modelsat.storage.checkpoint import open_checkpoint

    if backend not in (*BACKENDS, "auto"):
        raise ConfigurationError(f"unknown backend {backend!r}: choose one of {', '.join(BACKENDS)}, auto")
    if backend == "auto":
        listed = open_checkpoint(weights, token=token, without=(*_NETWORKS, *_TEXTS))
        backend, weights = "onnx" if "model.onnx" in listed.digests else "torch", listed.pinned or weights
    checkpoint = open_checkpoint(weights, token=token, without=_NOT_NEEDED[backend])
    if backend == "torch":
        from modelsat.scoring.torch import TorchScorer

        return TorchScorer(checkpoint, device)
    from modelsat.scoring.onnx import ONNXScorer

    return ONNXScorer(checkpoint)
