"""A model's profile: its published figures, and what all of them together say of each test."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
from matplotlib.figure import Figure

from modelsat import CapabilityProfile, Registry
from modelsat.capability.equating import equate, expected_accuracy

from .style import Theme


def measure(given: Namespace) -> CapabilityProfile:
    """The registry's profile."""
    return Registry.shipped().find(given.model)


def draw(profile: CapabilityProfile, theme: Theme) -> Figure:
    """One line a figure: the dot as published, the bar the 90 % interval that the abilities leave."""
    placed = equate(profile)
    statements = sorted(profile.statements, key=lambda statement: statement.accuracy)
    figure = Figure(figsize=(8.2, 0.9 + 0.27 * len(statements)), layout="constrained")
    axes = figure.add_subplot()
    lines = np.arange(len(statements))
    _, low, high = np.array([expected_accuracy(placed, statement.task) for statement in statements]).T
    axes.barh(
        lines, high - low, left=low, height=0.5, color=theme.blue, alpha=0.35,
        label="expected from all figures together (90 %)",
    )  # fmt: skip
    axes.scatter([one.accuracy for one in statements], lines, color=theme.orange, s=26, zorder=3, label="as published")
    axes.set_yticks(lines, [statement.task for statement in statements], fontsize=8)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_title(f"{profile.model}: {len(statements)} figures", fontsize=10)
    axes.grid(alpha=0.2, axis="x")
    axes.legend(fontsize=7.5, loc="lower right")
    return figure
