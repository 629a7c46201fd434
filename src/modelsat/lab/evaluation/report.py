"""The report: one HTML file that needs no network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from modelsat._files import written_whole
from modelsat.errors import MissingDependencyError
from modelsat.lab.evaluation import plots
from modelsat.lab.evaluation.plan import Kind
from modelsat.lab.evaluation.results import Evaluation, SettingResult
from modelsat.lab.evaluation.tables import GLOSSARY, grids

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ABOUT = {
    Kind.SEEN: "The pool's models trained the baselines; the questions of the test prompts did not, in any data set.",
    Kind.UNSEEN_MODELS: "These models trained nothing. The routers know them by profile only, the baselines by the "
    "core items. Ceilings were given all their training outcomes; best single was chosen with these, too.",
    Kind.UNSEEN_DATASET: "No outcome of the data set was used for training, and no question of it that also stands in "
    "training prompts elsewhere is measured. Best single is chosen in hindsight.",
}


def write_report(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Write the report of an evaluation.

    Raises:
        ConfigurationError: The file cannot be written.
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError.for_extra("the report", "eval") from error
    environment = jinja2.Environment(loader=jinja2.PackageLoader("modelsat.lab.evaluation"), autoescape=True)
    kinds = [
        {
            "title": kind.value.capitalize(),
            "about": _ABOUT[kind],
            "figure": _svg(plots.win_loss(evaluation, kind)),
            "settings": [_setting(result) for result in evaluation.settings if result.kind is kind],
        }
        for kind in Kind
        if any(result.kind is kind for result in evaluation.settings)
    ]
    template = environment.get_template("report.html.j2")
    page = template.render(evaluation=evaluation, facts=_facts(evaluation.about), kinds=kinds, glossary=GLOSSARY)
    with written_whole(path) as partial:
        partial.write_text(page + "\n", "utf-8")


def _facts(about: Any) -> list[str]:
    routers = ", ".join(f"{name} ({version})" for name, version in about.get("routers", {}).items()) or "none"
    return [
        f"Measured: {routers}",
        f"{about.get('items', 0):,} items, {about.get('models', 0)} models; split by question text into "
        f"{about.get('train', 0):,} training, {about.get('validation', 0):,} validation and {about.get('test', 0):,} "
        "test items",
        f"{about.get('seeds', 0)} seeds for the baselines that depend on one (± standard deviation)",
        f"modelsat {about.get('modelsat', '')}",
    ]


def _setting(result: SettingResult) -> dict[str, Any]:
    figures = [_svg(plot(result)) for plot in (plots.cost_quality, plots.reliability, plots.heat_map)]
    return {"result": result, "grids": list(grids(result)), "figures": figures}


def _svg(figure: Figure | None) -> str | None:
    return None if figure is None else plots.as_svg(figure)
