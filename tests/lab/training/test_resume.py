"""A run that is killed and resumed ends with the weights of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from modelsat.errors import ConfigurationError
from modelsat.lab.training import train
from modelsat.lab.training.run import last_checkpoint
from tests.lab.training.conftest import QUICK

STEPS = {
    **QUICK,
    "num_train_epochs": 3,
    "per_device_train_batch_size": 16,
    "gradient_accumulation_steps": 2,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 2,
    "refresh_steps": 4,
    "eval_strategy": "steps",
    "save_strategy": "steps",
    "eval_steps": 3,
    "save_steps": 3,
    "logging_steps": 3,
}
STAGES = [{**STEPS, "name": "connector", "trains": "connector", "num_train_epochs": 1}, {**STEPS, "name": "all"}]
KILLED = """
import os, signal, sys
from pathlib import Path
from modelsat.lab.training import CapabilityInstructionTrainer as Trainer, read_recipe, train
compute = Trainer.compute_loss
def die(self, *arguments, **options):
    if self.args.output_dir.endswith("stage-2") and self.state.global_step == 8:  # within the second epoch
        os.kill(os.getpid(), signal.SIGKILL)
    return compute(self, *arguments, **options)
Trainer.compute_loss = die
train(read_recipe(sys.argv[1]), Path(sys.argv[2]), export=False)
"""


def test_killed_and_resumed_equals_uninterrupted(world, tmp_path):
    recipe = world(stages=STAGES)
    whole = train(recipe, tmp_path / "whole", export=False)
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(tmp_path / "recipe.yaml"), str(killed)]
    ended = subprocess.run(command, capture_output=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]
    assert (killed / "stage-1" / "finished.json").is_file()
    assert last_checkpoint(killed / "stage-2").name == "checkpoint-6"
    torn = killed / "stage-2" / "checkpoint-7"  # a kill while a checkpoint was being written
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_st', "utf-8")
    resumed = train(recipe, killed, resume=True, export=False)
    for name in ("stage-2/final.safetensors", "checkpoint/model.safetensors"):
        first, second = load_file(whole.parent / name), load_file(resumed.parent / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), name
    for name in ("config.json", "recipe.json", "README.md"):
        left, right = ((folder / name).read_text("utf-8") for folder in (whole, resumed))
        assert left.replace("whole", "run") == right.replace("killed", "run"), name


def test_a_finished_run_resumes_to_itself(world, tmp_path):
    recipe = world(
        stages=[
            {**QUICK, "max_steps": 2, "eval_strategy": "no", "save_strategy": "no"} | {"load_best_model_at_end": False}
        ]
    )
    first = load_file(train(recipe, tmp_path / "run", export=False) / "model.safetensors")
    again = load_file(train(recipe, tmp_path / "run", resume=True, export=False) / "model.safetensors")
    assert all(torch.equal(first[key], again[key]) for key in first)
    with pytest.raises(ConfigurationError, match=r"started with other settings \(seed\)"):
        train(recipe, tmp_path / "run", resume=True, seed=1)
    with pytest.raises(ConfigurationError, match=r"other settings \(overrides\)"):
        train(recipe, tmp_path / "run", resume=True, overrides={"learning_rate": 1.0})


def test_a_seed_gives_one_result_and_another_seed_another(world, tmp_path):
    recipe = world(
        stages=[
            {**QUICK, "max_steps": 2, "eval_strategy": "no", "save_strategy": "no"} | {"load_best_model_at_end": False}
        ]
    )
    runs = [
        load_file(train(recipe, tmp_path / f"run-{n}", seed=s, export=False) / "model.safetensors")
        for n, s in enumerate((0, 0, 1))
    ]
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    assert not torch.equal(runs[0]["connector.weight"], runs[2]["connector.weight"])
