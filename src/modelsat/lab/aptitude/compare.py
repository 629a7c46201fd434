"""Profiles side by side: what differs by more than chance, by task and by field, and a picture with intervals."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from modelsat.capability.core import core_tasks
from modelsat.capability.equating import DEFAULT_ITEMS, equate
from modelsat.capability.profile import CapabilityProfile, CapabilityStatement
from modelsat.capability.tasks import reference
from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.lab.aptitude.result import Z

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATE = 0.05
"""Share of the differences marked that may be chance."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Distinguishable for colour-blind readers (Okabe and Ito)."""
_MOST_ROWS = 40


@lru_cache(maxsize=1)
def _fields() -> dict[str, str]:
    return {task.name: task.field for task in core_tasks()}


def field_of(task: str) -> str:
    """Return the field of a core task; any other task is a field of its own."""
    return _fields().get(task, task)


def plain_name(task: str) -> str:
    """Return a core task's name without where its questions were taken from: ``"college biology"``."""
    source = r"^(?:ori_mmlu|stemez|scibench|theoremQA)-"
    return re.sub(source, "", task).replace("_", " ") if task in _fields() else task


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of a comparison: a task or a field. ``items`` stand behind the two accuracies (0..1)."""

    name: str
    first: float
    second: float
    items: tuple[int, int]
    p: float  # probability of a difference as large by chance
    significant: bool = False  # more than chance, all lines considered


@dataclass(frozen=True)
class Comparison:
    """Two profiles side by side; the largest differences of tasks come first."""

    models: tuple[str, str]
    levels: tuple[float, float]
    level_p: float  # probability of a difference of levels as large by chance
    fields: tuple[Difference, ...]
    tasks: tuple[Difference, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]  # tasks that one profile states


def compare(first: CapabilityProfile, second: CapabilityProfile) -> Comparison:
    """Compare two profiles."""
    left, right = ({statement.task: statement for statement in profile.statements} for profile in (first, second))
    shared = [statement for task, statement in left.items() if task in right]
    placed = equate(first), equate(second)
    variance = sum(float(one.covariance[1:, 1:].mean()) for one in placed)
    tasks = [_difference(one.task, [one], [right[one.task]]) for one in shared]
    fields = [_difference(name, found, [right[one.task] for one in found]) for name, found in _by_field(shared).items()]
    return Comparison(
        models=(first.model, second.model),
        levels=(placed[0].level, placed[1].level),
        level_p=_two_sided((placed[0].level - placed[1].level) / math.sqrt(max(variance, 1e-9))),
        fields=tuple(sorted(_marked(fields), key=lambda line: line.second - line.first)),
        tasks=tuple(sorted(_marked(tasks), key=lambda line: -abs(line.first - line.second))),
        only=(tuple(t for t in left if t not in right), tuple(t for t in right if t not in left)),
    )


def _by_field(statements: Iterable[CapabilityStatement]) -> dict[str, list[CapabilityStatement]]:
    groups: dict[str, list[CapabilityStatement]] = {}
    for statement in statements:
        groups.setdefault(field_of(statement.task), []).append(statement)
    return groups


def _difference(name: str, left: list[CapabilityStatement], right: list[CapabilityStatement]) -> Difference:
    """Unweighted means over the tasks on both sides: what is asked more often counts no more."""
    first, second = (sum(s.accuracy for s in side) / len(side) for side in (left, right))
    variance = 0.0
    for one, other in zip(left, right, strict=True):
        n, m = one.items or DEFAULT_ITEMS, other.items or DEFAULT_ITEMS
        share = (one.accuracy * n + other.accuracy * m + 1) / (n + m + 2)  # not certain after a few right answers
        variance += share * (1.0 - share) * (1.0 / n + 1.0 / m)
    counts = [sum(s.items or DEFAULT_ITEMS for s in side) for side in (left, right)]
    z = (first - second) * len(left) / math.sqrt(variance)
    return Difference(name, first, second, (counts[0], counts[1]), _two_sided(z))


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2.0))


def _marked(lines: list[Difference]) -> list[Difference]:
    """Mark what is significant at the false discovery rate (Benjamini and Hochberg, 1995)."""
    ordered = enumerate(sorted(line.p for line in lines), start=1)
    bound = max((p for rank, p in ordered if p <= RATE * rank / len(lines)), default=-1.0)
    return [replace(line, significant=line.p <= bound) for line in lines]


def draw(profiles: Sequence[CapabilityProfile], path: str | os.PathLike[str]) -> None:
    """Draw profiles as horizontal bars, one row a field of core tasks and one a task of any other kind.

    Args:
        profiles: One to four profiles.
        path: File to write; its ending says the format (.png, .svg, .pdf).

    Raises:
        ConfigurationError: There are too many profiles, or the file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    if not 1 <= len(profiles) <= len(COLOURS):
        raise ConfigurationError(f"a picture shows 1 to {len(COLOURS)} profiles, not {len(profiles)}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError.for_extra("drawing a profile", "test") from error
    fields = [_by_field(profile.statements) for profile in profiles]
    found = [{name: _summary(statements) for name, statements in groups.items()} for groups in fields]
    names = sorted(
        {name for rows in found for name in rows},
        key=lambda name: fmean(rows[name][0] for rows in found if name in rows),
    )[-_MOST_ROWS:]
    figure = Figure(figsize=(9, 1.6 + 0.34 * len(names) * (0.6 + 0.4 * len(profiles))), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(profiles)
    for place, (profile, rows) in enumerate(zip(profiles, found, strict=True)):
        shown = [row for row, name in enumerate(names) if name in rows]
        at = [row - (place - (len(profiles) - 1) / 2) * height for row in shown]
        _bars(axes, at, [rows[names[row]] for row in shown], height, COLOURS[place], profile.model)
    for row, name in enumerate(names):
        statements = next(groups[name] for groups in fields if name in groups)
        if (chance := fmean(reference(statement.task).chance for statement in statements)) > 0:
            axes.vlines(100 * chance, row - 0.42, row + 0.42, color="white", linewidth=3, zorder=3)
            axes.vlines(100 * chance, row - 0.42, row + 0.42, color="black", linewidth=1.2, zorder=4)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(0, 105)
    axes.set_xlabel("accuracy in %, with 95 % interval; black tick: guessing")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    if len(profiles) > 1:
        axes.legend(loc="lower right", frameon=False)
    title = "Capability profiles" if len(profiles) > 1 else f"Capability profile of {profiles[0].model}"
    axes.set_title(title, loc="left", fontweight="bold")
    try:
        figure.savefig(Path(path), dpi=150)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot write {path}: {error}") from error


def _summary(statements: Sequence[CapabilityStatement]) -> tuple[float, float]:
    """Mean accuracy and the reach of its 95 % interval."""
    variance = 0.0
    for statement in statements:
        items = statement.items or DEFAULT_ITEMS
        share = (statement.accuracy * items + 1) / (items + 2)
        low, high = statement.interval or (0.0, 2 * Z * math.sqrt(share * (1.0 - share) / items))
        variance += ((high - low) / (2 * Z)) ** 2
    return fmean(s.accuracy for s in statements), Z * math.sqrt(variance) / len(statements)


def _bars(axes: Axes, at: list[float], rows: list[tuple[float, float]], height: float, colour: str, label: str) -> None:
    means = [100 * mean for mean, _ in rows]
    low = [100 * min(reach, mean) for mean, reach in rows]
    high = [100 * min(reach, 1 - mean) for mean, reach in rows]
    whiskers = {"ecolor": "#333333", "elinewidth": 1, "capsize": 2}
    axes.barh(at, means, 0.92 * height, color=colour, label=label, xerr=[low, high], error_kw=whiskers)
    for y, mean, up in zip(at, means, high, strict=True):
        axes.text(mean + up + 1, y, f"{mean:.0f}", va="center", fontsize=8, color="#333333")
