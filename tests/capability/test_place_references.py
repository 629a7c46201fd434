from __future__ import annotations

import csv
import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from modelsat.capability import CapabilityProfile, catalogue
from modelsat.capability.equating import GRID, curve, equate, expected_accuracy, reference_tasks
from modelsat.capability.tasks import Task

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("MODELSAT_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    for package in ("torch", "pandas", "scipy"):
        pytest.importorskip(package)
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    yield importlib.import_module("place_references")
    for name in ("place_references", "fit_references", "outcomes"):
        sys.modules.pop(name, None)


def level(**figures: float) -> float:
    return equate(CapabilityProfile.from_benchmarks("made up", figures)).level


def test_the_statistics_that_made_the_figures_are_found(recipe: ModuleType) -> None:
    rng = np.random.default_rng(0)
    abilities = rng.normal(size=40)
    density = np.exp(-0.5 * ((GRID - (abilities + rng.normal(0.0, 0.1, 40))[:, None]) / 0.1) ** 2)
    made = Task("made up", ("quilting",), chance=0.2, difficulty=1.0, discrimination=1.5, scatter=0.002)
    accuracy = np.interp(abilities, GRID, curve(made))
    models = [f"model {number}" for number in range(40)]
    placed = recipe.Placed(models, accuracy, density / density.sum(axis=1, keepdims=True))
    found = recipe.fit(Task("made up", ("quilting",), chance=0.2), placed)
    assert (found.difficulty, found.discrimination) == pytest.approx((1.0, 1.5), abs=0.2)
    assert found.scatter < 0.01


def test_every_figure_is_of_a_known_benchmark_and_stands_once(recipe: ModuleType) -> None:
    with recipe.FIGURES.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["benchmark"] for row in rows} <= set(catalogue())
    assert all(0.0 < float(row["accuracy_percent"]) <= 100.0 and row["source"] for row in rows)
    assert len({(row["model"], row["benchmark"], row["source"]) for row in rows}) == len(rows)
    assert all(name in catalogue() for names in recipe.READS.values() for name in names)


def test_models_kept_unseen_place_nothing(recipe: ModuleType) -> None:
    if not (DATA / "published_benchmarks.csv").is_file():
        pytest.skip(f"the outcome data are not in {DATA}; set MODELSAT_DATA to their folder")
    found = recipe.figures(DATA)
    assert found["Llama-3.1-405B-Instruct"]["BFCL"] == pytest.approx(0.885)
    assert not set(found) & set(recipe.oc.UNSEEN_MODELS)
    assert all(len(each.models) >= recipe.FEWEST for each in recipe.place(found).values())


def test_shipped_weights_look_up_the_tasks_of_the_reference_fit_alone() -> None:
    assert not any(catalogue()[name].placed for name in reference_tasks())
    for weights in (ROOT / "weights").iterdir():
        assert json.loads((weights / "config.json").read_text("utf-8"))["reference_tasks"] == list(reference_tasks())


def test_hard_benchmarks_and_easy_ones_say_who_is_stronger() -> None:
    """Figures as model cards give them: a flagship's on hard benchmarks are lower than an 8B model's on easy ones."""
    flagship = level(HMMT=0.388, SuperGPQA=0.572, MultiChallenge=0.541, LiveBench=0.764)
    small = level(IFEval=0.804, BFCL=0.761, MGSM=0.689, MATH=0.519)
    base = level(HellaSwag=0.81, WinoGrande=0.75, PIQA=0.82)
    assert flagship > small + 1.0
    assert small > base


def test_what_was_placed_agrees_with_what_was_fitted() -> None:
    """GPT-4.1 by figures on placed benchmarks alone, against those that its card gives on fitted ones."""
    placed = equate(CapabilityProfile.from_benchmarks("gpt-4.1", {"IFEval": 0.88, "MATH": 0.821, "SuperGPQA": 0.508}))
    for task, accuracy in (("MMLU", 0.902), ("MMLU-Pro", 0.818), ("GPQA", 0.663)):
        expected, low, high = expected_accuracy(placed, task)
        assert low < accuracy < high
        assert expected == pytest.approx(accuracy, abs=0.15)
