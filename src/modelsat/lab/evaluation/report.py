"""The report: one HTML file that needs no network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from modelsat.errors import MissingDependencyError
from modelsat.lab.evaluation import plots
from modelsat.lab.evaluation.plan import Kind
from modelsat.lab.evaluation.results import Evaluation, Role, SettingResult
from modelsat.lab.evaluation.tables import (
    COST,
    GLOSSARY,
    POLICY,
    QUALITY,
    Column,
    best,
    cell,
    difference,
    policy_order,
    present,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]

_STYLE = """
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #111; }
body { margin: 2rem auto; max-width: 1240px; padding: 0 1rem; }
h1 { font-size: 1.8rem; } h2 { margin-top: 2.5rem; border-bottom: 2px solid #111; } h3 { margin-top: 2rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr.anchor, tr.ceiling { color: #666; } tr.ceiling { font-style: italic; } tr.router { background: #e8f1f8; }
td.best, dt { font-weight: bold; } .note { color: #555; font-size: 13px; } dd { margin: 0 0 .3rem 1.5rem; }
@media print { body { margin: 0; max-width: none; } figure { break-inside: avoid; } h2 { break-before: page; } }
figure { margin: 1rem 0; }
"""
_ABOUT = {
    Kind.SEEN: "The pool's models trained the baselines; the questions of the test prompts did not, in any data set.",
    Kind.UNSEEN_MODELS: "These models trained nothing. The routers know them by profile only, the baselines by the "
    "core items. Ceilings were given all their training outcomes; best single was chosen with these, too.",
    Kind.UNSEEN_DATASET: "No outcome of the data set was learnt from, and no question of it that also stands in "
    "training prompts elsewhere is measured. Best single is chosen in hindsight.",
}


def write_report(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Write the report of an evaluation.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependencyError.for_extra("the report", "eval") from error
    parts = [_head(get_plotlyjs()), _about(evaluation)]
    for kind in Kind:
        results = [result for result in evaluation.settings if result.kind is kind]
        if results:
            parts.append(f"<h2>{escape(kind.value.capitalize())}</h2><p>{escape(_ABOUT[kind])}</p>")
            parts.append(_figure(plots.win_loss(evaluation, kind)))
            parts += [_setting(result) for result in results]
    parts.append(_glossary())
    Path(path).write_text("\n".join([*parts, "</body></html>"]) + "\n", "utf-8")


def _head(script: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>modelsat evaluate</title>'
        f"<style>{_STYLE}</style><script>{script}</script></head><body><h1>Evaluation of routers</h1>"
    )


def _about(evaluation: Evaluation) -> str:
    about = evaluation.about
    routers = ", ".join(f"{name} ({version})" for name, version in about.get("routers", {}).items()) or "none"
    facts = [
        f"Measured: {routers}",
        f"{about.get('items', 0):,} items, {about.get('models', 0)} models; split by question text into "
        f"{about.get('train', 0):,} training, {about.get('validation', 0):,} validation and {about.get('test', 0):,} "
        "test items",
        f"{about.get('seeds', 0)} seeds for the baselines that depend on one (± standard deviation)",
        f"modelsat {about.get('modelsat', '')}",
    ]
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f"<ul>{items}</ul>" + _notes(evaluation.notes)


def _setting(result: SettingResult) -> str:
    parts = [
        f"<h3>{escape(result.name)}</h3>",
        f"<p>{result.prompts:,} prompts, {len(result.models)} models: {escape(', '.join(result.models))}</p>",
    ]
    for columns in (QUALITY, COST):
        kept = present(result, columns)
        if kept:
            parts.append(_table(result, kept))
    parts += [_policies(result), _comparisons(result), _notes(result.notes)]
    for plot in (plots.cost_quality, plots.reliability, plots.heat_map):
        parts.append(_figure(plot(result)))
    return "\n".join(parts)


def _table(result: SettingResult, columns: Sequence[Column]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in ("router", *(column.title for column in columns)))
    leaders = [best(result, column) for column in columns]
    body = ""
    for row in result.rows:
        cells = "".join(
            f"<td{' class=best' if row.name == leader else ''}>{escape(cell(row, column))}</td>"
            for column, leader in zip(columns, leaders, strict=True)
        )
        suffix = " (ceiling)" if row.role is Role.CEILING else ""
        body += f'<tr class="{row.role.value}"><td>{escape(row.name)}{suffix}</td>{cells}</tr>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _policies(result: SettingResult) -> str:
    if not result.policies:
        return ""
    head = "".join(f"<th>{escape(title)}</th>" for title in ("policy", "router", *(c.title for c in POLICY)))
    body = ""
    for row in sorted(result.policies, key=lambda row: policy_order(result, row)):
        cells = "".join(f"<td>{escape(cell(row, column))}</td>" for column in POLICY)
        body += f'<tr class="{row.role.value}"><td>{escape(row.policy)}</td><td>{escape(row.router)}</td>{cells}</tr>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _comparisons(result: SettingResult) -> str:
    if not result.comparisons:
        return ""
    titles = ("difference [95 % interval, paired bootstrap over prompts]", "accuracy", "AUC", "Brier")
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = ""
    for comparison in result.comparisons:
        cells = "".join(f"<td>{difference(comparison, metric)}</td>" for metric in ("accuracy", "auc", "brier"))
        body += f"<tr><td>{escape(comparison.router)} − {escape(comparison.other)}</td>{cells}</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return ""
    div = figure.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False})
    return f"<figure>{div}</figure>"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="note">Note: {escape(note)}.</p>' for note in notes)


def _glossary() -> str:
    entries = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in GLOSSARY.items())
    return f"<h2>What the columns mean</h2><dl>{entries}</dl>"
