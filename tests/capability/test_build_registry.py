"""The recipe that builds the shipped registry gives the shipped registry."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("MODELSAT_DATA", ROOT.parent / "shared" / "data"))

needs_data = pytest.mark.skipif(
    not (DATA / "published_benchmarks.csv").is_file(),
    reason=f"the outcome data are not in {DATA}; set MODELSAT_DATA to their folder",
)


@pytest.fixture
def recipe() -> Iterator[ModuleType]:
    if not (ROOT / "recipes" / "build_registry.py").is_file():
        pytest.skip("the recipes are not part of this installation")
    sys.path.insert(0, str(ROOT / "recipes"))
    try:
        yield importlib.import_module("build_registry")
    finally:
        sys.path.remove(str(ROOT / "recipes"))


@needs_data
def test_the_shipped_registry_is_what_the_recipe_builds(recipe: ModuleType) -> None:
    shipped = resources.files("modelsat.capability").joinpath("data/registry.jsonl").read_text("utf-8")
    assert recipe.build(DATA) == shipped


def test_the_figure_with_most_items_counts_and_repeated_runs_are_averaged(recipe: ModuleType) -> None:
    def figure(accuracy: float, items: int) -> object:
        return recipe.Figure("m", "GSM8K", accuracy, items, "log")

    assert recipe.settle([figure(0.5, 10), figure(0.9, 100)]).accuracy == 0.9
    runs = recipe.settle([figure(0.8, 100), figure(0.9, 100), figure(0.1, 10)])
    assert (runs.accuracy, runs.items, runs.source) == (pytest.approx(0.85), 100, "log (mean of 2 runs)")


def test_a_task_without_keywords_stops_the_recipe(recipe: ModuleType) -> None:
    with pytest.raises(SystemExit, match="five keywords"):
        recipe.known("quilting")
