"""What the two layers would take in NumPy: whether ONNX Runtime is worth its place in the base install.

    MODELSAT_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/numpy_layers.py [--rounds 60]

Computes in float32 what the shipped network computes of one prompt and its candidates between the embeddings and the
head (attention, feed-forward with the cheaper tanh GELU, layer norm; no masks, no look-ups, no calibration: a lower
bound), and times it by turns with a whole pass of ONNX Runtime, tokenising included. Then the seconds of CPU time that
a fresh process spends on each until its first pass, and what ONNX Runtime and what only it needs weigh on disk.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from safetensors.numpy import load_file

from modelsat import Registry
from modelsat.cli.bench import prompt
from modelsat.inference import load_scorer
from modelsat.storage.checkpoint import shipped_folders

Floats = NDArray[np.float32]
HEADS = 12
SIZES = ((20, 10), (100, 10), (100, 100), (160, 10))
ONLY_ORT = ("onnxruntime", "protobuf", "flatbuffers")
FRESH = {
    "ONNX Runtime": "import onnxruntime; onnxruntime.InferenceSession(sys.argv[1] + '/model.onnx')",
    "NumPy": "from safetensors.numpy import load_file; import numpy;"
    "[a.astype(numpy.float32) for a in load_file(sys.argv[1] + '/model.safetensors').values()]",
}
"""What starts each backend, once NumPy is imported."""


def layer(weights: Mapping[str, Floats], number: int, asking: Floats, read: Floats) -> Floats:
    """One layer of BERT: ``asking`` attends to ``read``; both of shape (positions, width)."""

    def linear(name: str, x: Floats) -> Floats:
        at = f"phi.encoder.layer.{number}.{name}"
        return x @ weights[f"{at}.weight"] + weights[f"{at}.bias"]

    def norm(name: str, x: Floats) -> Floats:
        at = f"phi.encoder.layer.{number}.{name}.LayerNorm"
        inner = x - x.mean(axis=1, keepdims=True)
        inner /= np.sqrt((inner * inner).mean(axis=1, keepdims=True) + 1e-12)
        return inner * weights[f"{at}.weight"] + weights[f"{at}.bias"]

    def heads(x: Floats) -> Floats:
        return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)

    query, key, value = (
        heads(linear(f"attention.self.{n}", x)) for n, x in (("query", asking), ("key", read), ("value", read))
    )
    attention = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[2]))
    attention = np.exp(attention - attention.max(axis=2, keepdims=True))
    attention /= attention.sum(axis=2, keepdims=True)
    mixed = (attention @ value).transpose(1, 0, 2).reshape(len(asking), -1)
    states = norm("attention.output", asking + linear("attention.output.dense", mixed))
    inner = linear("intermediate.dense", states)
    inner *= 0.5 * (1.0 + np.tanh(np.float32(0.7978846) * (inner + np.float32(0.044715) * inner**3)))
    return norm("output", states + linear("output.dense", inner))


def by_turns(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, called one after the other."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 5):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            times[name].append((time.perf_counter() - began) * 1e3)
    return {name: statistics.median(found[5:]) for name, found in times.items()}


def started(statement: str, folder: Path) -> float:
    """CPU seconds of ``statement`` in a fresh process, median of five."""
    code = f"import json, sys, time, numpy; t = time.process_time(); {statement}; print(time.process_time() - t)"
    command = [sys.executable, "-c", code, str(folder)]
    runs = (subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(5))
    return statistics.median(json.loads(run) for run in runs)


def megabytes(name: str) -> float:
    """Size on disk of an installed distribution; 0 if it is not installed."""
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return 0.0
    return sum(path.stat().st_size for file in files if (path := Path(str(file.locate()))).is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    folder = shipped_folders()[0]
    weights = {
        name: np.ascontiguousarray((array.T if array.ndim == 2 else array).astype(np.float32))
        for name, array in load_file(folder / "model.safetensors").items()
        if name.startswith("phi.encoder")
    }
    scorer = load_scorer(folder.name)
    rng, width = np.random.default_rng(0), 384
    table = Table("size", "ONNX Runtime, ms", "NumPy, ms", "ratio")
    for tokens, count in SIZES:
        text, profiles = prompt(tokens, 0), list(Registry.shipped())[:count]
        states = rng.normal(size=(tokens, width)).astype(np.float32)
        candidates = rng.normal(size=(count, width)).astype(np.float32)
        found = by_turns(
            {
                "ort": lambda text=text, profiles=profiles: scorer.score([text], profiles),
                "numpy": lambda states=states, candidates=candidates: layer(
                    weights, 1, candidates, layer(weights, 0, states, states)
                ),
            },
            given.rounds,
        )
        cells = (f"{found['ort']:.2f}", f"{found['numpy']:.2f}", f"{found['numpy'] / found['ort']:.2f}")
        table.add_row(f"{tokens} tokens, {count} candidates", *cells)
    for name, statement in FRESH.items():
        table.add_row(f"start of {name}, CPU ms", f"{started(statement, folder) * 1e3:.0f}")
    for name in ONLY_ORT:
        if size := megabytes(name):
            table.add_row(f"{name} on disk, MB", f"{size:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
