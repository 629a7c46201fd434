"""Tables of outcomes, and their split into training, validation and test prompts by question text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelsat.errors import OutcomesError

Rows = NDArray[np.intp]
"""Positions of items (or of models, as columns)."""


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
    _columns: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_columns", {model: column for column, model in enumerate(self.models)})

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
        try:
            return self._columns[model]
        except KeyError:
            raise OutcomesError(
                f"the outcomes hold nothing of {model!r}; their models: {', '.join(self.models)}"
            ) from None

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


TEST_SHARE = 0.15
VALIDATION_SHARE = 0.07
_BUCKETS = 100


def question_key(prompt: str) -> str:
    """Return the question without its options, case, spaces and punctuation: the unit that splits are made by."""
    return re.sub(r"[^\w]+", "", re.split(r"\nA[.)] ", prompt)[0].casefold())


def buckets(prompts: NDArray[np.object_], groups: NDArray[np.object_] | None = None) -> NDArray[np.intp]:
    """Hash the group of each prompt, or its question text if it has none, to 0..99, shape (items,).

    Args:
        prompts: Shape (items,).
        groups: Names of groups, empty for items that have none, shape (items,).
    """
    keys = (question_key(prompt) for prompt in prompts) if groups is None else map(_key, prompts, groups)
    hashed = (hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:8] for key in keys)
    return np.array([int(digits, 16) % _BUCKETS for digits in hashed], dtype=np.intp)


def _key(prompt: str, group: str) -> str:
    return group or question_key(prompt)


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
