"""What a recipe may leave out: groups, and profiles of models that the registry knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelsat.errors import ConfigurationError
from modelsat.lab.training import read_recipe
from modelsat.lab.training.base import BaseSettings
from modelsat.lab.training.fields import fill
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


def test_feed_forward_is_a_list_of_whole_numbers(tmp_path) -> None:
    for value in ("wide", [0.5], 384):
        with pytest.raises(ConfigurationError, match="list of whole numbers"):
            fill(tmp_path / "recipe.yaml", "network", {"base": "b", "feed_forward": value}, BaseSettings)
    found = fill(tmp_path / "recipe.yaml", "network", {"base": "b", "feed_forward": [1024, 384]}, BaseSettings)
    assert found.feed_forward == (1024, 384)
