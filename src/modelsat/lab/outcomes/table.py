"""Outcomes as one matrix: items down, models across."""

from __future__ import annotations

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
