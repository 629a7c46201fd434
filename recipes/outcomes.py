"""Outcome tables for training and measuring: splits by question text, core items, and profiles made from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from modelsat.capability import CapabilityProfile
from modelsat.capability.core import core_tasks
from modelsat.capability.tasks import catalogue
from modelsat.lab.outcomes.table import buckets, question_key

DATA = Path(os.environ.get("MODELSAT_DATA", "../shared/data"))

UNSEEN_MODELS = (
    "Mistral-7B-Instruct-v0.2",
    "Phi-3-mini-4k-instruct",
    "Qwen1.5-7B-Chat",
    "Meta-Llama-3.1-70B",
    "jamba-1.5-large",
    "gemini-1.5-flash-002",
    "gemini-1.5-flash",
    "gpt-4o-2024-05-13",
    "Qwen2-72B-Instruct",
    "claude-3-haiku-20240307",
    "gemma-2-27b-it",
)
"""Models left out of training altogether: known to the router by their profile only."""

DATASET_TASK = {
    "gsm8k": "GSM8K",
    "math_l5": "MATH level 5",
    "crux": "CRUXEval-O",
    "mmlu_routellm": "MMLU",
    "gsm8k_routellm": "GSM8K",
}
"""Benchmark whose figure a data set's mean is."""

MEASURED_TASK = {
    "rdc_mmlu": "MMLU",
    "rdc_cmmlu": "CMMLU",
    "rdc_gsm8k": "GSM8K",
    "rdc_MATH_prealgebra": "MATH prealgebra",
    "rdc_humaneval": "HumanEval",
    "rdc_javascript": "HumanEval-JavaScript",
}
"""The same for data sets that only measure."""

CORE_SHOTS = 20
"""Items of a core task."""


@dataclass
class Outcomes:
    """Items with their split, and outcomes as one matrix.

    Attributes:
        items: One row per item: ``item_id``, ``dataset``, ``task``, ``prompt``, ``question``, ``split``, ``core``.
        scores: Items x models, NaN where a model has no outcome.
        models: Column names of ``scores``.
    """

    items: pd.DataFrame
    scores: np.ndarray
    models: list[str]

    def rows(self, dataset: str | tuple[str, ...], split: str) -> np.ndarray:
        """Positions of the items of a data set in a split; core items never count as training items."""
        names = (dataset,) if isinstance(dataset, str) else dataset
        keep = self.items.dataset.isin(names) & (self.items.split == split)
        if split == "train":
            keep &= ~self.items.core
        return np.flatnonzero(keep.to_numpy())

    def columns(self, rows: np.ndarray, minimum: float = 0.5) -> np.ndarray:
        """Positions of the models with outcomes on at least ``minimum`` of the rows."""
        return np.flatnonzero((~np.isnan(self.scores[rows])).mean(axis=0) >= minimum)


def load(data: Path = DATA) -> Outcomes:
    """Read the tables; 15 % of the questions test, 7 % validate, the rest trains, by a hash of the question text."""
    items = pd.read_parquet(data / "items.parquet", columns=["item_id", "dataset", "task", "prompt"])
    items["question"] = items.prompt.map(question_key)
    bucket = buckets(items.prompt.to_numpy(dtype=object))
    items["split"] = np.where(bucket < 15, "test", np.where(bucket < 22, "validation", "train"))
    items["core"] = items.item_id.isin({f"mmlu_pro/{item.id}" for task in core_tasks() for item in task.items})
    if (items.split[items.core] != "train").any():
        raise ValueError("the manifest of core tasks names items outside the training split: select them anew")
    outcomes = pd.read_parquet(data / "outcomes.parquet", columns=["item_id", "model", "score"])
    models = sorted(outcomes.model.unique())
    scores = np.full((len(items), len(models)), np.nan, dtype=np.float32)
    row = pd.Series(np.arange(len(items)), index=items.item_id)
    column = pd.Series(np.arange(len(models)), index=models)
    scores[row[outcomes.item_id].to_numpy(), column[outcomes.model].to_numpy()] = outcomes.score
    return Outcomes(items, scores, models)


def published(data: Path = DATA) -> pd.DataFrame:
    """Published figures: ``model``, ``benchmark``, ``accuracy`` (0..1), ``n_items``."""
    table = pd.read_csv(data / "published_benchmarks.csv")
    table["accuracy"] = table.accuracy_percent / 100
    return table


def statement(task: str, accuracy: float, items: int | None) -> dict[str, object]:
    """The fields of a capability statement."""
    return {"task": task, "accuracy": float(accuracy), "items": items}


class ProfileBank:
    """Everything that may be said about each model, for profiles of any size.

    Core-task accuracies count core items only; data-set means count training items only. No test or validation
    outcome enters.
    """

    def __init__(self, outcomes: Outcomes, data: Path = DATA) -> None:
        core = np.flatnonzero(outcomes.items.core.to_numpy())
        self._tasks = outcomes.items.task.to_numpy()
        self._core = {task: core[self._tasks[core] == task] for task in sorted(set(self._tasks[core]))}
        train = outcomes.rows("mmlu_pro", "train")
        groups = {
            task: train[self._tasks[train] == task] for task in sorted(set(self._tasks[train]) & set(catalogue()))
        }
        self._large = {task: rows for task, rows in groups.items() if len(rows) >= 60}
        self.outcomes = outcomes
        table = published(data)
        figures = dict(iter(table.groupby("model")))
        self._benchmarks: dict[str, list[dict[str, object]]] = {}
        for column, model in enumerate(outcomes.models):
            found: dict[str, dict[str, object]] = {}
            for row in figures[model].itertuples() if model in figures else ():
                found[row.benchmark] = statement(row.benchmark, row.accuracy, int(row.n_items))
            for dataset, task in DATASET_TASK.items():
                values = outcomes.scores[outcomes.rows(dataset, "train"), column]
                values = values[~np.isnan(values)]
                if len(values) >= 100:
                    found[task] = statement(task, values.mean(), len(values))
            self._benchmarks[model] = list(found.values())

    def benchmarks(self, model: str) -> list[dict[str, object]]:
        """Statements made of benchmark figures."""
        return self._benchmarks[model]

    def has_core(self, model: str) -> bool:
        """Whether the model took the core items."""
        column = self.outcomes.models.index(model)
        return not np.isnan(self.outcomes.scores[next(iter(self._core.values()))[0], column])

    def core(
        self,
        model: str,
        shots: int = CORE_SHOTS,
        tasks: list[str] | None = None,
        rng: np.random.Generator | None = None,
    ) -> list[dict[str, object]]:
        """Statements made of core items, ``shots`` a task (a random subset of them with ``rng``)."""
        return self._count(model, self._core, shots, tasks, rng)

    def large(self, model: str, tasks: list[str]) -> list[dict[str, object]]:
        """Statements made of all training items of tasks that have at least 60."""
        return self._count(model, self._large, 10**6, [task for task in tasks if task in self._large], None)

    @property
    def core_tasks(self) -> list[str]:
        """Names of the core tasks."""
        return list(self._core)

    def profile(self, model: str) -> CapabilityProfile:
        """The profile used to measure: all core items where the model took them, else its benchmark figures."""
        statements = self.core(model) if self.has_core(model) else self.benchmarks(model)
        return CapabilityProfile(model=model, statements=statements)

    def elsewhere(self, model: str, dataset: str) -> CapabilityProfile:
        """A profile made of everything but ``dataset`` and its benchmark: to measure data sets that never trained."""
        rows = [row for row in self.benchmarks(model) if row["task"] != MEASURED_TASK[dataset]]
        if self.has_core(model):
            rows += self.core(model)
        known = {row["task"] for row in rows} | {MEASURED_TASK[dataset]}
        column = self.outcomes.models.index(model)
        for other, task in MEASURED_TASK.items():
            values = self.outcomes.scores[self.outcomes.rows(other, "train"), column]
            values = values[~np.isnan(values)]
            if task not in known and len(values) >= 50:
                rows.append(statement(task, values.mean(), len(values)))
        return CapabilityProfile(model=model, statements=rows)

    def _count(
        self,
        model: str,
        groups: dict[str, np.ndarray],
        shots: int,
        tasks: list[str] | None,
        rng: np.random.Generator | None,
    ) -> list[dict[str, object]]:
        column = self.outcomes.models.index(model)
        rows = []
        for task in tasks if tasks is not None else list(groups):
            chosen = groups[task]
            if shots < len(chosen):
                chosen = rng.choice(chosen, shots, replace=False) if rng is not None else chosen[:shots]
            values = self.outcomes.scores[chosen, column]
            values = values[~np.isnan(values)]
            if len(values):
                rows.append(statement(task, values.mean(), len(values)))
        return rows
