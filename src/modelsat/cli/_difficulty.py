"""Where a prompt stands among the prompts of its field, by how hard they are to the known models."""

from __future__ import annotations

import json
from bisect import bisect_left
from functools import lru_cache
from importlib.resources import files
from typing import Any


def percentile(weights: str, field: str, difficulty: float) -> float | None:
    """The share of a field's prompts that are easier, 0..1, to a twentieth.

    The prompts are logged ones, of exams and traffic: ``recipes/difficulty.py``.

    Args:
        weights: Version of the weights that scored.
        field: Name of the field.
        difficulty: One minus the mean P(success) of the shipped registry's models.

    Returns:
        ``None`` for weights or fields of which no prompts were scored.
    """
    quantiles = _quantiles().get(weights.partition("@")[0], {}).get("fields", {}).get(field)
    if quantiles is None:
        return None
    return max(0, bisect_left(quantiles, difficulty) - 1) / (len(quantiles) - 1)


@lru_cache(maxsize=1)
def _quantiles() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("modelsat.cli").joinpath("data", "difficulty.json").read_text("utf-8"))
    return found
