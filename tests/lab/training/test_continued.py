"""A run that goes on from a trained checkpoint begins with its weights, and is told nothing about its build."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from modelsat.errors import ConfigurationError
from modelsat.lab.training import train
from modelsat.lab.training.base import BaseSettings, build


@pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxscript|copyreg")
def test_a_run_goes_on_from_a_checkpoint(world, tmp_path) -> None:
    recipe = world(200)
    first = train(recipe, tmp_path / "first", export=False)
    network, tokenizer = build(BaseSettings(base=first))
    assert (network.config.scale, network.config.shift) == (1.0, 0.0)
    assert tokenizer.token_to_id("[MASK]") is not None
    further = dataclasses.replace(recipe, network=BaseSettings(base=first))
    second = train(further, tmp_path / "second", overrides={"max_steps": 1, "learning_rate": 1e-9}, export=False)
    again, _ = build(BaseSettings(base=second))
    before, after = network.state_dict()["phi.encoder.layer.0.output.dense.weight"], again.state_dict()
    torch.testing.assert_close(before, after["phi.encoder.layer.0.output.dense.weight"], atol=1e-3, rtol=0)


def test_a_trained_network_is_not_told_what_it_is(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="may hold base and nothing else"):
        build(BaseSettings(base="modelsat-nano", layers=2))
