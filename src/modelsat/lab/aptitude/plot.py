"""A picture of one profile, or of several side by side: accuracy by field, with intervals and the level of guessing."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelsat.capability.equating import DEFAULT_ITEMS
from modelsat.capability.profile import CapabilityProfile, CapabilityStatement
from modelsat.capability.tasks import reference
from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.lab.aptitude.compare import field_of
from modelsat.lab.aptitude.result import Z

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Tell apart for colour-blind readers (Okabe and Ito)."""
_MOST_MODELS, _MOST_ROWS = len(COLOURS), 40


def draw(profiles: Sequence[CapabilityProfile], path: str | os.PathLike[str]) -> None:
    """Draw profiles as horizontal bars, one row a field of core tasks and one a task of any other kind.

    Args:
        profiles: One to four profiles.
        path: File to write; its ending says the format (.png, .svg, .pdf).

    Raises:
        ConfigurationError: There are too many profiles, or the file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    if not 1 <= len(profiles) <= _MOST_MODELS:
        raise ConfigurationError(f"a picture shows 1 to {_MOST_MODELS} profiles, not {len(profiles)}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError.for_extra("drawing a profile", "test") from error
    groups = [_groups(profile) for profile in profiles]
    names = sorted({name for group in groups for name in group}, key=lambda name: _mean(groups, name))[-_MOST_ROWS:]
    figure = Figure(figsize=(9, 1.6 + 0.34 * len(names) * (0.6 + 0.4 * len(profiles))), layout="constrained")
    axes = figure.subplots()
    for place, (profile, group) in enumerate(zip(profiles, groups, strict=True)):
        _bars(axes, names, group, place, len(profiles), profile.model)
    _chance(axes, names, groups)
    _frame(axes, names, profiles)
    try:
        figure.savefig(Path(path), dpi=150)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot write {path}: {error}") from error


def _groups(profile: CapabilityProfile) -> dict[str, list[CapabilityStatement]]:
    groups: dict[str, list[CapabilityStatement]] = {}
    for statement in profile.statements:
        groups.setdefault(field_of(statement.task), []).append(statement)
    return groups


def _mean(groups: Sequence[dict[str, list[CapabilityStatement]]], name: str) -> float:
    found = [_summary(group[name])[0] for group in groups if name in group]
    return sum(found) / len(found)


def _summary(statements: Sequence[CapabilityStatement]) -> tuple[float, float]:
    """Mean accuracy and the reach of its 95 % interval."""
    mean = sum(statement.accuracy for statement in statements) / len(statements)
    variance = sum(_error(statement) ** 2 for statement in statements) / len(statements) ** 2
    return mean, Z * math.sqrt(variance)


def _error(statement: CapabilityStatement) -> float:
    if statement.interval is not None:
        return (statement.interval[1] - statement.interval[0]) / (2 * Z)
    items = statement.items or DEFAULT_ITEMS
    share = (statement.accuracy * items + 1) / (items + 2)
    return math.sqrt(share * (1.0 - share) / items)


def _bars(
    axes: Axes, names: Sequence[str], group: dict[str, list[CapabilityStatement]], place: int, count: int, label: str
) -> None:
    height = 0.8 / count
    rows: list[tuple[float, float, float]] = []
    for row, name in enumerate(names):
        if name in group:
            mean, reach = _summary(group[name])
            rows.append((row + (place - (count - 1) / 2) * -height, 100 * mean, 100 * reach))
    at, means, reaches = (list(column) for column in zip(*rows, strict=True))
    whiskers: dict[str, Any] = {"ecolor": "#333333", "elinewidth": 1, "capsize": 2}
    low = [min(reach, mean) for mean, reach in zip(means, reaches, strict=True)]
    high = [min(reach, 100 - mean) for mean, reach in zip(means, reaches, strict=True)]
    axes.barh(at, means, 0.92 * height, color=COLOURS[place], label=label, xerr=[low, high], error_kw=whiskers)
    for y, mean, up in zip(at, means, high, strict=True):
        axes.text(mean + up + 1, y, f"{mean:.0f}", va="center", fontsize=8, color="#333333")


def _chance(axes: Axes, names: Sequence[str], groups: Sequence[dict[str, list[CapabilityStatement]]]) -> None:
    for row, name in enumerate(names):
        statements = next(group[name] for group in groups if name in group)
        level = sum(reference(statement.task).chance for statement in statements) / len(statements)
        if level > 0:
            axes.plot([100 * level] * 2, [row - 0.42, row + 0.42], color="white", linewidth=3, zorder=3)
            axes.plot([100 * level] * 2, [row - 0.42, row + 0.42], color="black", linewidth=1.2, zorder=4)


def _frame(axes: Axes, names: Sequence[str], profiles: Sequence[CapabilityProfile]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(0, 105)
    axes.set_xlabel("accuracy in %, with 95 % interval; black tick: guessing")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    if len(profiles) > 1:
        axes.legend(loc="lower right", frameon=False)
        axes.set_title("Capability profiles", loc="left", fontweight="bold")
    else:
        axes.set_title(f"Capability profile of {profiles[0].model}", loc="left", fontweight="bold")
