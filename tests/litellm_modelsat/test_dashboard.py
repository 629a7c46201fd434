"""The Grafana dashboard asks for metrics and labels that there are, and for all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from litellm_modelsat.ranking import Ranking
from litellm_modelsat.records import COUNTERS, HISTOGRAMS, PREFIX, Metrics

BOARD = json.loads((Path(__file__).parents[2] / "deploy" / "grafana.json").read_text("utf-8"))
LABELS = {
    **{f"{PREFIX}_{name}_total": set(labels) for name, (_, labels) in COUNTERS.items()},
    **{
        f"{PREFIX}_{name}_{part}": {*labels, *(["le"] if part == "bucket" else [])}
        for name, (_, labels, _) in HISTOGRAMS.items()
        for part in ("bucket", "sum", "count")
    },
}


def expressions() -> list[str]:
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def test_every_metric_exists_and_has_the_labels_that_are_asked_for() -> None:
    variable = next(entry for entry in BOARD["templating"]["list"] if entry["name"] == "group")
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
    assert label in LABELS[name]
    for expression in expressions():
        names = re.findall(rf"{PREFIX}_\w+", expression)
        assert names, expression
        for name, selector in re.findall(rf"({PREFIX}_\w+)(?:{{(.*?)}})?", expression):
            assert set(re.findall(r"(\w+)(?==)", selector)) <= LABELS[name], expression
        grouped = {label for by in re.findall(r"by \((.*?)\)", expression) for label in by.split(", ")}
        assert all(grouped <= LABELS[name] for name in names), expression


def test_no_metric_is_left_out() -> None:
    shown = {name for expression in expressions() for name in re.findall(rf"{PREFIX}_\w+", expression)}
    for name in COUNTERS:
        assert f"{PREFIX}_{name}_total" in shown
    for name in HISTOGRAMS:
        assert any(found.startswith(f"{PREFIX}_{name}_") for found in shown), name


def test_legends_name_labels_that_are_left() -> None:
    for target in (target for panel in BOARD["panels"] for target in panel["targets"]):
        asked = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        grouped = {label for by in re.findall(r"by \((.*?)\)", target["expr"]) for label in by.split(", ")}
        assert asked == grouped - {"le"}, target


def test_panels_have_room_and_names_of_their_own() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place: dict[str, Any] = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_a_groups_outcomes_start_at_zero() -> None:
    """Prometheus sees no rise in a series that begins at 1, and one ignored ranking is one too many."""
    from prometheus_client import REGISTRY

    Metrics().ranked("outcomes-from-zero", Ranking(("a",)), "best")
    labels = {"group": "outcomes-from-zero", "outcome": "ignored"}
    assert REGISTRY.get_sample_value(f"{PREFIX}_outcomes_total", labels) == 0
