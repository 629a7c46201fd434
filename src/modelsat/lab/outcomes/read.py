"""Reading items and outcomes, with every fault named by row and column; the circle test on logged rotations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelsat._tables import read_frame
from modelsat.errors import OutcomesError
from modelsat.lab.outcomes.table import OutcomeTable

if TYPE_CHECKING:
    import pandas as pd

ITEM_COLUMNS = ("item_id", "dataset", "prompt")
OUTCOME_COLUMNS = ("item_id", "model", "score")
_TEXTS = ("item_id", "dataset", "task", "group", "prompt", "model")
"""Columns of a CSV file that are text whatever they look like: a prompt may read 42, an item 007, a model null."""
_NUMBERS = ("score", "cost_usd", "p", "completion_tokens")
_UNKNOWN = ["", "NA", "NaN", "nan", "null", "None"]
_NAMED = 5


def read_outcomes(items: str | os.PathLike[str], outcomes: str | os.PathLike[str]) -> OutcomeTable:
    """Read and check both tables.

    Args:
        items: Table with ``item_id``, ``dataset``, ``prompt`` and, if known, ``task`` and ``group``: items of a group
            stay on one side of a split.
        outcomes: Table with ``item_id``, ``model``, ``score`` (0..1) and, if known, ``cost_usd``.

    Raises:
        OutcomesError: A file is unreadable or lacks a column; an item or an outcome is there twice; an outcome has no
            item; a score is not a number in 0..1; a prompt is empty; fewer than two models. The message names the
            first rows.
        MissingDependencyError: pandas is not installed.
    """
    left = _items(Path(items))
    right = _outcomes(Path(outcomes), set(left["item_id"]))
    models = tuple(sorted(right["model"].unique()))
    rows = {identifier: row for row, identifier in enumerate(left["item_id"])}
    columns = {model: column for column, model in enumerate(models)}
    where = (right["item_id"].map(rows).to_numpy(), right["model"].map(columns).to_numpy())
    scores = np.full((len(left), len(models)), np.nan, dtype=np.float32)
    costs = np.full_like(scores, np.nan)
    scores[where], costs[where] = right["score"].to_numpy(), right["cost_usd"].to_numpy()
    return OutcomeTable(
        item_ids=left["item_id"].to_numpy(dtype=object),
        datasets=left["dataset"].to_numpy(dtype=object),
        tasks=left["task"].to_numpy(dtype=object),
        prompts=left["prompt"].to_numpy(dtype=object),
        models=models,
        scores=scores,
        costs=costs,
        groups=left["group"].to_numpy(dtype=object) if "group" in left else None,
    )


def _items(path: Path) -> pd.DataFrame:
    table = read_table(path, ITEM_COLUMNS)
    _text(path, table, ITEM_COLUMNS)
    _unique(path, table, ["item_id"])
    if "task" not in table:
        table["task"] = table["dataset"]
    if "group" in table:
        table["group"] = table["group"].fillna("").astype(str)
    known = table["task"].notna() & (table["task"].astype(str).str.strip() != "")
    table["task"] = table["task"].where(known, table["dataset"]).astype(str)
    return table


def _outcomes(path: Path, items: set[Any]) -> pd.DataFrame:
    table = read_table(path, OUTCOME_COLUMNS)
    _text(path, table, ("item_id", "model"))
    _refuse(path, table, ~table["item_id"].isin(items), "item_id", "does not stand in the items table")
    _unique(path, table, ["item_id", "model"])
    table["score"] = _numbers(path, table, "score", "is not a number")
    score = table["score"]
    _refuse(path, table, score.isna() | (score < 0) | (score > 1), "score", "must lie in 0..1")
    if "cost_usd" not in table:
        table["cost_usd"] = np.nan
    table["cost_usd"] = _numbers(path, table, "cost_usd", "is not a number")
    cost = table["cost_usd"]
    _refuse(path, table, (cost < 0) | np.isinf(cost), "cost_usd", "must be a number of 0 or more")
    if table["model"].nunique() < 2:
        raise OutcomesError(f"{path} holds outcomes of one model only: routing needs at least two")
    return table


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table in which prompts, names and ids are text and scores are numbers; raises as :func:`read_outcomes`."""
    missing = dict.fromkeys(_NUMBERS, _UNKNOWN)
    return read_frame(path, columns, text=_TEXTS, numbers=missing, error=OutcomesError)


def _text(path: Path, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    for column in columns:
        if column == "item_id" and table[column].map(lambda value: isinstance(value, int | np.integer)).all():
            table[column] = table[column].astype(str)
            continue
        bad = ~table[column].map(lambda value: isinstance(value, str) and bool(value.strip()))
        _refuse(path, table, bad, column, "must be text that is not empty")


def _numbers(path: Path, table: pd.DataFrame, column: str, fault: str) -> pd.Series[float]:
    import pandas as pd

    numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
    # One bad cell makes text of a whole column of a CSV file: name the cells that are not numbers, and no others.
    _refuse(path, table, numbers.isna() & table[column].notna(), column, fault)
    _refuse(path, table, table[column].map(lambda value: isinstance(value, str)), column, "is text, not a number")
    return numbers


def _unique(path: Path, table: pd.DataFrame, columns: list[str]) -> None:
    _refuse(path, table, table.duplicated(columns), " + ".join(columns), "appears twice")


def _refuse(path: Path, table: pd.DataFrame, bad: pd.Series[bool], column: str, fault: str) -> None:
    rows = np.flatnonzero(bad.to_numpy())
    if not len(rows):
        return
    keys = [name for name in ("item_id", "model") if name in table]
    named = "; ".join(
        f"row {row + 1} ({', '.join(f'{key}={table[key].iloc[row]!r}' for key in keys)})" for row in rows[:_NAMED]
    )
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    raise OutcomesError(f"{path}, column {column}: {fault} in {len(rows)} of {len(table)} rows: {named}{more}")


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
    """Return an id as text; CSV turns a column of numbers with gaps into floats."""
    if value is None or value != value:  # NaN
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
