from __future__ import annotations

import importlib
import json
import os
import sys
from importlib import resources
from pathlib import Path

import pytest

from modelsat.capability.core import core_dataset, core_tasks
from modelsat.capability.tasks import catalogue

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("MODELSAT_DATA", ROOT.parent / "shared" / "data"))

needs_data = pytest.mark.skipif(
    not (DATA / "items.parquet").is_file(),
    reason=f"the outcome data are not in {DATA}; set MODELSAT_DATA to their folder",
)


def test_fifty_tasks_of_twenty_items_each_once() -> None:
    tasks = core_tasks()
    assert core_tasks() is tasks
    assert len(tasks) == len({task.name for task in tasks}) == 50
    assert all(len(task.items) == 20 for task in tasks)
    assert len({item.id for task in core_tasks() for item in task.items}) == 1000
    assert core_dataset() == "TIGER-Lab/MMLU-Pro"


def test_the_manifest_speaks_the_words_of_the_catalogue() -> None:
    for task in core_tasks():
        assert task.keywords == catalogue()[task.name].keywords
        assert len(task.keywords) == 5


def test_the_manifest_holds_ids_and_numbers_only() -> None:
    text = resources.files("modelsat.capability").joinpath("data/core_tasks.json").read_text("utf-8")
    assert len(text) < 100_000
    for task in json.loads(text)["tasks"]:
        assert set(task) == {"name", "field", "keywords", "items"}
        for item in task["items"]:
            assert {name: type(value) for name, value in item.items()} == {
                "id": int,
                "difficulty": float,
                "discrimination": float,
                "chance": float,
            }


@needs_data
def test_the_recipe_chooses_the_shipped_manifest_on_the_training_split(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    if not (ROOT / "recipes" / "select_core_tasks.py").is_file():
        pytest.skip("the recipes are not part of this installation")
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    recipe = importlib.import_module("select_core_tasks")
    unseen = set(sys.modules["outcomes"].UNSEEN_MODELS)
    bank = recipe.read_bank(DATA)
    assert not unseen & set(bank.table.models)
    chosen = recipe.select(bank)
    text = resources.files("modelsat.capability").joinpath("data/core_tasks.json").read_text("utf-8")
    ids = {task["name"]: {item["id"] for item in task["items"]} for task in json.loads(text)["tasks"]}
    found = {name: {int(bank.table.item_ids[row].rpartition("/")[2]) for row in rows} for name, rows in chosen.items()}
    assert set(found) == set(ids)
    assert sum(len(found[name] & ids[name]) for name in ids) >= 950  # the order of sums can decide between near-equals
