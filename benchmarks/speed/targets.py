"""What is asked for, what was measured, and by how much it is missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Target:
    """A figure and its bound.

    Attributes:
        name: What is measured.
        measured: The figure.
        bound: What is asked for.
        unit: Printed after both.
        least: Whether the bound is the least, not the most.
    """

    name: str
    measured: float
    bound: float
    unit: str
    least: bool = False

    @property
    def met(self) -> bool:
        return self.measured >= self.bound if self.least else self.measured <= self.bound

    @property
    def verdict(self) -> str:
        """``"met"``, or by how much of the bound it is missed."""
        return "met" if self.met else f"missed by {abs(self.measured - self.bound) / self.bound:.0%}"


def table(targets: Sequence[Target]) -> Table:
    """One row for each target."""
    shown = Table(title="targets", title_justify="left")
    for column in ("what", "measured", "asked for", "verdict"):
        shown.add_column(column, justify="left" if column in ("what", "verdict") else "right")
    for target in targets:
        word = "at least" if target.least else "at most"
        digits = 0 if target.bound >= 10 else 2
        asked = f"{word} {target.bound:g} {target.unit}"
        style = "green" if target.met else "red"
        shown.add_row(
            target.name, f"{target.measured:.{digits}f} {target.unit}", asked, f"[{style}]{target.verdict}[/]"
        )
    return shown
