"""What cannot be trained on is refused before any training starts, with a message that names it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import yaml

from modelsat.errors import ConfigurationError, ModelSATError, OutcomesError
from modelsat.lab.outcomes import Split
from modelsat.lab.training import CapabilityInstructionTrainer, CapabilityTrainingArguments, read_recipe, train
from modelsat.lab.training.base import BaseSettings, build
from modelsat.lab.training.corpus import read_teacher
from tests.lab.training.conftest import QUICK, SKILLS, write_recipe, write_world


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Train and return the message; nothing may have been trained."""
    monkeypatch.setattr(CapabilityInstructionTrainer, "train", lambda *_args, **_options: pytest.fail("it trained"))

    def call(recipe, **options):
        with pytest.raises(ModelSATError) as caught:
            train(recipe, tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()
        return str(caught.value)

    return call


def without(path, condition):
    """Drop the lines of a CSV file for which ``condition`` holds of the cells."""
    head, *lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([head, *(line for line in lines if not condition(line.split(",")))]) + "\n", "utf-8")


def test_a_model_without_profile(world, refused, tmp_path):
    recipe = world()
    profiles = tmp_path / "profiles.json"
    profiles.write_text('{"all": {"MMLU": 0.5}, "none": {"MMLU": 0.5}}', "utf-8")
    assert "group both: no profile of cells-a, cells-b, sums-a, sums-b, sums-new" in refused(recipe)


def test_one_model_only(world, refused, tmp_path):
    recipe = world()
    without(tmp_path / "outcomes.csv", lambda cells: cells[1] not in ("all", "sums-new"))
    assert "group both has outcomes of 1 model that may train" in refused(recipe)
    without(tmp_path / "outcomes.csv", lambda cells: cells[1] != "all")
    assert "one model only" in refused(dataclasses.replace(recipe, unseen_models=()))


def test_a_data_set_with_a_single_outcome(world, refused):
    recipe = world(skills={model: (skill[0], 1.0) for model, skill in SKILLS.items()})
    assert "group both: every training outcome of cells is 1; there is nothing to tell apart" in refused(recipe)


def test_a_data_set_without_outcomes(world, refused, tmp_path):
    recipe = world()
    cells = {
        line.split(",")[0] for line in (tmp_path / "items.csv").read_text("utf-8").splitlines() if ",cells," in line
    }
    without(tmp_path / "outcomes.csv", lambda row: row[0] in cells)
    assert "no outcomes of cells are left" in refused(recipe)


def test_an_empty_split(world, refused, tmp_path):
    recipe = world()
    without(tmp_path / "items.csv", lambda cells: int(cells[0][1:]) >= 3)
    without(tmp_path / "outcomes.csv", lambda cells: int(cells[0][1:]) >= 3)
    assert "part of the split is empty" in refused(recipe)


def test_a_group_without_validation_prompts(world, refused):
    corpus = world().corpus()
    left = np.setdiff1d(corpus.split.validation, corpus.table.of_datasets("cells"))
    split = dataclasses.replace(corpus.split, validation=left)
    groups = (dataclasses.replace(corpus.groups[0], datasets=("cells",)),)
    with pytest.raises(OutcomesError, match="no validation prompts"):
        dataclasses.replace(corpus, split=split, groups=groups).check()


def test_training_rows_that_contain_test_questions(world, bases, tmp_path):
    recipe = world()
    corpus = recipe.corpus()
    corpus.table.prompts[corpus.split.test[0]] = corpus.table.prompts[corpus.split.train[0]].upper() + "?"
    with pytest.raises(OutcomesError, match=r"of the test part asks a question that also stands in the train part"):
        corpus.check()
    split = Split(corpus.split.train, corpus.split.validation, corpus.split.train[:5])
    model, _ = build(recipe.network)
    arguments = CapabilityTrainingArguments(output_dir=str(tmp_path / "run"))
    with pytest.raises(OutcomesError, match="never by row"):
        CapabilityInstructionTrainer(model, None, dataclasses.replace(corpus, split=split), arguments)


def test_an_unseen_model_that_does_not_exist(world, refused):
    assert "unseen_models names gpt-0, of which there are no outcomes" in refused(world(unseen_models=["gpt-0"]))


def test_a_group_of_an_unknown_data_set(world, refused):
    assert "no items of poems; the data sets are cells, sums" in refused(world(groups={"g": {"datasets": ["poems"]}}))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["q0,all,0.5", "q1,all,1.2"], "column p: 1 of 2 rows lie outside 0..1, the first is row 2 ('q1')"),
        (["q0,all,-0.1"], "lie outside 0..1"),
        (["q0,all,"], "lie outside 0..1"),
        (["q0,all,high"], "column p"),
        (["q0,all,0.5", "q0,all,0.6"], "stand twice"),
        (["z0,all,0.5"], "names no item and model"),
    ],
)
def test_a_teacher_that_is_none(world, refused, tmp_path, rows, message):
    (tmp_path / "teacher.csv").write_text("\n".join(["item_id,model,p", *rows]) + "\n", "utf-8")
    assert message in refused(world(teacher=str(tmp_path / "teacher.csv")))


def test_a_teacher_without_a_column(world, tmp_path):
    (tmp_path / "teacher.csv").write_text("item_id,model\nq0,all\n", "utf-8")
    with pytest.raises(OutcomesError, match="lacks the column p"):
        read_teacher(world().corpus().table, tmp_path / "teacher.csv")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"itmes": "x"}, "unknown key itmes"),
        ({"items": None}, "items is missing"),
        ({"stages": None}, "stages is missing"),
        ({"stages": []}, "stages must be a list"),
        ({"groups": {}}, "groups must map names to settings"),
        ({"groups": {"g": {"datasets": ["sums"], "candidate": 3}}}, "unknown key groups.g.candidate"),
        ({"groups": {"g": {"candidates": 3}}}, "groups.g.datasets is missing"),
        ({"groups": {"g": {"datasets": ["sums"], "candidates": "many"}}}, "groups.g.candidates must be a whole number"),
        ({"groups": {"g": {"datasets": ["sums"], "share": 0}}}, "a share above 0"),
        ({"network": {"depth": 3}}, "unknown key network.depth"),
        ({"network": {"layers": "two"}}, "network.layers must be a whole number"),
        ({"network": {"base": "$NO_SUCH_FOLDER/base"}}, "the environment variable NO_SUCH_FOLDER is not set"),
        ({"unseen_models": [3]}, "unseen_models must be a list of names"),
        ({"circle_test": "yes"}, "circle_test must be true or false"),
        ({"card": {"licence": "x"}}, "unknown key card.licence"),
        ({"stages": [{"groups": ["nobody"]}]}, "stage 1 trains on the group nobody; the groups are both"),
    ],
)
def test_recipes_that_cannot_be_read(tmp_path, bases, keys, message):
    write_world(tmp_path, 20)
    with pytest.raises(ConfigurationError) as caught:
        read_recipe(write_recipe(tmp_path, bases["bert"], **keys))
    assert message in str(caught.value)


@pytest.mark.parametrize("text", [None, "[1, 2]", "a: b: c"])
def test_files_that_are_no_recipe(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=r"recipe\.yaml"):
        read_recipe(path)


def test_a_recipe_extends_another(tmp_path, bases):
    write_world(tmp_path, 20)
    below = write_recipe(tmp_path, bases["bert"], card={"name": "below", "license": "mit"})
    (tmp_path / "above").mkdir()
    above = tmp_path / "above" / "recipe.yaml"
    keys = {"network": {"layers": 1}, "card": {"name": "above"}, "stages": [{"seed": 1}]}
    above.write_text(yaml.safe_dump({"extends": "../recipe.yaml", **keys}), "utf-8")
    recipe, base = read_recipe(above), read_recipe(below)
    assert (recipe.network.layers, recipe.network.base) == (1, base.network.base)
    assert (recipe.card.name, recipe.card.license, recipe.stages) == ("above", "mit", ({"seed": 1},))
    assert (recipe.groups, recipe.items, recipe.unseen_models) == (base.groups, base.items, base.unseen_models)


@pytest.mark.parametrize(
    ("extended", "message"),
    [
        ("recipe.yaml", "recipe.yaml extends .*recipe.yaml, which extends it already: take one extends out"),
        ("other.yaml", "cannot read the recipe .*other.yaml, which .*recipe.yaml extends"),
        ("[1]", "extends must name a file"),
    ],
)
def test_a_recipe_that_extends_nothing(tmp_path, extended, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"extends: {extended}", "utf-8")
    with pytest.raises(ConfigurationError, match=message):
        read_recipe(path)


def test_a_name_stands_for_a_list_of_one(tmp_path, bases):
    write_world(tmp_path, 20)
    path = write_recipe(tmp_path, bases["bert"], unseen_models="all", groups={"g": {"datasets": "sums"}})
    recipe = read_recipe(path)
    assert (recipe.unseen_models, recipe.groups[0].datasets) == (("all",), ("sums",))
    assert yaml.safe_load(path.read_text("utf-8"))["unseen_models"] == "all"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"learning_rat": 1.0}, "unknown setting learning_rat; did you mean learning_rate?"),
        ({"qqqq": 1}, "unknown setting qqqq"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, not 'fast'"),
        ({"seed": 3}, "seed is set by the command"),
        ({"per_device_train_batch_size": 2.5}, "per_device_train_batch_size must be a whole number"),
        ({"psi_gradient": 1}, "psi_gradient must be true or false"),
        ({"trains": "phi"}, "trains must be 'all' or 'connector'"),
        ({"teacher_weight": 1.5}, "teacher_weight must lie in 0..1"),
        ({"likelihood_weight": 0, "per_model_weight": 0, "per_instruction_weight": 0}, "nothing would be learnt"),
        ({"distinguishing": -1}, "must not be negative"),
        ({"shots": [0]}, "must be at least 1"),
        ({"eval_strategy": "sometimes"}, "sometimes"),
    ],
)
def test_settings_of_a_stage(world, refused, stage, message):
    found = refused(world(stages=[{**QUICK, "name": "first", **stage}]))
    assert message in found
    assert "stage 1 of the recipe (first)" in found
    if message.startswith("unknown"):
        assert message in refused(world(), overrides=stage)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base": "/no/such/folder"}, "cannot load the base '/no/such/folder'"),
        ({"layers": 9}, "phi has 2 layers, so layers=9 cannot be"),
        ({"inquiry_prompt": ""}, "has no tokens"),
        ({"max_instruction_tokens": 64}, "need 66 positions, but phi reads 64"),
        ({"max_instruction_tokens": 2}, "at least 8"),
    ],
)
def test_bases(bases, settings, message):
    with pytest.raises(ConfigurationError) as caught:
        build(BaseSettings(**{"base": str(bases["bert"]), "max_instruction_tokens": 32, **settings}))
    assert message in str(caught.value)


def test_a_folder_that_holds_something(world, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(ConfigurationError, match="is not empty: give another folder, or go on with --resume"):
        train(world(), tmp_path / "run")
