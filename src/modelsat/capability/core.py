"""The core tasks: what the aptitude test asks, and what profiles are counted on.

Fifty subjects of MMLU-Pro with twenty items each, chosen on training models by ``recipes/select_core_tasks.py``. Items
are named by their public ids; the questions themselves stay in the data set.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from modelsat._files import shipped_json

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


@cache
def core_tasks() -> tuple[CoreTask, ...]:
    """The core tasks, in the order of the shipped manifest."""
    return tuple(
        CoreTask(
            task["name"], tuple(task["keywords"]), tuple(CoreItem(**item) for item in task["items"]), task["field"]
        )
        for task in shipped_json("capability", "core_tasks.json")["tasks"]
    )


def core_dataset() -> str:
    """Name of the public data set that holds the questions, as on the Hugging Face hub."""
    return str(shipped_json("capability", "core_tasks.json")["dataset"])
