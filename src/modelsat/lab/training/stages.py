"""The stages of a recipe as training arguments, with every setting checked by name and kind."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from modelsat.errors import ConfigurationError
from modelsat.lab.training.arguments import CapabilityTrainingArguments, fast_bfloat16

OWN_KEYS = ("name", "groups")
"""Keys of a stage that are not training arguments."""
_RESERVED = ("seed", "output_dir")


def stage_name(stage: Mapping[str, Any], number: int) -> str:
    """The name of a stage, ``stage-N`` if it has none; ``number`` counts from 1."""
    return str(stage.get("name", f"stage-{number}"))


def stage_arguments(
    stage: Mapping[str, Any], number: int, output: Path, seed: int, overrides: Mapping[str, Any]
) -> CapabilityTrainingArguments:
    """Training arguments of a stage: defaults of a run, then the stage's settings, then the overrides.

    Raises:
        ConfigurationError: A setting is unknown, of the wrong kind, or contradicts another; the message names it.
    """
    where = f"stage {number} of the recipe ({stage_name(stage, number)})"
    given = {key: value for key, value in stage.items() if key not in OWN_KEYS}
    settings = {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "save_total_limit": 2,
        "logging_steps": 20,
        "bf16": fast_bfloat16(),
        **{key: _checked(where, key, value) for key, value in given.items()},
        **{key: _checked("--set", key, value) for key, value in overrides.items()},
        "seed": seed,
        "output_dir": os.fspath(output / f"stage-{number}"),
    }
    try:
        return CapabilityTrainingArguments(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _checked(where: str, key: str, value: Any) -> Any:
    kinds = _kinds()
    if key in _RESERVED:
        raise ConfigurationError(f"{where}: {key} is set by the command (--seed, --output), not by a stage")
    if key not in kinds:
        close = difflib.get_close_matches(key, kinds, n=1)
        hint = f"; did you mean {close[0]}?" if close else "; see docs/training.md"
        raise ConfigurationError(f"{where}: unknown setting {key}{hint}")
    if value is False and key.endswith("_strategy"):
        return "no"  # YAML reads a bare no as false
    kind = kinds[key]
    if kind is None or value is None:
        return value
    if isinstance(value, str) and kind in (int, float):
        value = _number(value)  # YAML reads 1e-4 as text
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    right = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not right or (isinstance(value, bool) and kind is not bool):
        names = {bool: "true or false", int: "a whole number", float: "a number"}
        raise ConfigurationError(f"{where}: {key} must be {names[kind]}, not {value!r}")
    return value


def _number(value: str) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


@lru_cache(maxsize=1)
def _kinds() -> dict[str, type | None]:
    """Every setting with the kind of number it takes, ``None`` where anything else fits too."""
    hints = get_type_hints(CapabilityTrainingArguments)
    kinds: dict[str, type | None] = {}
    for field in fields(CapabilityTrainingArguments):
        if field.init:
            options = set(get_args(hints[field.name]) or (hints[field.name],)) - {type(None)}
            only = options.pop() if len(options) == 1 else None
            kinds[field.name] = only if only in (bool, int, float) else None
    return kinds
