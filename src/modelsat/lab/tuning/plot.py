"""The cost-quality curve with the chosen point, as a picture or as an interactive page."""

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
        if path.suffix.casefold() == ".html":
            import plotly  # type: ignore[import-untyped]  # noqa: F401
        else:
            import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError.for_extra("drawing the curve", "eval") from error


def plot(tuning: Tuning, path: Path) -> None:
    """Draw the curve, the single models and the chosen point."""
    if path.suffix.casefold() == ".html":
        _page(tuning, path)
    else:
        _picture(tuning, path)


def _titles(tuning: Tuning) -> tuple[str, str, str]:
    measured = tuning.evidence.measured
    quality = "quality (mean outcome)" if measured > 0.5 else "quality (mean predicted success)"
    return f"{tuning.fit.family}, {tuning.prompts} prompts", "USD per 1,000 requests", quality


def _picture(tuning: Tuning, path: Path) -> None:
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
    title, x, y = _titles(tuning)
    axes.set(title=title, xlabel=x, ylabel=y)
    if fit.singles.cost.min() > 0 and fit.singles.cost.max() > 20 * fit.singles.cost.min():
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=150)


def _page(tuning: Tuning, path: Path) -> None:
    import plotly.graph_objects as go  # type: ignore[import-untyped]

    fit, names = tuning.fit, list(tuning.evidence.pool.names)
    knobs = [f"{knob:.4g}" for knob in fit.curve.knobs]
    figure = go.Figure()
    figure.add_scatter(
        x=fit.curve.cost * 1000, y=fit.curve.quality, text=knobs, mode="lines", name=f"policy {fit.family}",
        line={"color": _BLUE}, hovertemplate=KNOB[fit.family] + " %{text}<br>$%{x:.4g} per 1,000<br>quality %{y:.3f}",
    )  # fmt: skip
    figure.add_scatter(
        x=fit.singles.cost * 1000, y=fit.singles.quality, text=names, mode="markers+text", name="one model alone",
        textposition="bottom right", marker={"color": _GREY, "symbol": "square"},
    )  # fmt: skip
    figure.add_scatter(
        x=[fit.curve.cost[fit.at] * 1000], y=[fit.curve.quality[fit.at]], mode="markers",
        name=f"{fit.aim}: {KNOB[fit.family]}={fit.knob:.4g}", marker={"color": _ORANGE, "size": 13},
    )  # fmt: skip
    title, x, y = _titles(tuning)
    figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, template="plotly_white")
    figure.write_html(path, include_plotlyjs=True)
