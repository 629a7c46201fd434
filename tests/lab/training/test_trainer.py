"""Stages, learning rates, the gradient's way, accumulation, adapters, and both orders of the sequence."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from modelsat.lab.training import CapabilityInstructionTrainer, CapabilityTrainingArguments, train
from modelsat.lab.training.base import build, merge_adapters
from modelsat.network.instruction import InstructionTokenizer
from modelsat.network.model import ModelSATModel
from tests.lab.training.conftest import QUICK

OF_THE_LOSS = ("labels", "targets", "weights", "rows")
NO_EVALUATION = {"eval_strategy": "no", "save_strategy": "no", "max_steps": 3}


@pytest.fixture
def trainer(world, tmp_path):
    """A trainer on the tiny world, and the weights it starts from."""

    def make(base="bert", network=None, **settings):
        recipe = world(base=base, network={"causal": base == "llama", **(network or {})})
        torch.manual_seed(0)
        model, raw = build(recipe.network)
        tokenizer = InstructionTokenizer(raw, 32, model.config.head_share)
        options = {**QUICK, **NO_EVALUATION, **settings}
        arguments = CapabilityTrainingArguments(output_dir=str(tmp_path / "run"), **options)
        made = CapabilityInstructionTrainer(model, tokenizer, recipe.corpus(), arguments)
        made.start = copy.deepcopy(model.state_dict())
        return made

    return make


def changed(trainer):
    """Names of the weights that training changed."""
    now = trainer.model.state_dict()
    return {name for name, before in trainer.start.items() if not torch.equal(before, now[name])}


def test_the_connector_stage_leaves_phi_bit_identical(trainer):
    made = trainer(trains="connector")
    made.train()
    names = changed(made)
    assert not [name for name in names if name.startswith("phi.")]
    for part in ("connector.weight", "pooling.gain.weight", "pooling.profile.0.weight", "head.0.weight"):
        assert part in names


def test_mixed_precision_holds_in_every_stage_and_in_validation(world, tmp_path, monkeypatch):
    answer, seen = ModelSATModel._answer, []

    def noted(self, *rest):
        seen.append((self.training, torch.is_autocast_enabled("cpu")))
        return answer(self, *rest)

    monkeypatch.setattr(ModelSATModel, "_answer", noted)
    stage = {**QUICK, "bf16": True, "max_steps": 2, "save_strategy": "no", "load_best_model_at_end": False}
    stage |= {"eval_strategy": "steps", "eval_steps": 2}
    train(world(stages=[{**stage, "trains": "connector"}, stage]), tmp_path / "run", export=False)
    assert [mixed for training, mixed in seen if training] == [True] * 4, "two steps of both stages"
    validated = [mixed for training, mixed in seen if not training]
    assert validated.count(True) == 2 * validated.count(False) > 0, "both validations; calibration alone is exact"


def test_then_all_trains_with_a_larger_rate_on_psi_and_the_connector(trainer):
    made = trainer(learning_rate=1e-4, capability_learning_rate=6e-4)
    groups = {group["lr"]: group["params"] for group in made.create_optimizer().param_groups}
    named = {id(parameter): name for name, parameter in made.model.named_parameters()}
    slow, fast = ({named[id(parameter)] for parameter in groups[rate]} for rate in (1e-4, 6e-4))
    assert slow == {n for n, p in made.model.named_parameters() if n.startswith("phi.") and p.requires_grad}
    assert {name.partition(".")[0] for name in fast} == {"pooling", "connector", "head", "lookup"}
    made.train()
    names = changed(made)
    assert "phi.encoder.layer.0.attention.self.query.weight" in names
    assert "connector.weight" in names
    assert "phi.embeddings.word_embeddings.weight" not in names, "frozen by default"


def test_embeddings_train_if_asked(trainer):
    made = trainer(freeze_embeddings=False)
    made.train()
    assert "phi.embeddings.word_embeddings.weight" in changed(made)


def losses_by_hand(made, count):
    """Losses of the first batches as the network stands."""
    data = made.train_dataset
    return [made.compute_loss(made.model, dict(data[index])) for index in range(count)]


def test_gradient_accumulation_is_the_mean_over_batches(trainer):
    made = trainer(gradient_accumulation_steps=2, max_steps=1, logging_steps=1, max_grad_norm=1e9)
    (sum(losses_by_hand(made, 2)) / 2).backward()
    grads = [p.grad for p in made.model.parameters() if p.grad is not None]
    norm = torch.sqrt(sum((grad**2).sum() for grad in grads)).item()
    made.model.zero_grad()
    made.train()
    entry = next(entry for entry in made.state.log_history if "grad_norm" in entry)
    assert entry["grad_norm"] == pytest.approx(norm, rel=1e-4)
    assert made.state.global_step == 1


@pytest.mark.parametrize("through", [False, True])
def test_the_gradient_reaches_psis_text_encoder_only_if_asked(trainer, through):
    made = trainer(psi_gradient=through)
    index = made.train_dataset[0]["description_index"]
    assert made._embed(index).requires_grad == through
    made.train()
    assert np.isfinite(made.state.log_history[-1]["train_loss"])


def test_descriptions_are_embedded_anew_every_so_often(trainer):
    made = trainer(refresh_steps=2, max_steps=5)
    seen, encode = [], made._encode
    made._encode = lambda texts: seen.append(made.state.global_step) or encode(texts)
    made.train()
    assert seen == [0, 2, 4]


def test_the_papers_order_trains_too(trainer):
    made = trainer(network={"order": "capability_first"}, max_steps=2)
    made.train()
    assert np.isfinite(made.state.log_history[-1]["train_loss"])
    assert "phi.encoder.layer.0.attention.self.query.weight" in changed(made)


def test_adapters_train_alone_and_merge_to_the_same_outputs(trainer):
    made = trainer("llama", {"lora_rank": 4, "layers": 2})
    made.train()
    names = changed(made)
    in_phi = {name for name in names if name.startswith("phi.")}
    assert in_phi
    assert all(".lora_" in name for name in in_phi), "phi's own matrices stay as they were"
    assert "connector.weight" in names
    model = made.model.eval()
    batch = {key: value for key, value in made.train_dataset[0].items() if key not in OF_THE_LOSS}
    words = made._embed(batch.pop("description_index"))
    with torch.no_grad():
        before = model(**batch, descriptions=words)
        merge_adapters(model)
        after = model(**batch, descriptions=words)
    assert (after - before).abs().max() < 1e-4
    assert not [name for name in model.state_dict() if "lora_" in name or "base_layer" in name]


def test_validation_tells_models_left_out_apart(trainer):
    metrics = trainer().evaluate()
    assert {"eval_both_seen_auc", "eval_both_seen_brier", "eval_both_unseen_auc", "eval_both_unseen_brier"} <= set(
        metrics
    )
    assert metrics["eval_loss"] == pytest.approx(
        (metrics["eval_both_seen_brier"] + metrics["eval_both_unseen_brier"]) / 2
    )
    assert -1.0 <= metrics["eval_both_gain"] <= 1.0
