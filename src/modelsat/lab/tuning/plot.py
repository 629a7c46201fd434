"""The cost-quality curve with the chosen point, as a picture."""

from __future__ import annotations

from pathlib import Path

from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.lab.tuning.run import Tuning
from modelsat.lab.tuning.sweep import KNOB

SUFFIXES = (".png", ".svg", ".pdf", ".html")
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d1661f", "#5a5a5a"


def check_plot(path: Path) -> None:
    """Refuse a plot that cannot be written, before any work is done.

    Raises:
        ConfigurationError: Its name ends in something else than :data:`SUFFIXES`, or its folder is missing.
        MissingDependencyError: What draws it is not installed.
    """
    if path.suffix.casefold() not in SUFFIXES:
        raise ConfigurationError(f"--plot {path}: the name must end in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise ConfigurationError(f"cannot write {path}: there is no folder {path.parent}; create it first")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError.for_extra("drawing the curve", "eval") from error


def plot(tuning: Tuning, path: Path) -> None:
    """Draw the curve, the single models and the chosen point; an ``.html`` file holds the picture as SVG."""
    from matplotlib.figure import Figure

    fit = tuning.fit
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(fit.curve.cost * 1000, fit.curve.quality, color=_BLUE, linewidth=2, label=f"policy {fit.family}")
    axes.scatter(fit.singles.cost * 1000, fit.singles.quality, color=_GREY, marker="s", s=28, label="one model alone")
    for name, cost, quality in zip(tuning.evidence.pool.names, fit.singles.cost, fit.singles.quality, strict=True):
        right = cost > fit.singles.cost.max() * 0.7
        offset, side = (-6, "right") if right else (6, "left")
        axes.annotate(
            name, (cost * 1000, quality), xytext=(offset, -10), textcoords="offset points", fontsize=7, ha=side
        )
    at = fit.at
    label = f"{fit.aim}: {KNOB[fit.family]}={fit.knob:.4g}"
    axes.scatter([fit.curve.cost[at] * 1000], [fit.curve.quality[at]], color=_ORANGE, s=70, zorder=3, label=label)
    quality = "mean outcome" if tuning.evidence.measured > 0.5 else "mean predicted success"
    axes.set(title=f"{fit.family}, {tuning.prompts} prompts", xlabel="USD per 1,000 requests")
    axes.set_ylabel(f"quality ({quality})")
    if fit.singles.cost.min() > 0 and fit.singles.cost.max() > 20 * fit.singles.cost.min():
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    if path.suffix.casefold() != ".html":
        figure.savefig(path, dpi=150)
        return
    from modelsat.lab.evaluation.report import as_svg

    page = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>modelsat tune</title>{as_svg(figure)}</html>\n'
    path.write_text(page, "utf-8")
