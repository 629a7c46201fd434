"""The routers that are measured: checkpoints with profiles, and files of scores from anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelsat._tables import TABLES
from modelsat.capability import CapabilityProfile
from modelsat.errors import ConfigurationError, OutcomesError
from modelsat.inference import Scorer
from modelsat.lab.evaluation.metrics import Floats
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.table import read_probabilities

if TYPE_CHECKING:
    import pandas as pd

Profiles = Mapping[str, CapabilityProfile] | Callable[[str, str], CapabilityProfile]
"""Profiles by model, or a function of data set and model (so that a data set's own figure can be left out)."""
PASS = 128
"""Prompts of a call of the network."""


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
        """Raise what :meth:`predict` would raise for these items and models, before any work is done.

        Raises:
            OutcomesError: Naming the models that have no profile.
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
        """P(success) for the items and models of one data set, shape (items, models).

        The network scores in passes, as the router would: the text is extracted from the prompt first.
        """
        from modelsat.request import extract_instruction

        profiles = self.profiles_of(table)
        order = np.argsort([len(prompt) for prompt in table.prompts])
        result = np.empty(table.scores.shape, dtype=np.float32)
        for start in range(0, len(order), PASS):
            rows = order[start : start + PASS]
            result[rows] = self.scorer.score([extract_instruction(t)[0] for t in table.prompts[rows]], profiles).p
            progress(len(rows))
        return result

    def profiles_of(self, table: OutcomeTable) -> list[CapabilityProfile]:
        """Profiles of the models of a data set's table."""
        known, dataset = self.profiles, table.datasets[0]
        return [known(dataset, model) if callable(known) else known[model] for model in table.models]

    def uncalibrated(self, p: Floats) -> Floats | None:
        """Undo scale and shift of the logits; ``None`` if there are none."""
        if (self.scale, self.shift) == (1.0, 0.0):
            return None
        clipped = np.clip(p.astype(float), 1e-6, 1 - 1e-6)
        logit = (np.log(clipped / (1 - clipped)) - self.shift) / self.scale
        raw: Floats = 1.0 / (1.0 + np.exp(-logit))
        return raw


@dataclass(frozen=True)
class ScoresRouter:
    """A router known by its scores.

    Attributes:
        name: Name in the tables.
        version: The file.
        scores: P(success), float32; ``item_id`` is the index, a column for each model.
    """

    name: str
    version: str
    scores: pd.DataFrame

    @classmethod
    def read(cls, name: str, path: str | os.PathLike[str]) -> ScoresRouter:
        """Read a table of scores; raises as :func:`~modelsat.lab.outcomes.table.read_probabilities`."""
        return cls(name, str(path), read_probabilities(Path(path)))

    def check(self, table: OutcomeTable) -> None:
        """Check that a data set is scored as a whole or not at all.

        Raises:
            OutcomesError: Naming models and items without a score.
        """
        missing = np.isnan(self._find(table))
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
        """Look the scores of one data set up, shape (items, models); ``None`` if there are none of it."""
        found = self._find(table)
        progress(len(found))
        return None if np.isnan(found).all() else found

    def uncalibrated(self, p: Floats) -> None:
        """Not known."""

    def _find(self, table: OutcomeTable) -> Floats:
        return self.scores.reindex(index=table.item_ids.astype(str), columns=list(table.models)).to_numpy()


@dataclass(frozen=True)
class SeedsRouter:
    """Several trainings of one router, which differ in their seed: reported as one row, mean and spread.

    Attributes:
        name: Name in the tables.
        members: The trainings.
    """

    name: str
    members: Sequence[CheckpointRouter | ScoresRouter]

    @property
    def version(self) -> str:
        """Versions of all members."""
        return ", ".join(member.version for member in self.members)


MeasuredRouter = CheckpointRouter | ScoresRouter | SeedsRouter
"""A router that is measured beside the baselines."""


def trainings(router: MeasuredRouter) -> Sequence[CheckpointRouter | ScoresRouter]:
    """The router itself, or its trainings if it has several."""
    return router.members if isinstance(router, SeedsRouter) else [router]


def parse_router(text: str, profiles: Profiles, backend: str = "onnx") -> MeasuredRouter:
    """``NAME=PATH`` or a path or a name of shipped weights, as the command line takes it.

    A path that ends in .parquet, .csv or .jsonl holds scores; everything else is a checkpoint. ``NAME=PATH,PATH,...``
    are trainings of one router that differ in their seed.

    Raises:
        ConfigurationError: An empty name or path, or several paths without a name.
    """
    name, equals, given = text.partition("=") if "=" in text else ("", "", text)
    paths = [part.strip() for part in given.split(",")]
    if len(paths) > 1:
        if not (equals and name and all(paths)):
            raise ConfigurationError(f"--router {text!r}: several trainings of one router are NAME=PATH,PATH,...")
        return SeedsRouter(name, [_read(name, path, profiles, backend) for path in paths])
    if not paths[0] or (equals and not name):
        raise ConfigurationError(f"--router {text!r}: write NAME=PATH, a path, or the name of shipped weights")
    return _read(name, paths[0], profiles, backend)


def _read(name: str, text: str, profiles: Profiles, backend: str) -> CheckpointRouter | ScoresRouter:
    path = Path(text)
    if path.suffix.casefold() in TABLES:
        return ScoresRouter.read(name or path.stem, path)
    return CheckpointRouter.load(name or path.name, text, profiles, backend)
