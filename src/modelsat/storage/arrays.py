"""Arrays in a file: the one place where NumPy arrays are written and read as safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save_file


def save_arrays(
    arrays: Mapping[str, NDArray[Any]], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays row by row, whatever their order in memory, and texts beside them.

    safetensors 0.8.0 and later write a column-major array in the order of its memory, without an error: what is read
    back has the same shape and type, and other values.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(whole, path, metadata=dict(metadata) if metadata is not None else None)
    make_readable(path)


def make_readable(path: str | os.PathLike[str]) -> None:
    """Give a file the mode 0644: safetensors writes for its owner alone, and a service has a user of its own."""
    os.chmod(path, 0o644)


def load_arrays(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays by name, and the texts beside them, of the content of a safetensors file.

    Raises:
        ValueError: It is not such a file.
    """
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return arrays, header.get("__metadata__", {})
