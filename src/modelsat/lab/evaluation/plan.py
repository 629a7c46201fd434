"""What is measured: seen models on new prompts, unseen models, unseen data sets, each by data set and apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from modelsat.errors import OutcomesError
from modelsat.lab.outcomes import OutcomeTable, Split, question_key
from modelsat.lab.outcomes.table import Rows

ANSWERED = 0.8
"""A model belongs to a data set's pool if it answered this share of its prompts."""
CORE_ITEMS, CORE_PER_TASK = 1000, 20


class Kind(str, Enum):
    """The three settings."""

    SEEN = "seen models, new prompts"
    UNSEEN_MODELS = "unseen models"
    UNSEEN_DATASET = "unseen data set"


@dataclass(frozen=True)
class Setting:
    """One data set in one setting.

    Attributes:
        kind: Which of the three.
        dataset: Name of the data set.
        columns: Models to choose among.
        train: Rows whose outcomes the baselines learn from; of unseen data sets, rows of *other* data sets.
        validation: Rows that choose the baselines' sizes.
        test: Rows that are measured, each answered by at least one of ``columns``.
        core: Rows of the core items, for unseen models.
        others: Seen models of the same data set, on which the baselines for unseen models are tuned.
    """

    kind: Kind
    dataset: str
    columns: Rows
    train: Rows
    validation: Rows
    test: Rows
    core: Rows
    others: Rows

    @property
    def name(self) -> str:
        """Data set and kind in words."""
        return f"{self.dataset}: {self.kind.value}"


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        unseen_models: Models left out of training altogether, known by their profile only.
        unseen_datasets: Data sets none of whose outcomes may be learned from.
        datasets: Data sets to measure; all if not given.
        core_items: Identifiers of the items that profiles were made of; up to 1,000 training items, 20 a task, of the
            data set itself if none of the given ones is in the table.
    """

    unseen_models: Sequence[str] = ()
    unseen_datasets: Sequence[str] = ()
    datasets: Sequence[str] | None = None
    core_items: Sequence[str] = ()


def settings(table: OutcomeTable, split: Split, plan: Plan) -> tuple[list[Setting], list[str]]:
    """Every setting the plan asks for, and notes on what could not be set up.

    Raises:
        OutcomesError: A named model or data set is not in the table; a data set's outcomes are all the same; a part of
            its split is empty; fewer than two models answered it; nothing is left to measure.
    """
    present = sorted(set(table.datasets))
    wanted = present if plan.datasets is None else plan.datasets
    for option, names in (("datasets", wanted), ("unseen data sets", plan.unseen_datasets)):
        unknown = sorted(set(names) - set(present))
        if unknown:
            raise OutcomesError(
                f"{option}: the items have no data set {', '.join(unknown)}; theirs: {', '.join(present)}"
            )
    unseen = table.columns(plan.unseen_models)
    found: list[Setting] = []
    notes: list[str] = []
    for dataset in wanted:
        _check_varies(table, dataset)
        if dataset in plan.unseen_datasets:
            found.append(_unseen_dataset(table, split, plan, dataset))
        else:
            found += _seen_dataset(table, split, plan, dataset, unseen, notes)
    if not found:
        raise OutcomesError("there is nothing to measure: no data set has a pool of two models; " + "; ".join(notes))
    return found, notes


def _seen_dataset(
    table: OutcomeTable, split: Split, plan: Plan, dataset: str, unseen: Rows, notes: list[str]
) -> list[Setting]:
    items = table.of_datasets(dataset)
    own = split.within(items)
    for part, rows in (("training", own.train), ("validation", own.validation), ("test", own.test)):
        if not len(rows):
            raise OutcomesError(
                f"data set {dataset!r} has no {part} prompts ({len(items)} items in all): "
                "leave it out with --datasets, or measure it as an unseen data set"
            )
    pool = table.answered(own.train, ANSWERED)
    seen = np.setdiff1d(pool, unseen)
    core = _core(table, own.train, plan)
    result = []
    for kind, columns in ((Kind.SEEN, seen), (Kind.UNSEEN_MODELS, np.intersect1d(pool, unseen))):
        if len(columns) >= 2:
            test = np.setdiff1d(_answered(table, own.test, columns), core)
            result.append(Setting(kind, dataset, columns, own.train, own.validation, test, core, seen))
        elif kind is Kind.SEEN or len(columns):
            notes.append(f"{dataset}, {kind.value}: left out, for only {len(columns)} of its models belong there")
    return result


def _unseen_dataset(table: OutcomeTable, split: Split, plan: Plan, dataset: str) -> Setting:
    """All items but those whose question stands in training or validation prompts of other data sets."""
    own = table.of_datasets(dataset)
    columns = table.answered(own, ANSWERED)
    if len(columns) < 2:
        raise OutcomesError(f"data set {dataset!r} was answered by {len(columns)} models: choosing needs at least two")
    elsewhere = np.flatnonzero(~np.isin(table.datasets, list(plan.unseen_datasets)))
    known = split.within(elsewhere)
    learned = {question_key(prompt) for prompt in table.prompts[np.concatenate([known.train, known.validation])]}
    test = np.array([row for row in own if question_key(table.prompts[row]) not in learned], dtype=np.intp)
    test = _answered(table, test, columns)
    if not len(test):
        raise OutcomesError(
            f"data set {dataset!r}: all of its questions also stand in training prompts of other data sets"
        )
    train, validation = (_shared(table, part, columns) for part in (known.train, known.validation))
    none = np.array([], dtype=np.intp)
    return Setting(Kind.UNSEEN_DATASET, dataset, columns, train, validation, test, none, columns)


def _shared(table: OutcomeTable, rows: Rows, columns: Rows) -> Rows:
    """Rows that (nearly) as many of the pool answered as any: their models' levels can be compared."""
    answered = table.known[np.ix_(rows, columns)].sum(axis=1)
    shared: Rows = rows[(answered >= 2) & (answered >= 0.9 * answered.max(initial=0))]
    return shared


def _core(table: OutcomeTable, train: Rows, plan: Plan) -> Rows:
    given = np.flatnonzero(np.isin(table.item_ids, list(plan.core_items)))
    if len(given):
        return given
    chosen: list[int] = []
    tasks, sizes = np.unique(table.tasks[train].astype(str), return_counts=True)
    for task in tasks[np.argsort(-sizes, kind="stable")]:
        chosen += train[table.tasks[train] == task][:CORE_PER_TASK].tolist()
    return np.array(sorted(chosen[:CORE_ITEMS]), dtype=np.intp)


def _answered(table: OutcomeTable, rows: Rows, columns: Rows) -> Rows:
    return rows[table.known[np.ix_(rows, columns)].any(axis=1)]


def _check_varies(table: OutcomeTable, dataset: str) -> None:
    scores = table.scores[table.of_datasets(dataset)]
    values = np.unique(scores[~np.isnan(scores)])
    if len(values) < 2:
        what = f"every score is {values[0]:g}" if len(values) else "it has no outcomes"
        raise OutcomesError(
            f"column score, data set {dataset!r}: {what}, so that no choice can be better than another; "
            "leave the data set out with --datasets"
        )
