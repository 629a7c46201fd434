"""The circle test: an item counts as answered well only if it is with its options in every logged rotation.

Model-SAT (arXiv 2502.17282) refines its labels so, to drop lucky guesses on hard multiple-choice items.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modelsat.errors import OutcomesError
from modelsat.lab.outcomes.read import read_table
from modelsat.lab.outcomes.table import OutcomeTable

ROTATION_COLUMN = "rotation_of"


def read_rotations(items: str | os.PathLike[str]) -> dict[str, str]:
    """Which items are rotations: the column ``rotation_of`` of an items table, by ``item_id``; empty cells left out.

    Raises:
        OutcomesError: The file is unreadable or has no such column.
        MissingDependencyError: pandas is not installed.
    """
    table = read_table(Path(items), ("item_id", ROTATION_COLUMN))
    pairs = zip(table["item_id"], table[ROTATION_COLUMN], strict=True)
    return {str(item): name for item, value in pairs if (name := _name(value))}


def circle_test(table: OutcomeTable, rotation_of: Mapping[str, str]) -> OutcomeTable:
    """One row per item, whose outcome is the worst over the item and all of its rotations.

    Args:
        table: Outcomes of items and of their rotations.
        rotation_of: Id of the original item by id of the rotated one.

    Returns:
        The table without the rotations. An outcome is the minimum over original and rotations, NaN if one of them is
        missing; items without rotations, and logged costs, stay as they are.

    Raises:
        OutcomesError: A rotation belongs to an item that is not there, or that is a rotation itself.
    """
    rows = {str(identifier): row for row, identifier in enumerate(table.item_ids)}
    scores = table.scores.copy()
    keep = np.ones(len(table), dtype=bool)
    for item, original in rotation_of.items():
        if item == original:
            continue
        if original not in rows or item not in rows:
            missing = original if original not in rows else item
            raise OutcomesError(f"item {item!r} is a rotation of {original!r}, but there is no item {missing!r}")
        if rotation_of.get(original, original) != original:
            raise OutcomesError(
                f"item {item!r} is a rotation of {original!r}, itself a rotation of {rotation_of[original]!r}: "
                f"{ROTATION_COLUMN} must name the original item"
            )
        scores[rows[original]] = np.minimum(scores[rows[original]], table.scores[rows[item]])  # NaN stays NaN
        keep[rows[item]] = False
    chosen = np.flatnonzero(keep)
    return OutcomeTable(
        item_ids=table.item_ids[chosen],
        datasets=table.datasets[chosen],
        tasks=table.tasks[chosen],
        prompts=table.prompts[chosen],
        models=table.models,
        scores=scores[chosen],
        costs=table.costs[chosen],
    )


def _name(value: Any) -> str:
    """An id as text; CSV turns a column of numbers with gaps into floats."""
    if value is None or value != value:  # NaN
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
