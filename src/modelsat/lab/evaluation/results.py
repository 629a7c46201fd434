"""What an evaluation found, as plain data: everything the tables, ``metrics.json`` and the report are made of."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from modelsat._files import write_json
from modelsat.errors import OutcomesError
from modelsat.lab.evaluation.costs import Curve
from modelsat.lab.evaluation.metrics import Interval, Reliability
from modelsat.lab.evaluation.plan import Kind


class Role(str, Enum):
    """What a row of the table is there for."""

    ANCHOR = "anchor"
    BASELINE = "baseline"
    CEILING = "ceiling"
    ROUTER = "router"


@dataclass(frozen=True)
class Row:
    """One way of routing in one setting.

    Attributes:
        name: Its name.
        role: Anchor, baseline, ceiling (it was given outcomes the routers were not), or measured router.
        metrics: By name, means over the seeds; what cannot be said is absent.
        spread: Standard deviation over the seeds, for those that have several.
        seeds: Number of fits.
        curve: Cost against quality.
        reliability: Predicted against observed success.
        uncalibrated: The same before calibration, where known.
        share: Share of prompts sent to each model, by task.
    """

    name: str
    role: Role
    metrics: Mapping[str, float]
    spread: Mapping[str, float] = field(default_factory=dict)
    seeds: int = 1
    curve: Curve | None = None
    reliability: Reliability | None = None
    uncalibrated: Reliability | None = None
    share: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """A router minus another row on the same prompts, with 95 % intervals of a paired bootstrap over prompts."""

    router: str
    other: str
    differences: Mapping[str, Interval]


@dataclass(frozen=True)
class PolicyRow:
    """One router or baseline under one policy, as it was given or ``"tradeoff, swept"``; means over the seeds.

    ``metrics`` are ``cost`` (USD a prompt), ``accuracy`` and ``strong_share`` of a fixed policy; ``aiq``,
    ``cost_saved_95`` and ``strong_saved_95`` of a swept one.
    """

    router: str
    role: Role
    policy: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class SettingResult:
    """One data set in one setting.

    Attributes:
        name: Data set and setting.
        kind: The setting.
        dataset: The data set.
        prompts: Number of test prompts.
        models: The pool.
        rows: Anchors first, then baselines, ceilings, routers.
        comparisons: Routers against every other row.
        policies: Routers and baselines under the policies that were asked for.
        singles: Mean cost (USD a prompt) and accuracy of each priced model alone.
        tasks: Accuracy of each model on each task of the test prompts, in the order of ``models``.
        task_sizes: Test prompts of each of these tasks.
        notes: What had to be left out, and assumptions.
    """

    name: str
    kind: Kind
    dataset: str
    prompts: int
    models: Sequence[str]
    rows: Sequence[Row]
    comparisons: Sequence[Comparison] = ()
    policies: Sequence[PolicyRow] = ()
    singles: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    tasks: Mapping[str, Sequence[float]] = field(default_factory=dict)
    task_sizes: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def row(self, name: str) -> Row:
        """The row of this name; raise ``OutcomesError`` if there is none."""
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise OutcomesError(f"{self.name}: no row {name!r}; there are {', '.join(rows)}")
        return rows[name]

    def compare(self, router: str, other: str) -> Comparison:
        """A router minus another row; raise ``OutcomesError`` if they were not compared."""
        for comparison in self.comparisons:
            if (comparison.router, comparison.other) == (router, other):
                return comparison
        raise OutcomesError(f"{self.name}: {router!r} was not compared with {other!r}")


@dataclass(frozen=True)
class Evaluation:
    """All settings, with what was measured on what.

    Attributes:
        settings: Results.
        about: Versions, numbers of items and seeds, unseen models and data sets.
        notes: What was left out altogether.
    """

    settings: Sequence[SettingResult]
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def setting(self, dataset: str, kind: Kind = Kind.SEEN) -> SettingResult:
        """One setting; raise ``OutcomesError`` if it was not measured."""
        for result in self.settings:
            if (result.dataset, result.kind) == (dataset, kind):
                return result
        raise OutcomesError(
            f"{dataset}, {kind.value} was not measured; {', '.join(s.name for s in self.settings)} were"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and text; unknown numbers are ``None``."""
        return _plain(self)  # type: ignore[no-any-return]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_dict` as JSON."""
        write_json(path, self.to_dict())


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(getattr(value, key)) for key in value.__dataclass_fields__}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(entry) for entry in value.tolist()]
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 9) if math.isfinite(value) else None
    return value
