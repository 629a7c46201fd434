"""P(success) by every baseline on one setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelsat.lab.evaluation.baselines import (
    Baseline,
    BestSingle,
    Clusters,
    NearestNeighbours,
    PerTaskBest,
    Slice,
    default_baselines,
)
from modelsat.lab.evaluation.inputs import Report
from modelsat.lab.evaluation.metrics import Floats, means
from modelsat.lab.evaluation.plan import Kind, Setting
from modelsat.lab.evaluation.results import Role
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.table import Rows

HINDSIGHT = "best single (hindsight)"


@dataclass(frozen=True)
class Prediction:
    """P(success) of one row, shape (test prompts, models), for each seed, and once before calibration where known.

    It is ``probable`` if the values are probabilities: an oracle's are not.
    """

    name: str
    role: Role
    runs: Sequence[Floats]
    uncalibrated: Floats | None = None
    probable: bool = True


@dataclass(frozen=True)
class Material:
    """What baselines learn from: all items, their embeddings (those who read them are left out if ``None``), seeds."""

    table: OutcomeTable
    embeddings: Floats | None
    seeds: int

    def slice(self, rows: Rows, columns: Rows, answered: Rows | None = None) -> Slice:
        """Prompts and outcomes; with ``answered``, outcomes on those rows alone."""
        scores = self.table.scores[np.ix_(rows, columns)]
        if answered is not None:
            scores = np.where(np.isin(rows, answered)[:, None], scores, np.float32(np.nan))
        vectors = np.empty((len(rows), 0), np.float32) if self.embeddings is None else self.embeddings[rows]
        return Slice(vectors, self.table.tasks[rows], scores)


@dataclass(frozen=True)
class _Job:
    """A baseline with what it learns from; it is tuned on other models' outcomes where ``tuning`` is given."""

    baseline: Baseline
    role: Role
    train: Slice
    validation: Slice
    tuning: tuple[Slice, Slice] | None = None


def baseline_predictions(material: Material, setting: Setting, report: Report) -> tuple[list[Prediction], list[str]]:
    """Anchors, baselines and ceilings of a setting, and notes on those that could not be fitted."""
    test = material.slice(setting.test, setting.columns)
    found = [Prediction("oracle", Role.ANCHOR, [test.scores], probable=False)]
    if setting.kind is Kind.UNSEEN_DATASET:
        level = np.tile(means(test.scores), (len(test), 1))
        found.append(Prediction(HINDSIGHT, Role.ANCHOR, [level], probable=False))
    plan = {Kind.SEEN: _seen, Kind.UNSEEN_MODELS: _unseen_models, Kind.UNSEEN_DATASET: _unseen_dataset}
    jobs, notes = plan[setting.kind](material, setting)
    jobs = [job for job in jobs if material.embeddings is not None or not job.baseline.embedded]
    for number, job in enumerate(jobs):
        report(f"{setting.name}: {job.baseline.name}", number, len(jobs))
        tuned = job.baseline.tuned(*(job.tuning or (job.train, job.validation)))
        runs = [tuned.fit(job.train, seed)(test) for seed in range(material.seeds if tuned.seeded else 1)]
        found.append(Prediction(job.baseline.name, job.role, runs))
    return found, notes


def _seen(material: Material, setting: Setting) -> tuple[list[_Job], list[str]]:
    train, validation = (material.slice(rows, setting.columns) for rows in (setting.train, setting.validation))
    anchor, *others = default_baselines()
    jobs = [_Job(baseline, Role.BASELINE, train, validation) for baseline in others]
    return [_Job(anchor, Role.ANCHOR, train, validation), *jobs], []


def _unseen_models(material: Material, setting: Setting) -> tuple[list[_Job], list[str]]:
    """Anchors and ceilings are given all training outcomes of the unseen models, the baselines the core items'."""
    train, validation = (material.slice(rows, setting.columns) for rows in (setting.train, setting.validation))
    anchor = _Job(BestSingle(), Role.ANCHOR, train, validation)
    ceilings = [
        _Job(PerTaskBest(name="per-task best (all outcomes)"), Role.CEILING, train, validation),
        _Job(NearestNeighbours(name="kNN (all outcomes)"), Role.CEILING, train, validation),
    ]
    known = material.table.known[np.ix_(setting.core, setting.columns)]
    if not len(known) or known.mean(axis=0).min() < 0.5:
        note = "the unseen models did not answer the core items: no baselines that know them from these"
        return [anchor, *ceilings], [note]
    held = material.slice(setting.validation, setting.others)

    def known_by_core_items(baseline: Baseline, rows: Rows) -> _Job:
        few, tuning = (material.slice(rows, columns, setting.core) for columns in (setting.columns, setting.others))
        return _Job(baseline, Role.BASELINE, few, validation, (tuning, held))

    return [
        anchor,
        known_by_core_items(BestSingle(name="best single (core items)"), setting.core),
        known_by_core_items(PerTaskBest(name="per-task best (core items)"), setting.core),
        known_by_core_items(NearestNeighbours(name="kNN (core items)"), setting.core),
        known_by_core_items(Clusters(name="UniRoute clusters (core items)"), np.union1d(setting.train, setting.core)),
        *ceilings,
    ], []


def _unseen_dataset(material: Material, setting: Setting) -> tuple[list[_Job], list[str]]:
    if not len(setting.train):
        return [], ["no two of its models answered prompts of other data sets: nothing to learn from elsewhere"]
    train, validation = (material.slice(rows, setting.columns) for rows in (setting.train, setting.validation))
    unknown = np.isnan(means(train.scores)).sum()
    note = f"{unknown} of {len(setting.columns)} models have no outcomes elsewhere: baselines never choose them"
    named = (BestSingle(name="best single (elsewhere)"), NearestNeighbours(name="kNN (elsewhere)"))
    return [_Job(baseline, Role.BASELINE, train, validation) for baseline in named], [note] if unknown else []
