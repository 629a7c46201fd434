"""Fresh profiles for every step: subsets, shots and kinds of statement vary, so that any profile is familiar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from modelsat.capability import CapabilityProfile, CapabilityStatement
from modelsat.errors import OutcomesError
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.table import Rows

HEADLINES_INSTEAD = 0.15
"""How often a model that took the core tasks is described by its headline figures instead."""
HEADLINES_BESIDE = 0.3
"""How often headline figures stand beside core-task statements."""
ALL_STATEMENTS = 0.4
"""How often nothing is left out."""
FEWEST_ITEMS = 50
"""Fewest items a redrawn headline figure rests on."""


class ProfileSampler:
    """Draws profiles of models from their answers to the core items and from given profiles.

    Args:
        table: Outcomes; only the rows of ``core`` are read.
        core: Rows of the core items by task.
        given: Profiles made of figures (benchmarks, data-set means), by model.
        shots: Numbers of items a core task, one of which is drawn for a profile.
        subsample: Draw any number of statements; else all of them.
        noise: Redraw headline figures with their binomial error (core tasks have theirs by the draw of items).
    """

    def __init__(
        self,
        table: OutcomeTable,
        core: Mapping[str, Rows],
        given: Mapping[str, CapabilityProfile],
        *,
        shots: Sequence[int] = (20,),
        subsample: bool = True,
        noise: bool = True,
    ) -> None:
        self._table, self._core, self._given = table, dict(core), dict(given)
        self._shots, self._subsample, self._noise = tuple(shots), subsample, noise
        rows = np.concatenate([*self._core.values()]) if self._core else np.array([], dtype=np.intp)
        answered = (~np.isnan(table.scores[rows])).mean(axis=0) if len(rows) else np.zeros(len(table.models))
        self._took = {model for model, share in zip(table.models, answered, strict=True) if share > 0.5}

    def full(self, model: str) -> CapabilityProfile:
        """The profile that measures: all core items where the model took them, else its given figures.

        Raises:
            OutcomesError: Nothing is known about the model.
        """
        if self._took_core(model):
            everything = max(map(len, self._core.values()))
            return _profile(model, self._core_statements(model, list(self._core), everything, None))
        if model in self._given:
            return self._given[model]
        raise OutcomesError(
            f"there is no profile of {model!r} and no outcome of it on core items: add it to the profiles, "
            "or leave its outcomes out"
        )

    def draw(self, model: str, rng: np.random.Generator) -> CapabilityProfile:
        """A random profile of ``model``."""
        given = self._given.get(model)
        if not self._took_core(model) or (given is not None and rng.random() < HEADLINES_INSTEAD):
            return _profile(model, self._headlines(model, rng))
        tasks = list(self._core)
        if self._subsample:
            tasks = [tasks[index] for index in rng.permutation(len(tasks))[: self._count(len(tasks), rng)]]
        statements = self._core_statements(model, tasks, int(rng.choice(self._shots)), rng)
        if given is not None and rng.random() < HEADLINES_BESIDE:
            statements += self._headlines(model, rng)
        if not statements:  # it answered none of the tasks drawn
            statements = self._core_statements(model, list(self._core), max(self._shots), rng)
        return _profile(model, statements)

    def _took_core(self, model: str) -> bool:
        return model in self._took

    def _count(self, most: int, rng: np.random.Generator) -> int:
        if most <= 2 or rng.random() < ALL_STATEMENTS:
            return most
        return int(np.exp(rng.uniform(np.log(2), np.log(most))))

    def _headlines(self, model: str, rng: np.random.Generator) -> list[CapabilityStatement]:
        if model not in self._given:
            return []
        statements = list(self._given[model].statements)
        if self._subsample:
            keep = len(statements) if rng.random() < 0.5 else int(rng.integers(1, len(statements) + 1))
            statements = [statements[index] for index in rng.permutation(len(statements))[:keep]]
        return [_redrawn(statement, rng) for statement in statements] if self._noise else statements

    def _core_statements(
        self, model: str, tasks: Sequence[str], shots: int, rng: np.random.Generator | None
    ) -> list[CapabilityStatement]:
        column = self._table.column(model)
        found = []
        for task in tasks:
            values = self._table.scores[self._core[task], column]
            values = values[~np.isnan(values)]
            if rng is not None and shots < len(values):
                values = rng.choice(values, shots, replace=False)
            if len(values):
                found.append(_statement(task, float(values.mean()), len(values)))
        return found


def _redrawn(statement: CapabilityStatement, rng: np.random.Generator) -> CapabilityStatement:
    items = statement.items or 100
    fewer = int(np.exp(rng.uniform(np.log(min(FEWEST_ITEMS, items)), np.log(items))))
    return _statement(statement.task, rng.binomial(fewer, statement.accuracy) / fewer, fewer, statement.description)


@lru_cache(maxsize=4096)
def task_description(task: str) -> str:
    """The words that describe a task of the catalogue; its name for others."""
    return CapabilityStatement(task=task, accuracy=0.5).description


def _statement(task: str, accuracy: float, items: int, description: str = "") -> CapabilityStatement:
    # Thousands a step: fields known to be valid skip validation.
    return CapabilityStatement.model_construct(
        task=task, description=description or task_description(task), accuracy=accuracy, items=items, source=""
    )


def _profile(model: str, statements: Sequence[CapabilityStatement]) -> CapabilityProfile:
    return CapabilityProfile.model_construct(model=model, statements=tuple(statements))
