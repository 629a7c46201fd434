"""Capability instruction tuning: data, sampling, losses, stages and the trainer (extra ``train``).

Names are loaded at first use, so that the command line can say what is missing where torch is not installed.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from modelsat.errors import MissingDependencyError

if TYPE_CHECKING:
    from modelsat.lab.training.arguments import CapabilityTrainingArguments
    from modelsat.lab.training.recipe import Recipe, read_recipe
    from modelsat.lab.training.run import train
    from modelsat.lab.training.trainer import CapabilityInstructionTrainer

_EXPORTS = {
    "CapabilityInstructionTrainer": "modelsat.lab.training.trainer",
    "CapabilityTrainingArguments": "modelsat.lab.training.arguments",
    "Recipe": "modelsat.lab.training.recipe",
    "read_recipe": "modelsat.lab.training.recipe",
    "train": "modelsat.lab.training.run",
}
_NEEDED = ("torch", "transformers", "accelerate", "peft", "yaml", "pandas", "sklearn")

__all__ = [
    "CapabilityInstructionTrainer",
    "CapabilityTrainingArguments",
    "Recipe",
    "read_recipe",
    "train",
]


def require() -> None:
    """Check that what training needs is installed, without loading it.

    Raises:
        MissingDependencyError: Something is not; the message names it and the extra.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingDependencyError.for_extra(f"training (without {', '.join(missing)} so far)", "train")


def __getattr__(name: str) -> Any:
    """Load an export at its first use (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
