"""Reasoning effort: how it is written, and what a figure measured at one effort says about another.

An effort moves a figure on the logit scale by the benchmark's slope times the step between the efforts. Steps and
slopes are fitted to pairs of published figures (``recipes/fit_efforts.py``; ``docs/equating.md`` has the table).
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from importlib import resources
from typing import Any

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Reasoning efforts, from least to most; ``none`` is a model that answers without thinking."""
READ_AS = "high"
"""How a figure without an effort is read: vendors publish what a model does when it thinks."""
LEAST = 0.005
"""Accuracy from which logits are no longer told apart."""


def split_effort(name: str) -> tuple[str, str]:
    """Model and effort of ``"gpt-5.6@high"``; the effort is empty if the name ends in none."""
    model, at, effort = name.strip().rpartition("@")
    return (model, effort.casefold()) if at and model and effort.casefold() in EFFORTS else (name, "")


def distance(effort: str, wanted: str) -> float:
    """How far two efforts are from each other (logits on a usual benchmark)."""
    worth = _fitted()["worth"]
    return float(abs(worth[effort or READ_AS] - worth[wanted or READ_AS]))


def project(accuracy: float, task: str, effort: str, wanted: str) -> tuple[float, float]:
    """What a figure at ``effort`` says of the same model at ``wanted``.

    Returns:
        The accuracy to expect, 0..1, and the standard deviation that the step adds to it.
    """
    fitted = _fitted()
    step = fitted["slopes"].get(task, 1.0) * (fitted["worth"][wanted or READ_AS] - fitted["worth"][effort or READ_AS])
    if not step:
        return accuracy, 0.0
    inner = min(max(accuracy, LEAST), 1.0 - LEAST)
    moved = 1.0 / (1.0 + math.exp(-(math.log(inner / (1.0 - inner)) + step)))
    base, share = fitted["noise"]
    return moved, moved * (1.0 - moved) * (base + share * abs(step))


@lru_cache(maxsize=1)
def _fitted() -> dict[str, Any]:
    text = resources.files("modelsat.capability").joinpath("data/efforts.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content
