"""Results of ``benchmarks/quality.py`` for a checkpoint: a compact ``results.json``, and tables on its model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MARK = "\n## Test results\n"
KEPT = ("accuracy", "gain_over_best_single", "auc", "brier", "ece", "apgr", "cpt_50", "cpt_80", "cpt_95")
COLUMNS = (
    ("accuracy", "accuracy"),
    ("gain_over_best_single", "over best single"),
    ("auc", "AUC"),
    ("brier", "Brier"),
    ("ece", "ECE"),
    ("apgr", "APGR"),
    ("cpt_80", "CPT(80)"),
)
INTRODUCTION = """
Questions whose text never trained, measured by `python benchmarks/quality.py` on the exported network ({version}).
Accuracy is that of the routed answers with policy `best`, AUC the mean over models; APGR and CPT(80) are those of
RouteLLM (arXiv 2406.18665) for the strongest model with each clearly weaker one. Baselines read frozen
all-MiniLM-L6-v2 embeddings; ± is the standard deviation over {seeds} seeds of theirs. Rows marked *ceiling* were given
the unseen models' own outcomes. Intervals are 95 % of a paired bootstrap over prompts.
"""


def add_results(folder: Path, metrics: Path) -> None:
    """Write ``results.json`` and the section on test results of ``README.md`` into a checkpoint folder."""
    found = json.loads(metrics.read_text("utf-8"))
    compact = {"about": found["about"], "settings": [_compact(setting) for setting in found["settings"]]}
    (folder / "results.json").write_text(json.dumps(compact, indent=1) + "\n", "utf-8")
    card = (folder / "README.md").read_text("utf-8").split(MARK)[0].rstrip()
    version = ", ".join(str(value) for value in found["about"].get("routers", {}).values())
    parts = [MARK + INTRODUCTION.format(version=version, seeds=found["about"].get("seeds", 5))]
    parts += [_section(setting) for setting in compact["settings"]]
    (folder / "README.md").write_text(card + "\n" + "\n".join(parts), "utf-8")


def _compact(setting: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: setting[key] for key in ("name", "kind", "dataset", "prompts", "models")},
        "rows": [
            {
                "name": row["name"],
                "role": row["role"],
                "metrics": {key: round(row["metrics"][key], 5) for key in KEPT if row["metrics"].get(key) is not None},
                "spread": {key: round(row["spread"][key], 5) for key in KEPT if row["spread"].get(key)},
            }
            for row in setting["rows"]
        ],
        "comparisons": setting["comparisons"],
    }


def _section(setting: dict[str, Any]) -> str:
    columns = [(key, title) for key, title in COLUMNS if any(key in row["metrics"] for row in setting["rows"])]
    lines = [
        f"\n### {setting['name']}: {setting['prompts']} prompts, {len(setting['models'])} models\n",
        "| router | " + " | ".join(title for _, title in columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    for row in setting["rows"]:
        name = f"{row['name']} (*ceiling*)" if row["role"] == "ceiling" else row["name"]
        name = f"**{name}**" if row["role"] == "router" else name
        lines.append(f"| {name} | " + " | ".join(_cell(row, key) for key, _ in columns) + " |")
    notes = [
        f"{c['router']} minus {c['other']}: "
        + "; ".join(
            f"{key} {d['mean']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}]" for key, d in c["differences"].items()
        )
        for c in setting["comparisons"]
        if c["other"] in ("best single", "kNN") or c["other"].startswith("kNN")
    ]
    return "\n".join([*lines, "", *(f"* {note}" for note in notes)])


def _interval(difference: dict[str, float]) -> str:
    return "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**difference)


def _cell(row: dict[str, Any], key: str) -> str:
    value = row["metrics"].get(key)
    if value is None:
        return ""
    text = f"{100 * value:.0f} %" if key.startswith("cpt") else f"{value:+.3f}" if "gain" in key else f"{value:.3f}"
    spread = row["spread"].get(key, 0.0)
    return f"{text} ± {spread:.3f}" if spread >= 0.0005 else text
