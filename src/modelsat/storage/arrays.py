"""Arrays in a file: the one place where NumPy arrays are written as safetensors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file


def save_arrays(
    arrays: Mapping[str, NDArray[Any]], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays row by row, whatever their order in memory.

    safetensors 0.8.0 and later write a column-major array in the order of its memory, without an error: what is read
    back has the same shape and type, and other values.

    Args:
        arrays: Arrays by name.
        path: The file.
        metadata: Texts beside them.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(whole, path, metadata=dict(metadata) if metadata is not None else None)
