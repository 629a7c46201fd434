"""What a run learns from: outcomes with their split, groups of data sets, and who may train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsat.capability import CapabilityProfile
from modelsat.capability.core import core_tasks
from modelsat.errors import ConfigurationError, OutcomesError
from modelsat.lab.outcomes import OutcomeTable, Split, profiles
from modelsat.lab.outcomes.table import Rows, read_table

MOST_PASSES = 20
"""Most passes over a group's prompts in an epoch."""
LEAST_ANSWERED = 0.05
"""A model belongs to a group if it answered at least this share of its items."""


@dataclass(frozen=True)
class Group:
    """Data sets that are trained on together: one batch holds prompts of one group.

    Attributes:
        name: Its name in logs and metrics.
        datasets: Names of data sets.
        candidates: Models drawn a step.
        share: How often its training prompts are seen in an epoch: 0.25, a quarter of them; 2, all of them twice.
    """

    name: str
    datasets: tuple[str, ...]
    candidates: int = 20
    share: float = 1.0

    def __post_init__(self) -> None:
        if not self.datasets or self.candidates < 1 or not 0.0 < self.share <= MOST_PASSES:
            raise ConfigurationError(
                f"group {self.name}: it needs data sets, at least one candidate a step, and "
                f"a share above 0, at most {MOST_PASSES}"
            )


@dataclass(frozen=True)
class Corpus:
    """Outcomes, their split and the models left out.

    Attributes:
        table: Items and outcomes.
        split: Rows by part; core items never train as prompts.
        core: Rows of the core items by task.
        groups: Groups of data sets.
        profiles: Given profiles (figures), by model.
        unseen: Models that never train: validation reports on them apart.
        teacher: P(success) by another network, NaN where unknown, shape (items, models); ``None`` without one.
    """

    table: OutcomeTable
    split: Split
    core: Mapping[str, Rows]
    groups: tuple[Group, ...]
    profiles: Mapping[str, CapabilityProfile]
    unseen: frozenset[str] = frozenset()
    teacher: NDArray[np.float32] | None = None
    _pools: dict[str, tuple[Rows, Rows]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def pool(self, group: Group) -> tuple[Rows, Rows]:
        """Training rows of a group and the columns of the models that train on it."""
        if group.name not in self._pools:
            rows = np.intersect1d(self.split.train, self.table.of_datasets(group.datasets))
            rows = np.setdiff1d(rows, self.core_rows)
            labelled = self.table.known[rows]
            if self.teacher is not None:
                labelled = labelled | ~np.isnan(self.teacher[rows])
            columns = np.flatnonzero(labelled.mean(axis=0) >= LEAST_ANSWERED) if len(rows) else np.array([], dtype=int)
            training = [c for c in columns if self.table.models[c] not in self.unseen and self._described(c)]
            keep = np.array(training, dtype=np.intp)
            self._pools[group.name] = rows[labelled[:, keep].any(axis=1)], keep
        return self._pools[group.name]

    def validation(self, group: Group) -> tuple[Rows, Rows]:
        """Validation rows of a group and the columns of all its models, those left out included."""
        rows = np.intersect1d(self.split.validation, self.table.of_datasets(group.datasets))
        columns = self.table.answered(rows, LEAST_ANSWERED)
        return rows, np.array([c for c in columns if self._described(c)], dtype=np.intp)

    @property
    def core_rows(self) -> Rows:
        """Rows of all core items."""
        return np.concatenate([*self.core.values()]) if self.core else np.array([], dtype=np.intp)

    @property
    def nameless(self) -> list[str]:
        """Models without a given profile that did not answer most core items either."""
        return [model for column, model in enumerate(self.table.models) if not self._described(column)]

    def _described(self, column: int) -> bool:
        if self.table.models[column] in self.profiles:
            return True
        return bool(len(self.core_rows) and self.table.known[self.core_rows, column].mean() > 0.5)

    def check(self) -> None:
        """Refuse what cannot be trained on, before any work.

        Raises:
            OutcomesError: A model without profile, fewer than two models in a group, a group without prompts, a data
                set with a single outcome value, an empty or leaking split, an unknown data set or unseen model.
        """
        if not self.groups:
            raise OutcomesError("there are no groups of data sets to train on")
        self.split.check(self.table)
        unknown = sorted(self.unseen - set(self.table.models))
        if unknown:
            raise OutcomesError(
                f"unseen_models names {', '.join(unknown)}, of which there are no outcomes; the models are "
                f"{', '.join(self.table.models)}"
            )
        for group in self.groups:
            self._check_group(group)

    def _check_group(self, group: Group) -> None:
        missing = sorted(set(group.datasets) - set(self.table.datasets))
        if missing:
            known = ", ".join(sorted(set(self.table.datasets)))
            raise OutcomesError(f"group {group.name}: no items of {', '.join(missing)}; the data sets are {known}")
        rows = np.intersect1d(self.split.train, self.table.of_datasets(group.datasets))
        nameless = [self.table.models[c] for c in self.table.answered(rows, LEAST_ANSWERED) if not self._described(c)]
        if nameless:
            raise OutcomesError(
                f"group {group.name}: no profile of {', '.join(nameless)}, and no answers of theirs to core items: "
                "add them to the profiles or remove their outcomes"
            )
        rows, columns = self.pool(group)
        if len(columns) < 2:
            raise OutcomesError(
                f"group {group.name} has outcomes of {len(columns)} model{'s' * (len(columns) != 1)} that may train: "
                "contrast needs at least two"
            )
        if not len(rows):
            raise OutcomesError(f"group {group.name} has no training prompts with outcomes")
        for dataset in group.datasets:
            values = self.table.scores[np.ix_(rows[self.table.datasets[rows] == dataset], columns)]
            values = values[~np.isnan(values)]
            if not len(values) and self.teacher is None:
                raise OutcomesError(f"group {group.name}: no outcomes of {dataset} are left to train on")
            if len(values) and values.min() == values.max():
                raise OutcomesError(
                    f"group {group.name}: every training outcome of {dataset} is {values.min():g}; there is nothing to "
                    "tell apart"
                )
        rows, columns = self.validation(group)
        seen = [c for c in columns if self.table.models[c] not in self.unseen]
        if not len(rows) or not seen:
            raise OutcomesError(f"group {group.name} has no validation prompts with outcomes of models that train")


def core_rows(table: OutcomeTable, split: Split) -> dict[str, Rows]:
    """Rows of the shipped core items by task, those of the training part only.

    An item is recognised as :func:`modelsat.lab.outcomes.profiles.core_rows` does, by public id and data set.
    """
    found = profiles.core_rows(table, core_tasks())
    kept = {task: rows[np.isin(rows, split.train)] for task, rows in found.items()}
    return {task: rows for task, rows in kept.items() if len(rows)}


def read_teacher(table: OutcomeTable, path: Path) -> NDArray[np.float32]:
    """P(success) by a teacher, as ``modelsat score`` writes it, in the shape of the table.

    Args:
        table: Items and models; what the file says of others is ignored.
        path: Table with the columns ``item_id``, ``model``, ``p`` (Parquet, CSV or JSON lines).

    Raises:
        OutcomesError: The file is unreadable, names nothing of the table, says something twice, or holds what is no
            probability.
    """
    columns = read_table(path, ("item_id", "model", "p"))
    try:
        p = columns["p"].to_numpy(dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise OutcomesError(f"{path}, column p: {error}") from error
    outside = ~((p >= 0) & (p <= 1))
    if outside.any():
        raise OutcomesError(
            f"{path}, column p: {int(outside.sum())} of {len(p)} rows lie outside 0..1, the first is row "
            f"{int(outside.argmax()) + 1} ({columns['item_id'].iloc[int(outside.argmax())]!r})"
        )
    if columns.duplicated(["item_id", "model"]).any():
        raise OutcomesError(f"{path}: some item_id + model stand twice; a teacher says one thing about each")
    where = {str(identifier): row for row, identifier in enumerate(table.item_ids)}
    names = {model: column for column, model in enumerate(table.models)}
    rows = np.array([where.get(str(identifier), -1) for identifier in columns["item_id"]], dtype=np.intp)
    models = np.array([names.get(model, -1) for model in columns["model"]], dtype=np.intp)
    fits = (rows >= 0) & (models >= 0)
    if not fits.any():
        raise OutcomesError(f"{path} names no item and model of the outcomes")
    matrix = np.full(table.scores.shape, np.nan, dtype=np.float32)
    matrix[rows[fits], models[fits]] = p[fits]
    return matrix
