"""Reasoning effort: how it is written, and what a figure measured at one effort says about another.

An effort moves a figure on the logit scale by the benchmark's slope times the step between the efforts. Steps and
slopes are fitted to pairs of published figures (``recipes/fit_efforts.py``; ``docs/equating.md`` has the table).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from modelsat._files import shipped_json

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Reasoning efforts, from least to most; ``none`` is a model that answers without thinking."""
READ_AS = "high"
"""How a figure without an effort is read: vendors publish what a model does when it thinks."""
_BUDGETS = ((0, "none"), (2_048, "low"), (8_192, "medium"), (32_768, "high"))
LEAST = 0.005
"""Accuracy from which logits are no longer told apart."""


def split_effort(name: str) -> tuple[str, str]:
    """Model and effort of ``"gpt-5.6@high"``; the effort is empty if the name ends in none."""
    model, at, effort = name.strip().rpartition("@")
    return (model, effort.casefold()) if at and model and effort.casefold() in EFFORTS else (name, "")


def effort_of(parameters: Mapping[str, Any]) -> str:
    """The effort that parameters of a chat model ask for, in any provider's spelling; empty if they say nothing.

    Understood are ``reasoning_effort``, ``reasoning={"effort": ...}``, ``thinking`` with its type and budget of tokens,
    ``output_config={"effort": ...}``, ``effort``, ``thinking_level`` and ``thinking_budget``, at the top or within
    ``model_kwargs``, ``extra_body`` and the like. Token budgets count as low up to 2,048, medium up to 8,192, high up
    to 32,768, and max beyond.
    """
    for key in ("reasoning_effort", "effort", "thinking_level"):
        value = parameters.get(key)
        if isinstance(value, Mapping):  # OpenAI: {"effort": ..., "summary": ...}
            value = value.get("effort")
        if isinstance(value, str) and value.casefold() in EFFORTS:
            return value.casefold()
    for key in ("reasoning", "output_config", "thinking_config"):
        if isinstance(inner := parameters.get(key), Mapping) and (found := effort_of(inner)):
            return found
    thinking = parameters.get("thinking")
    if isinstance(thinking, Mapping) and thinking.get("type") == "disabled":
        return "none"
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else parameters.get("thinking_budget")
    if isinstance(budget, int) and not isinstance(budget, bool) and budget >= 0:
        return next((effort for most, effort in _BUDGETS if budget <= most), "max")
    for key in ("model_kwargs", "extra_body", "optional_params", "additional_kwargs"):
        if isinstance(inner := parameters.get(key), Mapping) and (found := effort_of(inner)):
            return found
    return ""


def distance(effort: str, wanted: str) -> float:
    """How far two efforts are from each other (logits on a usual benchmark)."""
    worth = shipped_json("capability", "efforts.json")["worth"]
    return float(abs(worth[effort or READ_AS] - worth[wanted or READ_AS]))


def project(accuracy: float, task: str, effort: str, wanted: str) -> tuple[float, float]:
    """What a figure at ``effort`` says of the same model at ``wanted``.

    Returns:
        The accuracy to expect, 0..1, and the standard deviation that the step adds to it.
    """
    fitted = shipped_json("capability", "efforts.json")
    step = fitted["slopes"].get(task, 1.0) * (fitted["worth"][wanted or READ_AS] - fitted["worth"][effort or READ_AS])
    if not step:
        return accuracy, 0.0
    inner = min(max(accuracy, LEAST), 1.0 - LEAST)
    moved = 1.0 / (1.0 + math.exp(-(math.log(inner / (1.0 - inner)) + step)))
    base, share = fitted["noise"]
    return moved, moved * (1.0 - moved) * (base + share * abs(step))
