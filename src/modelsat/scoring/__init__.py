"""Scoring: instructions and capability embeddings in, probabilities out."""

from __future__ import annotations

import os

from modelsat.errors import ConfigurationError
from modelsat.scoring.base import Scorer

__all__ = ["BACKENDS", "Scorer", "load_scorer"]

BACKENDS = ("onnx", "torch")


def load_scorer(weights: str | os.PathLike[str] = "modelsat-nano", backend: str = "onnx") -> Scorer:
    """Load a checkpoint into a scorer.

    Args:
        weights: Name of shipped weights, or a checkpoint folder.
        backend: ``"onnx"`` (ONNX Runtime, the default) or ``"torch"`` (needs the extra ``torch``).

    Raises:
        CheckpointError: The folder is missing, incomplete, damaged, or a file does not match its manifest.
        MissingDependencyError: The torch backend was asked for and torch is not installed.
        ConfigurationError: Unknown backend.
    """
    from modelsat.storage.checkpoint import open_checkpoint

    if backend == "onnx":
        from modelsat.scoring.onnx import ONNXScorer

        return ONNXScorer(open_checkpoint(weights))
    if backend == "torch":
        from modelsat.scoring.torch import TorchScorer

        return TorchScorer(open_checkpoint(weights))
    raise ConfigurationError(f"unknown backend {backend!r}: choose one of {', '.join(BACKENDS)}")
