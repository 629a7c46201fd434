"""Frozen layers stay as they are, and what they give is computed once and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from modelsat.errors import ConfigurationError
from modelsat.lab.training import CapabilityInstructionTrainer, train
from modelsat.network.model import ModelSATModel
from tests.lab.training.conftest import QUICK

PLAIN = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
STAGE = {**QUICK, **PLAIN, "num_train_epochs": 2, "per_device_train_batch_size": 16, "learning_rate": 1e-2}
LATE = {"inquiry_prompt": "prime", "inquiry_position": "shared"}
LLAMA = {**LATE, "causal": True, "lora_rank": 4, "entry_layer": 2, "frozen_layers": 2}
BERT = {**LATE, "entry_layer": 1, "frozen_layers": 1}
NETWORKS = {"llama": LLAMA, "bert": BERT}


def weights(folder: Path) -> dict[str, Tensor]:
    """What training left, in float32 before adapters were merged."""
    return load_file(folder.parent / "stage-1" / "final.safetensors")


def furthest(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    assert first.keys() == second.keys()
    return max((first[name] - second[name]).abs().max().item() for name in first)


@pytest.mark.parametrize("base", ["llama", "bert"])
def test_kept_states_train_the_same_weights(
    world: Any, bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    recipe = {"base": base, "network": NETWORKS[base], "stages": [STAGE]}
    kept = {**recipe, "frozen_states": str(tmp_path / "states")}
    anew = weights(train(world(**recipe), tmp_path / "anew", export=False))
    first = weights(train(world(**kept), tmp_path / "first", export=False))
    assert furthest(anew, first) < 5e-3, "float16 rounds the states"
    start = load_file(bases[base] / "model.safetensors")
    moved = {name for name, value in first.items() if name.startswith("phi.")}
    names = [name for name in start if "embed" in name or ".0." in name]
    assert names
    for name in names:
        assert torch.equal(first[f"phi.{name}"], start[name]), name
    if base == "llama":
        adapters = {name for name in moved if "lora_" in name}
        assert adapters
        assert all(name.startswith("phi.layers.2.") for name in adapters)
    else:
        assert not torch.equal(
            first["phi.encoder.layer.1.output.dense.weight"], start["encoder.layer.1.output.dense.weight"]
        )

    def never(*_: Any) -> None:
        raise AssertionError("read, not computed")

    monkeypatch.setattr(ModelSATModel, "read_frozen", never)
    again = weights(train(world(**kept), tmp_path / "again", export=False))
    assert furthest(first, again) == 0.0


def test_validation_and_calibration_read_kept_states_too(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = {**QUICK, "num_train_epochs": 2, "per_device_train_batch_size": 16, "eval_strategy": "epoch"}
    stage |= {"save_strategy": "no", "load_best_model_at_end": False}
    recipe = {"base": "llama", "network": LLAMA, "stages": [stage]}
    anew = train(world(**recipe), tmp_path / "anew", export=False)
    read, computed = ModelSATModel.read_frozen, []

    def count(self: ModelSATModel, ids: Tensor, mask: Tensor) -> Tensor:
        computed.extend(tuple(row[: int(kept.sum())].tolist()) for row, kept in zip(ids, mask, strict=True))
        return read(self, ids, mask)

    monkeypatch.setattr(ModelSATModel, "read_frozen", count)
    kept = train(world(**recipe, frozen_states=str(tmp_path / "states")), tmp_path / "kept", export=False)
    assert len(computed) == len(set(computed)), "each prompt once, in two epochs, two validations and calibration"
    reports = [json.loads((folder / "recipe.json").read_text("utf-8"))["validation"] for folder in (anew, kept)]
    assert len(reports[0]) == len(reports[1]) == 2
    for one, other in zip(*reports, strict=True):
        assert one["eval_loss"] == pytest.approx(other["eval_loss"], abs=5e-3)
    scales = [json.loads((folder / "config.json").read_text("utf-8"))["scale"] for folder in (anew, kept)]
    assert scales[0] == pytest.approx(scales[1], rel=0.05)


def test_an_interrupted_run_with_kept_states_resumes_to_the_same(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = {**STAGE, "save_strategy": "steps", "save_steps": 3}

    def recipe(folder: str) -> Any:
        return world(base="llama", network=LLAMA, stages=[stage], frozen_states=str(tmp_path / folder))

    whole = weights(train(recipe("states-1"), tmp_path / "whole", export=False))
    compute = CapabilityInstructionTrainer.compute_loss

    def stop(self: CapabilityInstructionTrainer, *arguments: Any, **options: Any) -> Any:
        if self.state.global_step == 8:
            raise KeyboardInterrupt
        return compute(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(CapabilityInstructionTrainer, "compute_loss", stop)
        with pytest.raises(KeyboardInterrupt):
            train(recipe("states-2"), tmp_path / "stopped", export=False)
    resumed = weights(train(recipe("states-2"), tmp_path / "stopped", resume=True, export=False))
    assert furthest(whole, resumed) == 0.0
    with pytest.raises(ConfigurationError, match=r"other settings \(frozen_states\)"):
        train(world(base="llama", network=LLAMA, stages=[stage]), tmp_path / "stopped", resume=True)


def test_damaged_states_are_computed_again(world: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = world(base="llama", network=LLAMA, stages=[STAGE], frozen_states=str(tmp_path / "states"))
    first = weights(train(recipe, tmp_path / "first", export=False))
    states = next((tmp_path / "states").glob("*/states.f16"))
    states.write_bytes(bytes(states.stat().st_size))
    again = weights(train(recipe, tmp_path / "again", export=False))
    assert furthest(first, again) == 0.0
    assert "are damaged: computed again" in caplog.text
    assert "behind 2 frozen layers are kept in" in caplog.text


def test_other_weights_below_or_other_prompts_have_states_of_their_own(world: Any, tmp_path: Path) -> None:
    stage = {**STAGE, "max_steps": 1}
    for number, (count, frozen) in enumerate([(160, 2), (160, 1), (120, 2)], 1):
        network = {**LLAMA, "frozen_layers": frozen}
        recipe = world(count, base="llama", network=network, stages=[stage], frozen_states=str(tmp_path / "states"))
        train(recipe, tmp_path / f"run-{number}", export=False)
        assert len(list((tmp_path / "states").iterdir())) == number


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"network": {**LLAMA, "frozen_layers": 3}}, r"0 to entry_layer \(2\), not 3"),
        ({"network": {**LLAMA, "frozen_layers": 0}}, "set network.frozen_layers"),
        ({"stages": [{**STAGE, "token_noise": 0.1}]}, "set token_noise to 0"),
        ({"frozen_states": "FILE/states"}, "name a folder with room"),
    ],
)
def test_what_cannot_be_kept(world: Any, tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    given = {"base": "llama", "network": LLAMA, "stages": [STAGE], "frozen_states": str(tmp_path / "states"), **keys}
    given["frozen_states"] = given["frozen_states"].replace("FILE", str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match=message):
        train(world(**given), tmp_path / "run", export=False)
