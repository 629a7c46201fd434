"""The core tasks: what the aptitude test asks, and what profiles are counted on.

Fifty subjects of MMLU-Pro with twenty items each, chosen on training models by ``recipes/select_core_tasks.py``. Items
are named by their public ids; the questions themselves stay in the data set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

__all__ = ["core_tasks"]


@dataclass(frozen=True, slots=True)
class CoreItem:
    """One item of the aptitude test.

    Attributes:
        id: The item's ``question_id`` in the public data set.
        difficulty: Ability at which a model is half-way between chance and certainty (ability units of the catalogue).
        discrimination: Slope of the logistic curve (per ability unit).
        chance: Accuracy of guessing, one in the number of options.
    """

    id: int
    difficulty: float
    discrimination: float
    chance: float


@dataclass(frozen=True, slots=True)
class CoreTask:
    """One task of the aptitude test.

    Attributes:
        name: Its name in the task catalogue.
        keywords: Five keywords that describe it.
        items: Its items, in the order of their ids.
        field: The field of knowledge it belongs to, as the data set names it: ``"health"``.
    """

    name: str
    keywords: tuple[str, ...]
    items: tuple[CoreItem, ...]
    field: str = ""


@lru_cache(maxsize=1)
def core_tasks() -> tuple[CoreTask, ...]:
    """The core tasks, in the order of the shipped manifest."""
    return tuple(
        CoreTask(
            name=task["name"],
            keywords=tuple(task["keywords"]),
            items=tuple(CoreItem(**item) for item in task["items"]),
            field=task["field"],
        )
        for task in _manifest()["tasks"]
    )


@lru_cache(maxsize=1)
def core_item_ids() -> frozenset[int]:
    """Public ids of all core items."""
    return frozenset(item.id for task in core_tasks() for item in task.items)


def core_dataset() -> str:
    """Name of the public data set that holds the questions, as on the Hugging Face hub."""
    return str(_manifest()["dataset"])


@lru_cache(maxsize=1)
def _manifest() -> dict[str, Any]:
    text = resources.files("modelsat.capability").joinpath("data/core_tasks.json").read_text("utf-8")
    manifest: dict[str, Any] = json.loads(text)
    return manifest
