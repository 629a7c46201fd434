"""Tables of outcomes: reading them, the circle test, and their split into parts by question text."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelsat._tables import read_frame
from modelsat.errors import OutcomesError

if TYPE_CHECKING:
    import pandas as pd

Rows = NDArray[np.intp]
"""Positions of items (or of models, as columns)."""
ITEM_COLUMNS = ("item_id", "dataset", "prompt")
OUTCOME_COLUMNS = ("item_id", "model", "score")
ROTATION_COLUMN = "rotation_of"
TEST_SHARE = 0.15
VALIDATION_SHARE = 0.07
_BUCKETS = 100
_TEXTS = ("item_id", "dataset", "task", "group", "prompt", "model")
"""Columns of a CSV file that are text whatever they look like: a prompt may read 42, an item 007, a model null."""
_NUMBERS = ("score", "cost_usd", "p", "completion_tokens")
_UNKNOWN = ["", "NA", "NaN", "nan", "null", "None"]
_NAMED = 5


@dataclass(frozen=True)
class OutcomeTable:
    """Items and the outcome of every model on them.

    Attributes:
        item_ids: Shape (items,).
        datasets: Data set of each item, shape (items,).
        tasks: Task (subject) of each item; the data set's name where none is given. Shape (items,).
        prompts: Text of each item, shape (items,).
        models: Names of the columns.
        scores: Outcomes 0..1, NaN where a model did not answer the item, float32, shape (items, models).
        costs: Logged cost in USD, NaN where unknown, float32, shape (items, models).
        groups: What a split keeps together beyond the question text: a name, or empty. Shape (items,); ``None`` if no
            item has any.
    """

    item_ids: NDArray[np.object_]
    datasets: NDArray[np.object_]
    tasks: NDArray[np.object_]
    prompts: NDArray[np.object_]
    models: tuple[str, ...]
    scores: NDArray[np.float32]
    costs: NDArray[np.float32]
    groups: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.item_ids)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where an outcome was logged, shape (items, models)."""
        return ~np.isnan(self.scores)

    def column(self, model: str) -> int:
        """Column of a model.

        Raises:
            OutcomesError: The table has no outcomes of this model.
        """
        if model not in self.models:
            raise OutcomesError(f"the outcomes hold nothing of {model!r}; their models: {', '.join(self.models)}")
        return self.models.index(model)

    def columns(self, models: Iterable[str]) -> Rows:
        """Columns of several models, in the order given; raises as :meth:`column`."""
        return np.array([self.column(model) for model in models], dtype=np.intp)

    def answered(self, rows: Rows, share: float = 0.5) -> Rows:
        """Columns of the models with an outcome on at least ``share`` of ``rows``."""
        if not len(rows):
            return np.array([], dtype=np.intp)
        return np.flatnonzero(self.known[rows].mean(axis=0) >= share)

    def of_datasets(self, datasets: str | Sequence[str]) -> Rows:
        """Rows of the items of one or more data sets."""
        names = [datasets] if isinstance(datasets, str) else list(datasets)
        return np.flatnonzero(np.isin(self.datasets, names))

    def take(self, rows: Rows, columns: Rows | None = None) -> OutcomeTable:
        """Return the table of some items and (all or some) models."""
        chosen = np.arange(len(self.models)) if columns is None else columns
        return OutcomeTable(
            item_ids=self.item_ids[rows],
            datasets=self.datasets[rows],
            tasks=self.tasks[rows],
            prompts=self.prompts[rows],
            models=tuple(self.models[column] for column in chosen),
            scores=self.scores[np.ix_(rows, chosen)],
            costs=self.costs[np.ix_(rows, chosen)],
            groups=None if self.groups is None else self.groups[rows],
        )


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
    left, path = read_items(Path(items)), Path(outcomes)
    right = read_scores(path, left["item_id"])
    if "cost_usd" not in right:
        right["cost_usd"] = np.nan
    cost = right["cost_usd"] = _numbers(path, right, "cost_usd")
    _refuse(path, right, (cost < 0) | np.isinf(cost), "cost_usd", "must be a number of 0 or more")
    if right["model"].nunique() < 2:
        raise OutcomesError(f"{path} holds outcomes of one model only: routing needs at least two")
    models, scores = matrix(right, "score", left["item_id"])
    _, costs = matrix(right, "cost_usd", left["item_id"])
    text = {name: left[name].to_numpy(dtype=object) for name in ("item_id", "dataset", "task", "prompt")}
    groups = left["group"].to_numpy(dtype=object) if "group" in left else None
    return OutcomeTable(text["item_id"], text["dataset"], text["task"], text["prompt"], models, scores, costs, groups)


def read_items(path: Path) -> pd.DataFrame:
    """Read and check a table of items; raises as :func:`read_outcomes`."""
    table = read_table(path, ITEM_COLUMNS)
    _check_texts(path, table, ITEM_COLUMNS)
    _refuse(path, table, table.duplicated("item_id"), "item_id", "appears twice")
    if "task" not in table:
        table["task"] = table["dataset"]
    if "group" in table:
        table["group"] = table["group"].fillna("").astype(str)
    known = table["task"].notna() & (table["task"].astype(str).str.strip() != "")
    table["task"] = table["task"].where(known, table["dataset"]).astype(str)
    return table


def read_scores(path: Path, items: Iterable[str] | None = None) -> pd.DataFrame:
    """Read and check a table of outcomes; raises as :func:`read_outcomes`.

    Args:
        path: The table.
        items: The items there are; any if omitted.
    """
    table = read_table(path, OUTCOME_COLUMNS)
    _check_texts(path, table, ("item_id", "model"))
    if items is not None:
        _refuse(path, table, ~table["item_id"].isin(set(items)), "item_id", "does not stand in the items table")
    _refuse(path, table, table.duplicated(["item_id", "model"]), "item_id + model", "appears twice")
    table["score"] = _numbers(path, table, "score")
    _refuse(path, table, ~table["score"].between(0, 1), "score", "must lie in 0..1")
    return table


def matrix(outcomes: pd.DataFrame, values: str, items: Any) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Models in the order of their names, and a column of outcomes: float32, shape (items, models), NaN if missing."""
    wide = outcomes.pivot(index="item_id", columns="model", values=values).reindex(items)
    return tuple(wide.columns), wide.to_numpy(dtype=np.float32)


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table in which prompts, names and ids are text and scores are numbers; raises as :func:`read_outcomes`."""
    missing = dict.fromkeys(_NUMBERS, _UNKNOWN)
    return read_frame(path, columns, text=_TEXTS, numbers=missing, error=OutcomesError)


def read_probabilities(path: Path) -> pd.DataFrame:
    """P(success) by item and model, float32, as ``modelsat score`` writes it: columns ``item_id``, ``model``, ``p``.

    Raises:
        OutcomesError: The file is unreadable, lacks a column, holds a pair twice, or a ``p`` outside 0..1.
    """
    table = read_table(path, ("item_id", "model", "p"))
    table["p"] = _numbers(path, table, "p")
    _refuse(path, table, ~table["p"].between(0, 1), "p", "must lie in 0..1")
    _refuse(path, table, table.duplicated(["item_id", "model"]), "item_id + model", "appears twice")
    texts = table.astype({"item_id": str, "model": str, "p": np.float32})
    return texts.pivot(index="item_id", columns="model", values="p")


def _check_texts(path: Path, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    for column in columns:
        if column == "item_id" and table[column].map(lambda value: isinstance(value, int | np.integer)).all():
            table[column] = table[column].astype(str)
            continue
        bad = ~table[column].map(lambda value: isinstance(value, str) and bool(value.strip()))
        _refuse(path, table, bad, column, "must be text that is not empty")


def _numbers(path: Path, table: pd.DataFrame, column: str) -> pd.Series[float]:
    import pandas as pd

    numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
    # One bad cell makes text of a whole column of a CSV file: name the cells that are not numbers, and no others.
    _refuse(path, table, numbers.isna() & table[column].notna(), column, "is not a number")
    _refuse(path, table, table[column].map(lambda value: isinstance(value, str)), column, "is text, not a number")
    return numbers


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


def read_rotations(items: str | os.PathLike[str]) -> dict[str, str]:
    """Which items are rotations: the column ``rotation_of`` of an items table, by ``item_id``; empty cells left out.

    Raises:
        OutcomesError: The file is unreadable or has no such column.
        MissingDependencyError: pandas is not installed.
    """
    table = read_table(Path(items), ("item_id", ROTATION_COLUMN))
    pairs = zip(table["item_id"], table[ROTATION_COLUMN], strict=True)
    return {str(item): name for item, value in pairs if (name := _name(value))}


def _name(value: Any) -> str:
    """Return an id as text; CSV turns a column of numbers with gaps into floats."""
    if value is None or value != value:  # NaN
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


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
    return replace(table, scores=scores).take(np.flatnonzero(keep))


def question_key(prompt: str) -> str:
    """Return the question without its options, case, spaces and punctuation: the unit that splits are made by."""
    return re.sub(r"[^\w]+", "", re.split(r"\nA[.)] ", prompt)[0].casefold())


def buckets(prompts: NDArray[np.object_], groups: NDArray[np.object_] | None = None) -> NDArray[np.intp]:
    """Hash the group of each prompt, or its question text if it has none, to 0..99, shape (items,).

    Args:
        prompts: Shape (items,).
        groups: Names of groups, empty for items that have none, shape (items,).
    """
    keys = [question_key(prompt) for prompt in prompts]
    if groups is not None:
        keys = [group or key for group, key in zip(groups, keys, strict=True)]
    hashed = (hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:8] for key in keys)
    return np.array([int(digits, 16) % _BUCKETS for digits in hashed], dtype=np.intp)


@dataclass(frozen=True)
class Split:
    """Rows that train, choose and test. No question text stands in two of them."""

    train: Rows
    validation: Rows
    test: Rows

    def within(self, rows: Rows) -> Split:
        """Return the split restricted to ``rows``."""
        return Split(*(np.intersect1d(part, rows) for part in (self.train, self.validation, self.test)))

    def check(self, table: OutcomeTable) -> None:
        """Refuse a split that is empty somewhere or shares a question.

        Raises:
            OutcomesError: Naming the part or the items.
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        for name, rows in parts.items():
            if not len(rows):
                raise OutcomesError(f"the {name} part of the split is empty: give more items, or another share")
        seen: dict[str, str] = {}
        for name, rows in parts.items():
            for row in rows:
                other = seen.setdefault(question_key(table.prompts[row]), name)
                if other != name:
                    raise OutcomesError(
                        f"item {table.item_ids[row]!r} of the {name} part asks a question that also stands in the "
                        f"{other} part: split by question text (split_by_question), never by row"
                    )


def split_by_question(table: OutcomeTable, test: float = TEST_SHARE, validation: float = VALIDATION_SHARE) -> Split:
    """Split by a hash of the question text: the same question falls on the same side in every data set and every run.

    Items that belong to a group (:attr:`OutcomeTable.groups`) fall on the side of their group.

    Args:
        table: Items.
        test: Share of questions that test, 0..1.
        validation: Share that chooses checkpoints, k and the calibration, 0..1.

    Raises:
        OutcomesError: The shares leave nothing to train on.
    """
    if not (test > 0 and validation > 0 and test + validation < 1):
        raise OutcomesError(f"test={test} and validation={validation} must be positive and add to less than 1")
    bucket = buckets(table.prompts, table.groups)
    first, second = round(test * _BUCKETS), round((test + validation) * _BUCKETS)
    return Split(
        train=np.flatnonzero(bucket >= second),
        validation=np.flatnonzero((bucket >= first) & (bucket < second)),
        test=np.flatnonzero(bucket < first),
    )
