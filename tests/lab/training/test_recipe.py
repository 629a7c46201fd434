"""What a recipe may leave out: groups, and profiles of models that the registry knows."""

from __future__ import annotations

from pathlib import Path

from modelsat.lab.training import read_recipe
from tests.lab.training.conftest import write_recipe, write_world

OWN = {"openai/gpt-4o": (0.9, 0.2), "GPT-4o-mini-2024-07-18": (0.2, 0.9), "nobody-knows": (0.5, 0.5)}


def test_models_of_the_registry_need_no_profiles_and_data_sets_no_groups(tmp_path: Path) -> None:
    write_world(tmp_path, skills=OWN)
    path = write_recipe(tmp_path, Path("modelsat-nano"), profiles=None, groups=None, unseen_models=None)
    corpus = read_recipe(path).corpus()
    assert {name: profile.model for name, profile in corpus.profiles.items()} == {
        "openai/gpt-4o": "gpt-4o-2024-08-06",
        "GPT-4o-mini-2024-07-18": "gpt-4o-mini-2024-07-18",
    }
    assert corpus.nameless == ["nobody-knows"]
    assert [(group.name, group.datasets) for group in corpus.groups] == [("all", ("cells", "sums"))]
