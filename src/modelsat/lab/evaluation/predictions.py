"""P(success) by every baseline on one setting, and the sentence embeddings that some of them read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.lab.evaluation.baselines import (
    Baseline,
    BestSingle,
    Clusters,
    NearestNeighbours,
    PerTaskBest,
    Slice,
    default_baselines,
    means,
)
from modelsat.lab.evaluation.metrics import Floats
from modelsat.lab.evaluation.plan import Kind, Setting
from modelsat.lab.evaluation.results import Role
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.table import Rows

_CHUNK = 256
Progress = Callable[[int, int], None]
"""Called with the number of prompts done and in all."""


def load_embeddings(
    source: str | os.PathLike[str], prompts: Sequence[str], rows: Rows, progress: Progress = lambda done, total: None
) -> Floats:
    """Normalised embeddings in the order of the prompts, float32, shape (prompts, width).

    Args:
        source: A ``.npy`` file with one row for each item of the items table, in its order; or the folder or name of a
            sentence-transformers model. An encoder's result is not stored.
        prompts: Text of every item.
        rows: Items that are needed; an encoder leaves the others at zero.
        progress: Told how many prompts are done.

    Raises:
        ConfigurationError: There is no such file or folder, the array does not fit the items, is not finite, or is zero
            for an item that is needed.
        MissingDependencyError: The folder needs sentence-transformers, which is not installed.
    """
    path = Path(source)
    if path.suffix == ".npy":
        return _normalised(_stored(path, len(prompts), rows))
    if not path.is_dir():
        raise ConfigurationError(
            f"no embeddings at {source}: give the folder of a sentence-transformers model such as all-MiniLM-L6-v2, a "
            ".npy file with one row for each item, or --no-embedding-baselines"
        )
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependencyError.for_extra("embedding prompts with a sentence encoder", "bench") from error
    encoder = SentenceTransformer(str(path), device="cpu")
    order = rows[np.argsort([len(prompts[row]) for row in rows])]
    result: Floats | None = None
    for start in range(0, len(order), _CHUNK):
        chosen = order[start : start + _CHUNK]
        vectors = np.asarray(encoder.encode([prompts[row] for row in chosen], show_progress_bar=False), np.float32)
        result = np.zeros((len(prompts), vectors.shape[1]), np.float32) if result is None else result
        result[chosen] = vectors
        progress(min(start + _CHUNK, len(order)), len(order))
    if result is None:
        raise ConfigurationError("there are no prompts to embed")
    return _normalised(result)


def _stored(path: Path, items: int, rows: Rows) -> Floats:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read embeddings from {path}: {error}") from error
    if array.ndim != 2 or len(array) != items:
        raise ConfigurationError(
            f"{path} holds an array of shape {array.shape}: it needs one row for each of the {items} items, in the "
            "order of the items table"
        )
    if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
        raise ConfigurationError(f"{path} holds values that are not finite numbers")
    blank = np.sort(rows[~array[rows].any(axis=1)])
    if len(blank):
        raise ConfigurationError(
            f"{path} has no embedding of {len(blank)} of the {len(rows)} items that are needed (rows of zeros, the "
            f"first is row {blank[0]}): embed them too, or measure other data sets with --datasets"
        )
    vectors: Floats = array.astype(np.float32)
    return vectors


def _normalised(array: Floats) -> Floats:
    scaled: Floats = array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-12)
    return scaled


HINDSIGHT = "best single (hindsight)"
Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Prediction:
    """P(success) of one row, shape (test prompts, models), once for each seed.

    Attributes:
        name: Name of the row.
        role: Its role.
        runs: One array for each seed.
        uncalibrated: Before calibration, where known.
        probable: Whether the values are probabilities (an oracle's are not).
    """

    name: str
    role: Role
    runs: Sequence[Floats]
    uncalibrated: Floats | None = None
    probable: bool = True


@dataclass(frozen=True)
class Material:
    """What baselines learn from.

    Attributes:
        table: All items and models.
        embeddings: Of all items, or ``None``: baselines that read them are left out.
        seeds: Number of fits of the baselines that depend on a seed.
    """

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

    def usable(self, baselines: Sequence[Baseline]) -> list[Baseline]:
        """Those that can run."""
        return [baseline for baseline in baselines if self.embeddings is not None or not baseline.embedded]


def baseline_predictions(material: Material, setting: Setting, report: Report) -> tuple[list[Prediction], list[str]]:
    """Anchors, baselines and ceilings of a setting, and notes on those that could not be fitted."""
    test = material.slice(setting.test, setting.columns)
    oracle = Prediction("oracle", Role.ANCHOR, [test.scores], probable=False)
    notes: list[str] = []
    if setting.kind is Kind.SEEN:
        jobs = _seen(material, setting)
    elif setting.kind is Kind.UNSEEN_MODELS:
        jobs, notes = _unseen_models(material, setting)
    else:
        jobs, notes = _unseen_dataset(material, setting)
    found = []
    if setting.kind is Kind.UNSEEN_DATASET:
        level = np.tile(means(test.scores), (len(test), 1))
        found.append(Prediction(HINDSIGHT, Role.ANCHOR, [level], probable=False))
    for number, job in enumerate(jobs):
        report(f"{setting.name}: {job.baseline.name}", number, len(jobs))
        found.append(job.run(test, material.seeds))
    return [oracle, *found], notes


@dataclass(frozen=True)
class _Job:
    """A baseline with what it learns from; it is tuned on other models' outcomes where ``tuning`` is given."""

    baseline: Baseline
    role: Role
    train: Slice
    validation: Slice
    tuning: tuple[Slice, Slice] | None = None

    def run(self, test: Slice, seeds: int) -> Prediction:
        tuned = self.baseline.tuned(*(self.tuning or (self.train, self.validation)))
        runs = [tuned.fit(self.train, seed)(test) for seed in range(seeds if tuned.seeded else 1)]
        return Prediction(self.baseline.name, self.role, runs)


def _seen(material: Material, setting: Setting) -> list[_Job]:
    train, validation = (material.slice(rows, setting.columns) for rows in (setting.train, setting.validation))
    return [
        _Job(baseline, Role.ANCHOR if isinstance(baseline, BestSingle) else Role.BASELINE, train, validation)
        for baseline in material.usable(default_baselines())
    ]


def _unseen_models(material: Material, setting: Setting) -> tuple[list[_Job], list[str]]:
    """Anchors and ceilings are given all training outcomes of the unseen models, the baselines the core items'."""
    train, validation = (material.slice(rows, setting.columns) for rows in (setting.train, setting.validation))
    ceilings: list[Baseline] = [
        PerTaskBest(name="per-task best (all outcomes)"),
        NearestNeighbours(name="kNN (all outcomes)"),
    ]
    full = [_Job(BestSingle(), Role.ANCHOR, train, validation)]
    full += [_Job(baseline, Role.CEILING, train, validation) for baseline in material.usable(ceilings)]
    known = material.table.known[np.ix_(setting.core, setting.columns)]
    if not len(known) or known.mean(axis=0).min() < 0.5:
        return full, ["the unseen models did not answer the core items: no baselines that know them from these"]
    rows = np.union1d(setting.train, setting.core)
    held = material.slice(setting.validation, setting.others)
    few, all_rows = (material.slice(which, setting.columns, setting.core) for which in (setting.core, rows))
    tuning_few, tuning_all = (
        (material.slice(which, setting.others, setting.core), held) for which in (setting.core, rows)
    )
    core = [
        _Job(BestSingle(name="best single (core items)"), Role.BASELINE, few, validation, tuning_few),
        _Job(PerTaskBest(name="per-task best (core items)"), Role.BASELINE, few, validation, tuning_few),
    ]
    if material.embeddings is not None:
        core += [
            _Job(NearestNeighbours(name="kNN (core items)"), Role.BASELINE, few, validation, tuning_few),
            _Job(Clusters(name="UniRoute clusters (core items)"), Role.BASELINE, all_rows, validation, tuning_all),
        ]
    return [full[0], *core, *full[1:]], []


def _unseen_dataset(material: Material, setting: Setting) -> tuple[list[_Job], list[str]]:
    if not len(setting.train):
        return [], ["no two of its models answered prompts of other data sets: nothing to learn from elsewhere"]
    train, validation = (material.slice(rows, setting.columns) for rows in (setting.train, setting.validation))
    notes = []
    unknown = np.isnan(means(train.scores)).sum()
    if unknown:
        notes.append(
            f"{unknown} of {len(setting.columns)} models have no outcomes elsewhere: baselines never choose them"
        )
    named: list[Baseline] = [BestSingle(name="best single (elsewhere)"), NearestNeighbours(name="kNN (elsewhere)")]
    return [_Job(baseline, Role.BASELINE, train, validation) for baseline in material.usable(named)], notes
