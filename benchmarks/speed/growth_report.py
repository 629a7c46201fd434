"""Growth of the time of a decision, as tables and as a picture."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

BEGIN, END = "<!-- benchmarks/growth.py: begin -->", "<!-- benchmarks/growth.py: end -->"
GREY, BLUE = "#7f7f7f", "#1f77b4"


@dataclass(frozen=True)
class Point:
    """Median milliseconds at ``x``, and the median ratio of the decision to the encode."""

    x: int
    encode_ms: float
    route_ms: float
    ratio: float

    @property
    def cells(self) -> tuple[str, ...]:
        return f"{self.x:,}", f"{self.encode_ms:.1f}", f"{self.route_ms:.1f}", f"{self.ratio:.2f}"


@dataclass(frozen=True)
class Sweep:
    """What grows, what stays, and the points."""

    grows: str
    stays: str
    points: Sequence[Point]

    @property
    def titles(self) -> tuple[str, ...]:
        return self.grows, "encode ms", "decision ms", "ratio"


def rich_table(sweep: Sweep) -> Table:
    """For the terminal."""
    table = Table(title=f"{sweep.grows}, {sweep.stays}", title_justify="left")
    for title in sweep.titles:
        table.add_column(title, justify="right")
    for point in sweep.points:
        table.add_row(*point.cells)
    return table


def markdown(sweeps: Sequence[Sweep], how: str) -> str:
    """For the documentation."""
    lines = [f"{how}."]
    for sweep in sweeps:
        lines += ["", f"By {sweep.grows}, for {sweep.stays}:", "", f"| {' | '.join(sweep.titles)} |"]
        lines += ["|" + "---:|" * len(sweep.titles), *(f"| {' | '.join(point.cells)} |" for point in sweep.points)]
    return "\n".join(lines)


def update(path: Path, sweeps: Sequence[Sweep], how: str) -> None:
    """Write the tables between the markers of a file."""
    text = path.read_text("utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        sys.exit(f"{path} has no markers: put {BEGIN} and {END} where the tables shall stand")
    content = f"{BEGIN}\n{markdown(sweeps, how)}\n{END}"
    path.write_text(pattern.sub(lambda _: content, text), "utf-8")


def draw(sweeps: Sequence[Sweep], path: Path) -> None:
    """Milliseconds above, ratios below; one column for each sweep."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "modelsat"
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator

    figure, axes = plt.subplots(2, len(sweeps), figsize=(11, 5.6), sharex="col", layout="constrained")
    for column, sweep in enumerate(sweeps):
        upper, lower = axes[0][column], axes[1][column]
        x = [point.x for point in sweep.points]
        upper.plot(
            x, [p.encode_ms for p in sweep.points], color=GREY, marker="s", ms=4, label="all-MiniLM-L6-v2 encode"
        )
        upper.plot(x, [p.route_ms for p in sweep.points], color=BLUE, marker="o", ms=4, label="router.route")
        lower.plot(x, [p.ratio for p in sweep.points], color=BLUE, marker="o", ms=4)
        lower.axhline(1, color=GREY, linewidth=0.8, linestyle="--")
        upper.set(title=sweep.stays, xscale="log", yscale="log")
        lower.set(xlabel=sweep.grows, xscale="log")
        lower.set_ylim(bottom=0)
        lower.set_xticks(x, [str(value) for value in x], fontsize=7)
        lower.xaxis.set_minor_locator(NullLocator())
        upper.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        upper.yaxis.set_minor_locator(NullLocator())
        upper.yaxis.set_major_formatter("{x:g}")
        for ax in (upper, lower):
            ax.grid(alpha=0.3)
    axes[0][0].set_ylabel("median time in ms")
    axes[1][0].set_ylabel("decision / encode")
    axes[0][0].legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
