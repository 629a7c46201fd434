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
from modelsat.lab.outcomes.read import OUTCOME_COLUMNS, _items, _numbers, _refuse, _text, _unique, read_table
from modelsat.lab.outcomes.table import OutcomeTable, Rows

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
    for row, (identifier, dataset) in enumerate(zip(table.item_ids, table.datasets, strict=True)):
        number = _number(str(identifier), str(dataset))
        if number in wanted:
            other = rows.setdefault(number, row)
            if other != row:
                raise OutcomesError(
                    f"core item {number} stands in the table twice, as {table.item_ids[other]!r} and {identifier!r}"
                )
    found = {
        task.name: np.array([rows[item.id] for item in task.items if item.id in rows], dtype=np.intp) for task in tasks
    }
    return {name: taken for name, taken in found.items() if len(taken)}


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
    path = Path(outcomes)
    table = read_table(path, OUTCOME_COLUMNS)
    _text(path, table, ("item_id", "model"))
    _unique(path, table, ["item_id", "model"])
    table["score"] = _numbers(path, table, "score", "is not a number")
    _refuse(path, table, ~table["score"].between(0, 1), "score", "must lie in 0..1")
    ids = table["item_id"].unique()
    datasets = dict.fromkeys(ids, "")
    if items is not None:
        known = _items(Path(items))
        datasets = dict(zip(known["item_id"], known["dataset"], strict=True))
        _refuse(path, table, ~table["item_id"].isin(datasets), "item_id", "does not stand in the items table")
    models = tuple(sorted(table["model"].unique()))
    rows, columns = ({name: at for at, name in enumerate(names)} for names in (ids, models))
    scores = np.full((len(ids), len(models)), np.nan, dtype=np.float32)
    scores[table["item_id"].map(rows).to_numpy(), table["model"].map(columns).to_numpy()] = table["score"].to_numpy()
    labels = np.array([datasets[identifier] for identifier in ids], dtype=object)
    return OutcomeTable(
        item_ids=np.array(ids, dtype=object),
        datasets=labels,
        tasks=labels,
        prompts=np.full(len(ids), "", dtype=object),
        models=models,
        scores=scores,
        costs=np.full_like(scores, np.nan),
    )


def _number(identifier: str, dataset: str) -> int | None:
    """Return the public id of an item of the core tasks' data set, ``None`` for an item of another."""
    names = {"", _key(_PREFIX), _key(core_dataset().rpartition("/")[2]), _key(core_dataset())}
    found = _NUMBER.fullmatch(identifier.strip())
    return int(found.group(1)) if found and _key(dataset) in names else None


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
