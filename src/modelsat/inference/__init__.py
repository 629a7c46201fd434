"""Scoring: texts and capability profiles in, probabilities out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from modelsat.errors import ConfigurationError
from modelsat.inference.base import Scorer, Scores

__all__ = ["Scorer", "Scores", "load_scorer"]

if TYPE_CHECKING:
    from modelsat.inference.local import BatchedScorer

BACKENDS = ("onnx", "torch")
_TEXTS = ("README.md", "recipe.json", "results.json")
_NETWORKS = ("model.onnx", "psi.onnx", "model.safetensors", "adapter.safetensors")
_NOT_NEEDED = {"onnx": ("model.safetensors", *_TEXTS), "torch": ("model.onnx", "psi.onnx", *_TEXTS)}
"""Files of a checkpoint that a backend leaves on the Hub."""


def load_scorer(
    weights: str | os.PathLike[str] = "modelsat-nano",
    backend: str = "auto",
    *,
    token: str | bool | None = None,
    device: str = "cpu",
    base: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    keep: bool = True,
    threads: int | None = None,
) -> BatchedScorer:
    """Load a checkpoint into a scorer.

    Weights of adapters alone run on ONNX Runtime after ``modelsat weights prepare`` has merged them into their public
    base, and on torch as they are.

    Args:
        weights: Name of shipped weights, a checkpoint folder, or a repository on the Hub, ``"org/name@revision"``.
        backend: ``"onnx"`` (ONNX Runtime), ``"torch"`` (needs the extra ``torch``), or ``"auto"``: ONNX Runtime, torch
            for weights that have no ONNX export.
        token: Token for the Hub; the one logged in with if not given.
        device: Where the torch backend runs, e.g. ``"cuda"``.
        base: A folder that holds the base of adapters, for torch; ``$MODELSAT_BASE`` or the Hub if not given.
        cache_dir: The cache folder; ``$MODELSAT_CACHE_DIR`` or the user's if not given.
        keep: Keep the capability embeddings of profiles there, for later processes.
        threads: Threads of one pass of ONNX Runtime where ``$MODELSAT_THREADS`` does not say; its own choice (physical
            cores) if not given.

    Raises:
        CheckpointError: The weights or their base are missing, incomplete, damaged, cannot be downloaded, or a file
            does not match its sum; or adapters were not prepared.
        MissingDependencyError: The torch backend is needed and torch is not installed.
        ConfigurationError: Unknown backend, or a base for weights that need none.
    """
    from modelsat.storage.base import ADAPTER_FILE, Base
    from modelsat.storage.cache import CapabilityCache
    from modelsat.storage.checkpoint import open_checkpoint

    if backend not in (*BACKENDS, "auto"):
        raise ConfigurationError(f"unknown backend {backend!r}: choose one of {', '.join(BACKENDS)}, auto")
    if backend == "auto":
        listed = open_checkpoint(weights, token=token, without=(*_NETWORKS, *_TEXTS))
        exports = "model.onnx" in listed.digests or ADAPTER_FILE in listed.digests
        backend, weights = "onnx" if exports else "torch", listed.pinned or weights
    checkpoint = open_checkpoint(weights, token=token, without=_NOT_NEEDED[backend])
    wanted = Base.of(checkpoint)
    if base is not None and wanted is None:
        raise ConfigurationError(f"{checkpoint.version} is a whole network: leave base out, which is for adapters")
    cache = CapabilityCache(checkpoint.version, cache_dir, on_disk=keep)
    if backend == "torch":
        from modelsat.inference.torch import TorchScorer

        return TorchScorer(checkpoint, device, base=base, token=token, cache=cache)
    if wanted is not None:
        from modelsat.network.exported import with_export

        checkpoint = with_export(checkpoint, wanted, cache_dir=cache_dir)
    from modelsat.inference.local import THREADS_VARIABLE, ONNXScorer

    return ONNXScorer(checkpoint, None if THREADS_VARIABLE in os.environ else threads, cache)
