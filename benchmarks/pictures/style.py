"""Colours on light and on dark ground, and how a picture is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

FOLDER = Path(__file__).resolve().parents[2] / "docs/pictures"


@dataclass(frozen=True)
class Theme:
    """One ground and what is drawn on it."""

    name: str
    ground: str
    ink: str
    faint: str
    blue: str
    green: str
    orange: str
    violet: str

    @property
    def settings(self) -> dict[str, Any]:
        """For matplotlib: text stays text, and the ground is the page's."""
        inks = ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color")
        return {
            **dict.fromkeys(inks, self.ink),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "legend.framealpha": 0.0,
            "font.family": ["DejaVu Sans"],
            "svg.fonttype": "none",
            "svg.hashsalt": "modelsat",
        }


THEMES = (
    Theme("light", "#ffffff", "#1f2430", "#8a94a6", "#2f4fc4", "#2e7d32", "#b35309", "#7b3fa0"),
    Theme("dark", "#1e2129", "#dde1ea", "#8a94a6", "#8fa8ff", "#7cc47f", "#f0a35e", "#c79be6"),
)


def save(name: str, draw: Callable[[Theme], Figure]) -> None:
    """Draw ``docs/pictures/NAME-light.svg`` and ``NAME-dark.svg``."""
    FOLDER.mkdir(exist_ok=True)
    for theme in THEMES:
        with mpl.rc_context(theme.settings):
            file = FOLDER / f"{name}-{theme.name}.svg"
            draw(theme).savefig(file, metadata={"Date": None})
        text = file.read_text("utf-8").replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
        file.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", "utf-8")
        print(file)
