"""The routers that are measured: checkpoints with profiles, and files of scores from anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from modelsat.capability import CapabilityProfile
from modelsat.errors import ConfigurationError, OutcomesError
from modelsat.inference import Scorer
from modelsat.lab.evaluation.metrics import Floats
from modelsat.lab.outcomes import OutcomeTable

Profiles = Mapping[str, CapabilityProfile] | Callable[[str, str], CapabilityProfile]
"""Profiles by model, or a function of data set and model (so that a data set's own figure can be left out)."""
_PASS = 128
_COLUMNS = ("item_id", "model", "p")


class MeasuredRouter(Protocol):
    """A router that is measured beside the baselines."""

    @property
    def name(self) -> str:
        """Name in the tables."""
        ...

    @property
    def version(self) -> str:
        """What was measured: version of the weights, or the file."""
        ...

    def check(self, table: OutcomeTable) -> None:
        """Raise now what :meth:`predict` would raise for these items and models, before any work is done."""
        ...

    def predict(self, table: OutcomeTable, progress: Callable[[int], None] = lambda done: None) -> Floats | None:
        """P(success) for the items and models of one data set, shape (items, models); ``None`` if it knows none."""
        ...

    def uncalibrated(self, p: Floats) -> Floats | None:
        """Return the probabilities before calibration, where that is known."""
        ...


@dataclass(frozen=True)
class CheckpointRouter:
    """A network with profiles.

    Attributes:
        name: Name in the tables.
        scorer: From :func:`modelsat.inference.load_scorer`, or anything that scores.
        profiles: Of every model of the pools.
        scale: Calibration stored with the weights: calibrated logit = scale * logit + shift.
        shift: See ``scale``.
        weights: What it was loaded from.
        backend: What runs it: ``"onnx"`` or ``"torch"``.
    """

    name: str
    scorer: Scorer
    profiles: Profiles
    scale: float = 1.0
    shift: float = 0.0
    weights: str = ""
    backend: str = "onnx"

    @classmethod
    def load(
        cls, name: str, weights: str | os.PathLike[str], profiles: Profiles, backend: str = "onnx"
    ) -> CheckpointRouter:
        """Load a checkpoint by the name of shipped weights or by folder; raises as ``load_scorer``."""
        from modelsat.inference import load_scorer
        from modelsat.storage.checkpoint import open_checkpoint

        config = open_checkpoint(weights).json("config.json")
        scale, shift = float(config.get("scale", 1.0)), float(config.get("shift", 0.0))
        return cls(name, load_scorer(weights, backend, keep=False), profiles, scale, shift, os.fspath(weights), backend)

    @property
    def version(self) -> str:
        """Version of the weights."""
        return self.scorer.version

    def check(self, table: OutcomeTable) -> None:
        """Every model needs a profile.

        Raises:
            OutcomesError: Naming the models that have none.
        """
        if callable(self.profiles):
            return
        missing = [model for model in table.models if model not in self.profiles]
        if missing:
            raise OutcomesError(
                f"data set {table.datasets[0]!r}: no capability profile for {', '.join(missing)}. Add them to the file "
                "of --profiles, or leave these models out with --known-only, or the data set with --datasets"
            )

    def predict(self, table: OutcomeTable, progress: Callable[[int], None] = lambda done: None) -> Floats:
        """Score in passes of the network, as the router would: the text is extracted from the prompt first."""
        from modelsat.request import extract_instruction

        profiles = [self._profile(table.datasets[0], model) for model in table.models]
        order = np.argsort([len(prompt) for prompt in table.prompts])
        result = np.empty(table.scores.shape, dtype=np.float32)
        for start in range(0, len(order), _PASS):
            rows = order[start : start + _PASS]
            result[rows] = self.scorer.score([extract_instruction(t)[0] for t in table.prompts[rows]], profiles).p
            progress(len(rows))
        return result

    def _profile(self, dataset: str, model: str) -> CapabilityProfile:
        return self.profiles(dataset, model) if callable(self.profiles) else self.profiles[model]

    def uncalibrated(self, p: Floats) -> Floats | None:
        """Undo scale and shift of the logits."""
        if (self.scale, self.shift) == (1.0, 0.0):
            return None
        clipped = np.clip(p.astype(float), 1e-6, 1 - 1e-6)
        logit = (np.log(clipped / (1 - clipped)) - self.shift) / self.scale
        raw: Floats = 1.0 / (1.0 + np.exp(-logit))
        return raw


@dataclass(frozen=True)
class ScoresRouter:
    """A router known by its scores: P(success) by item and model.

    Attributes:
        name: Name in the tables.
        version: The file.
        items: Row of ``p`` by item.
        models: Column of ``p`` by model.
        p: Scores, NaN where there is none, shape (items, models).
    """

    name: str
    version: str
    items: Mapping[str, int]
    models: Mapping[str, int]
    p: Floats

    @classmethod
    def read(cls, name: str, path: str | os.PathLike[str]) -> ScoresRouter:
        """Read ``item_id``, ``model`` and ``p`` from Parquet, CSV or JSON lines, as ``modelsat score`` writes them.

        Raises:
            OutcomesError: The file is unreadable, lacks a column, holds a pair twice, or a p outside 0..1.
        """
        import pandas as pd

        from modelsat.lab.outcomes.table import read_table

        table = read_table(Path(path), _COLUMNS)
        p = pd.to_numeric(table["p"], errors="coerce")
        bad = np.flatnonzero(~((p >= 0) & (p <= 1)))
        if len(bad):
            raise OutcomesError(f"{path}, column p: must be a number in 0..1, {_rows(bad)}")
        twice = np.flatnonzero(table.duplicated(["item_id", "model"]))
        if len(twice):
            raise OutcomesError(f"{path}, columns item_id + model: the pair appears twice, {_rows(twice)}")
        row, items = pd.factorize(table["item_id"].astype(str))
        column, models = pd.factorize(table["model"].astype(str))
        values = np.full((len(items), len(models)), np.nan, dtype=np.float32)
        values[row, column] = p.to_numpy()
        return cls(
            name, str(path), {key: n for n, key in enumerate(items)}, {key: n for n, key in enumerate(models)}, values
        )

    def check(self, table: OutcomeTable) -> None:
        """Check that a data set is scored as a whole or not at all.

        Raises:
            OutcomesError: Naming models and items without a score.
        """
        found = self._find(table)
        missing = np.isnan(found)
        if not missing.any() or missing.all():
            return
        models = [model for model, column in zip(table.models, missing.T, strict=True) if column.any()]
        items = [str(item) for item, row in zip(table.item_ids, missing, strict=True) if row.any()]
        more = f" and {len(items) - 3} more" if len(items) > 3 else ""
        raise OutcomesError(
            f"{self.version} lacks {missing.sum()} of {missing.size} scores for data set {table.datasets[0]!r}: models "
            f"{', '.join(models)}; items {', '.join(items[:3])}{more}"
        )

    def predict(self, table: OutcomeTable, progress: Callable[[int], None] = lambda done: None) -> Floats | None:
        """Look the scores up."""
        found = self._find(table)
        progress(len(found))
        return None if np.isnan(found).all() else found

    def uncalibrated(self, p: Floats) -> None:
        """Not known."""
        return None

    def _find(self, table: OutcomeTable) -> Floats:
        rows = np.array([self.items.get(str(item), -1) for item in table.item_ids])
        columns = np.array([self.models.get(model, -1) for model in table.models])
        found: Floats = np.where((rows < 0)[:, None] | (columns < 0)[None], np.nan, self.p[np.ix_(rows, columns)])
        return found


@dataclass(frozen=True)
class SeedsRouter:
    """Several trainings of one router, which differ in their seed: reported as one row, mean and spread.

    Attributes:
        name: Name in the tables.
        members: The trainings.
    """

    name: str
    members: Sequence[MeasuredRouter]

    @property
    def version(self) -> str:
        """Versions of all members."""
        return ", ".join(member.version for member in self.members)

    def check(self, table: OutcomeTable) -> None:
        """Check every member."""
        for member in self.members:
            member.check(table)

    def predict(self, table: OutcomeTable, progress: Callable[[int], None] = lambda done: None) -> Floats | None:
        """P(success) of the first member."""
        return self.members[0].predict(table, progress)

    def uncalibrated(self, p: Floats) -> Floats | None:
        """Of the first member."""
        return self.members[0].uncalibrated(p)


def runs_of(
    router: MeasuredRouter, table: OutcomeTable, progress: Callable[[int], None] = lambda done: None
) -> list[Floats]:
    """P(success) by every training of a router, each of shape (items, models); none if it knows nothing of them."""
    members = router.members if isinstance(router, SeedsRouter) else [router]
    found = [member.predict(table, progress) for member in members]
    return [p for p in found if p is not None]


def parse_router(text: str, profiles: Profiles, backend: str = "onnx") -> MeasuredRouter:
    """``NAME=PATH`` or a path or a name of shipped weights, as the command line takes it.

    A path that ends in .parquet, .csv or .jsonl holds scores; everything else is a checkpoint. ``NAME=PATH,PATH,...``
    are trainings of one router that differ in their seed.

    Raises:
        ConfigurationError: An empty name or path, or several paths without a name.
    """
    name, equals, path = text.partition("=")
    if "," in text:
        paths = [part.strip() for part in path.split(",")]
        if not (equals and name and all(paths)):
            raise ConfigurationError(f"--router {text!r}: several trainings of one router are NAME=PATH,PATH,...")
        return SeedsRouter(name, [parse_router(f"{name}={part}", profiles, backend) for part in paths])
    if not equals:
        path = text
        name = Path(text).stem if _holds_scores(path) else Path(text).name
    if not name or not path:
        raise ConfigurationError(f"--router {text!r}: write NAME=PATH, a path, or the name of shipped weights")
    if _holds_scores(path):
        return ScoresRouter.read(name, path)
    return CheckpointRouter.load(name, path, profiles, backend)


def _holds_scores(path: str) -> bool:
    return Path(path).suffix.casefold() in (".parquet", ".csv", ".jsonl", ".ndjson")


def _rows(rows: np.ndarray) -> str:
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"in row {', '.join(str(row + 1) for row in rows[:5])}{more}"
