"""Whole runs: they learn, for a model never trained on too, and leave a checkpoint that routes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.torch import load_file

from modelsat import CapabilityProfile, Router
from modelsat.inference import load_scorer
from modelsat.lab.training import train
from modelsat.lab.training.calibration import fit_calibration
from modelsat.lab.training.card import chosen
from tests.lab.training.conftest import KINDS, QUICK, SKILLS, UNSEEN, figures, prompts

LEARNS = {**QUICK, "num_train_epochs": 4, "capability_learning_rate": 1e-2}
STAGES = [
    {**QUICK, "name": "connector", "trains": "connector", "num_train_epochs": 0.5, "eval_strategy": "no"}
    | {"save_strategy": "no", "load_best_model_at_end": False},
    {**LEARNS, "name": "all"},
]


def profile(model: str) -> CapabilityProfile:
    return CapabilityProfile.from_benchmarks(model, figures(model))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxscript|copyreg")
def test_training_learns_who_is_good_at_what(world, tmp_path):
    folder = train(
        world(600, stages=STAGES, card={"name": "tiny", "license": "apache-2.0", "data": {"sums": "CC0"}}),
        tmp_path / "run",
    )
    new = [(kind, text) for kind, text in prompts(1000, seed=7)[-200:]]
    scorer = load_scorer(folder, "torch")
    names = list(SKILLS)
    scores = scorer.score([text for _, text in new], [profile(name) for name in names]).p
    kinds = np.array([kind for kind, _ in new])
    mean = {kind: dict(zip(names, scores[kinds == kind].mean(axis=0), strict=True)) for kind in KINDS}
    for kind, other in (("sums", "cells"), ("cells", "sums")):
        assert mean[kind][f"{kind}-a"] > mean[kind][f"{other}-a"] + 0.3
        assert mean[kind]["all"] > mean[kind]["none"] + 0.5
    assert mean["sums"][UNSEEN] > mean["sums"]["cells-a"] + 0.3, "a model that never trained, by its profile alone"
    assert mean["cells"][UNSEEN] < mean["cells"]["cells-a"] - 0.3
    specialists = [names.index(name) for name in ("sums-b", "cells-a", UNSEEN)]
    right = np.array([[SKILLS[names[at]][kind == "cells"] for at in specialists] for kind in kinds])
    routed = right[np.arange(len(right)), scores[:, specialists].argmax(axis=1)].mean()
    assert routed > right.mean() + 0.25, "better than routing at random"
    checkpoint_is_whole(folder)
    router = Router([profile("sums-a"), profile("cells-a")], weights=folder, cache_dir=tmp_path / "cache")
    chosen_models = [router.route(text).model for _, text in new[:20]]
    assert chosen_models == [f"{kind}-a" for kind, _ in new[:20]], "the ONNX export routes"


def checkpoint_is_whole(folder) -> None:
    files = {entry.name for entry in folder.iterdir()}
    assert files == {
        *("model.safetensors", "config.json", "tokenizer.json", "recipe.json", "README.md", "MANIFEST.json"),
        *("model.onnx", "psi.onnx"),
    }
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644, "a service has a user of its own"
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert (config["scale"], config["shift"]) != (1.0, 0.0)
    about = json.loads((folder / "recipe.json").read_text("utf-8"))
    assert [entry["stage"] for entry in about["validation"]] == ["all"] * 4, "one evaluation an epoch"
    best = min(about["validation"], key=lambda entry: entry["eval_loss"])
    assert chosen(about["validation"]) == [best]
    card = (folder / "README.md").read_text("utf-8")
    for part in (
        "license: apache-2.0",
        "# tiny",
        "| sums |",
        "CC0",
        "not stated in the recipe",
        UNSEEN,
        "**connector**",
    ):
        assert part in card
    assert f"{best['eval_both_unseen_brier']:.3f}" in card
    assert str(folder.parent.parent) not in card, "no path of the machine that trained"
    assert str(folder.parent.parent) not in (folder / "recipe.json").read_text("utf-8")


def test_a_causal_phi_with_adapters_trains_merges_and_saves(world, tmp_path):
    network = {"causal": True, "lora_rank": 4, "layers": 2}
    recipe = world(
        base="llama",
        network=network,
        stages=[
            {**QUICK, "max_steps": 3, "save_strategy": "steps"}
            | {"eval_strategy": "steps", "eval_steps": 2, "save_steps": 2}
        ],
    )
    folder = train(recipe, tmp_path / "run", export=False)
    names = load_file(folder / "model.safetensors")
    assert not [name for name in names if "lora" in name or "base_layer" in name]
    scorer = load_scorer(folder, "torch")
    assert scorer.score(["add times root"], [profile("all")]).p.shape == (1, 1)
    assert "low-rank adapters of rank 4 (merged)" in (folder / "README.md").read_text("utf-8")


def test_a_teacher_and_the_circle_test_by_recipe(world, tmp_path):
    recipe = world(
        stages=[
            {**QUICK, "max_steps": 2, "teacher_weight": 0.5, "eval_strategy": "no", "save_strategy": "no"}
            | {"load_best_model_at_end": False}
        ]
    )
    items = tmp_path / "items.csv"
    lines = items.read_text("utf-8").splitlines()
    rotated = [lines[0] + ",rotation_of", *(f"{line}," for line in lines[1:]), "r0,sums,add add minus filler1 prime,q0"]
    items.write_text("\n".join(rotated) + "\n", "utf-8")
    with (tmp_path / "outcomes.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"r0,{model},0\n" for model in SKILLS)
    (tmp_path / "teacher.csv").write_text("item_id,model,p\nq0,all,0.9\nq1,none,0.1\n", "utf-8")
    import dataclasses

    recipe = dataclasses.replace(recipe, circle_test=True, teacher=tmp_path / "teacher.csv")
    corpus = recipe.corpus()
    assert "r0" not in corpus.table.item_ids
    assert (corpus.table.scores[corpus.table.item_ids.tolist().index("q0")] == 0.0).all()
    assert np.nansum(corpus.teacher) == pytest.approx(1.0)
    card = (train(recipe, tmp_path / "run", export=False) / "README.md").read_text("utf-8")
    assert "circle test" in card
    assert "teacher's probabilities helped" in card
    assert "No stage was validated" in card


def test_calibration_undoes_what_was_done_to_the_logit(caplog):
    rng = np.random.default_rng(0)
    true = rng.normal(0.0, 1.5, 20_000).astype(np.float32)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-true))).astype(np.float32)
    labels[::7] = np.nan
    scale, shift = fit_calibration((true - 0.5) / 0.4, labels)
    assert (scale, shift) == (pytest.approx(0.4, abs=0.02), pytest.approx(0.5, abs=0.06))
    assert fit_calibration(-true, labels) == (1.0, 0.0), "never turn the order of candidates round"
    assert "no calibration" in caplog.text
