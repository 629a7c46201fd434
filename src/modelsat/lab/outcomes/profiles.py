"""Capability profiles from logged outcomes: the accuracy on each core task, with counts."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modelsat.capability import CapabilityProfile
from modelsat.capability.core import CoreTask, core_dataset, core_tasks
from modelsat.errors import OutcomesError
from modelsat.lab.outcomes.table import OutcomeTable, Rows, matrix, read_items, read_scores

__all__ = ["profiles_from_outcomes", "read_core_outcomes"]

SOURCE = "core items"
_PREFIX = "mmlu_pro"
_NUMBER = re.compile(rf"(?:{_PREFIX}/)?(\d+)")


def profiles_from_outcomes(
    table: OutcomeTable, models: Sequence[str] | None = None, tasks: Sequence[CoreTask] | None = None
) -> list[CapabilityProfile]:
    """Make profiles from outcomes on core items alone: one statement a task the model has answered an item of.

    An item is known as core by its id, ``mmlu_pro/N`` or ``N``, of the data set ``mmlu_pro`` (or its public name). A
    missing outcome counts as not asked, not as wrong; the number of items stands in the statement.

    Args:
        table: Outcomes.
        models: Which models; all that answered a core item if omitted.
        tasks: Tasks and their items; the shipped core tasks if omitted.

    Returns:
        Profiles in the order of ``models``, else of the table.

    Raises:
        OutcomesError: A model is unknown or answered no core item, or one item stands in the table twice.
    """
    chosen = core_tasks() if tasks is None else tuple(tasks)
    rows = core_rows(table, chosen)
    taken = np.concatenate([np.array([], dtype=np.intp), *rows.values()])
    answered = table.known[taken].any(axis=0)
    columns = np.flatnonzero(answered) if models is None else table.columns(models)
    without = [table.models[column] for column in columns if not answered[column]]
    if not len(taken) or not len(columns) or without:
        whose = ", ".join(without) if without and len(taken) else "any model"
        raise OutcomesError(
            f"there is no outcome of {whose} on the core items: run the models on the items of {core_dataset()} that "
            f"the core tasks name, and give them as item_id '{_PREFIX}/<question_id>'"
        )
    return [_profile(table, int(column), rows) for column in columns]


def core_rows(table: OutcomeTable, tasks: Sequence[CoreTask]) -> dict[str, Rows]:
    """Rows of the items of each task that the table holds; tasks without any are left out.

    Raises:
        OutcomesError: One item stands in the table under two ids.
    """
    rows: dict[int, int] = {}
    wanted = {item.id for task in tasks for item in task.items}
    datasets = {"", *map(_key, (_PREFIX, core_dataset(), core_dataset().rpartition("/")[2]))}
    for row, (identifier, dataset) in enumerate(zip(table.item_ids, table.datasets, strict=True)):
        found = _NUMBER.fullmatch(str(identifier).strip())
        number = int(found[1]) if found and _key(str(dataset)) in datasets else None
        if number in wanted:
            other = rows.setdefault(number, row)
            if other != row:
                raise OutcomesError(
                    f"core item {number} stands in the table twice, as {table.item_ids[other]!r} and {identifier!r}"
                )
    by_task = {task.name: [rows[item.id] for item in task.items if item.id in rows] for task in tasks}
    return {name: np.array(taken, dtype=np.intp) for name, taken in by_task.items() if taken}


def read_core_outcomes(outcomes: str | os.PathLike[str], items: str | os.PathLike[str] | None = None) -> OutcomeTable:
    """Read outcomes to make profiles from: unlike for routing, one model is enough, and no prompt is needed.

    Args:
        outcomes: Table with ``item_id``, ``model``, ``score`` (0..1).
        items: Table with ``item_id``, ``dataset``, ``prompt``, which says of which data set an item is. Without it the
            ids alone decide.

    Raises:
        OutcomesError: As :func:`modelsat.lab.outcomes.read_outcomes`.
        MissingDependencyError: pandas is not installed.
    """
    known = None if items is None else read_items(Path(items)).set_index("item_id")["dataset"]
    table = read_scores(Path(outcomes), None if known is None else known.index)
    ids = table["item_id"].unique()
    models, scores = matrix(table, "score", ids)
    labels = np.full(len(ids), "", dtype=object) if known is None else known[ids].to_numpy(dtype=object)
    return OutcomeTable(
        item_ids=np.array(ids, dtype=object),
        datasets=labels,
        tasks=labels,
        prompts=np.full(len(ids), "", dtype=object),
        models=models,
        scores=scores,
        costs=np.full_like(scores, np.nan),
    )


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _profile(table: OutcomeTable, column: int, rows: dict[str, Rows]) -> CapabilityProfile:
    statements = []
    for task, taken in rows.items():
        scores = table.scores[taken, column].astype(np.float64)
        scores = scores[~np.isnan(scores)]
        if len(scores):
            statements.append(
                {"task": task, "accuracy": round(float(scores.mean()), 6), "items": len(scores), "source": SOURCE}
            )
    return CapabilityProfile(model=table.models[column], statements=statements)
