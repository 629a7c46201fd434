"""One pass over all candidates is exact: branches see the instruction and themselves, nothing else."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2Config

from modelsat.errors import ConfigurationError
from modelsat.network.config import ModelSATConfig
from modelsat.network.layers import Layers, additive, prune_feed_forward
from modelsat.network.model import ModelSATModel
from tests.network.conftest import COMMON, build

TOLERANCE = 1e-4


@torch.no_grad()
def test_one_pass_equals_single_passes(model, prompts, capabilities):
    together = model(*prompts, capabilities)
    alone = torch.cat([model(*prompts, capabilities[i : i + 1]) for i in range(len(capabilities))], dim=1)
    assert together.shape == (2, 5)
    assert together.std() > 1e-2, "scores that are all alike would prove nothing"
    assert (together - alone).abs().max() <= TOLERANCE


@torch.no_grad()
def test_adding_a_candidate_changes_no_other_score(model, prompts, capabilities):
    few = model(*prompts, capabilities[:3])
    assert (model(*prompts, capabilities)[:, :3] - few).abs().max() <= TOLERANCE


@torch.no_grad()
def test_order_of_candidates_does_not_matter(model, prompts, capabilities):
    order = torch.tensor([3, 0, 4, 2, 1])
    assert (model(*prompts, capabilities[order]) - model(*prompts, capabilities)[:, order]).abs().max() <= TOLERANCE


@torch.no_grad()
def test_padding_does_not_matter(model, prompts, capabilities):
    ids, mask = prompts
    alone = model(ids[1:, :6], mask[1:, :6], capabilities)
    assert (model(ids, mask, capabilities)[1:] - alone).abs().max() <= TOLERANCE


@torch.no_grad()
def test_scores_depend_on_instruction_and_on_capability(model, prompts, capabilities):
    ids, mask = prompts
    changed = ids.clone()
    changed[0, 3] = (changed[0, 3] + 50) % 200
    assert (model(changed, mask, capabilities) - model(ids, mask, capabilities))[0].abs().max() > 1e-3
    assert model(ids, mask, capabilities).std(dim=1).min() > 1e-3


@torch.no_grad()
def test_order_and_number_of_statements(model):
    torch.manual_seed(3)
    width = model.pooling.text.in_features
    words, features = torch.randn(1, 6, width), torch.rand(1, 6, model.config.statement_features)
    features[..., 0] = 0.4  # the level is the profile's, the same in every statement
    mask = torch.ones(1, 6)
    overall = torch.randn(1, model.config.overall_features + 3)
    encoded = model.encode_capabilities(words, features, overall, mask)
    assert encoded.shape == (1, model.capability_size)
    order = torch.tensor([5, 2, 0, 1, 4, 3])
    assert (model.encode_capabilities(words[:, order], features[:, order], overall, mask) - encoded).abs().max() <= 1e-5
    padded = (
        torch.cat([words, torch.randn(1, 4, width)], 1),
        torch.cat([features, torch.rand(1, 4, features.shape[-1])], 1),
    )
    longer = model.encode_capabilities(*padded, overall, torch.cat([mask, torch.zeros(1, 4)], 1))
    assert (longer - encoded).abs().max() <= 1e-5


@pytest.mark.parametrize("kind", ["bidirectional", "causal", "lm-head"])
@torch.no_grad()
def test_capability_first_is_one_pass_per_candidate(kind, prompts):
    model = build(kind, "capability_first")
    torch.manual_seed(2)
    capabilities = torch.randn(4, model.capability_size)
    together = model(*prompts, capabilities)
    for index in range(4):
        assert (together[:, index] - model(*prompts, capabilities[index : index + 1])[:, 0]).abs().max() <= TOLERANCE
    ids, mask = prompts
    assert (together[1:] - model(ids[1:, :6], mask[1:, :6], capabilities)).abs().max() <= TOLERANCE
    other = build(kind)
    other.load_state_dict(model.state_dict())
    assert (other(*prompts, capabilities) - together).abs().max() > 1e-3, "the two orders are different networks"


@torch.no_grad()
def test_causal_score_is_yes_against_no_of_the_lm_head(prompts):
    model = build("lm-head", "capability_first")
    capability = torch.randn(1, model.capability_size)
    ids, mask = prompts[0][:1], prompts[1][:1]
    embed = model.phi.get_input_embeddings()
    sequence = torch.cat(
        [
            capability[:, None, : model.connector.out_features],
            embed(ids),
            embed(torch.tensor(model.config.inquiry_ids)).unsqueeze(0),
        ],
        dim=1,
    )
    logits = model.phi(inputs_embeds=sequence).logits[0, -1].log_softmax(-1)
    yes_no = logits[[11, 12]].softmax(-1)[0]
    assert model.probabilities(ids, mask, capability)[0, 0] == pytest.approx(yes_no.item(), abs=1e-5)


@torch.no_grad()
def test_save_and_load(model, prompts, capabilities, tmp_path):
    model.config.scale, model.config.shift = 0.8, -0.1
    model.save_pretrained(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} >= {"config.json", "model.safetensors"}
    loaded = ModelSATModel.from_pretrained(tmp_path).eval()
    expected = model.probabilities(*prompts, capabilities)
    assert loaded.config.inquiry_ids == model.config.inquiry_ids
    assert (loaded.probabilities(*prompts, capabilities) - expected).abs().max() <= 1e-6


def test_gradients_reach_both_sides(model, prompts):
    """Gradients reach phi, the connector, psi's pooling and, with the small head, the lookup."""
    words = torch.randn(2, 3, model.pooling.text.in_features)
    features = torch.rand(2, 3, model.config.statement_features)
    overall = torch.randn(2, model.config.overall_features + 3)
    profile = {"descriptions": words, "features": features, "overall": overall, "statement_mask": torch.ones(2, 3)}
    model(*prompts, **profile).sum().backward()
    names = ["pooling.text.weight", "pooling.profile.0.weight", "connector.weight"]
    names += ["lookup.query.weight", "head.0.weight"] if model.config.answer_ids is None else []
    for name in names:
        assert model.get_parameter(name).grad.abs().sum() > 0, name
    assert model.phi.get_input_embeddings().weight.grad.abs().sum() > 0


@torch.no_grad()
def test_profiles_encoded_in_the_pass_equal_those_encoded_before(model, prompts):
    words = torch.randn(2, 3, model.pooling.text.in_features)
    features = torch.rand(2, 3, model.config.statement_features)
    overall, mask = torch.randn(2, model.config.overall_features + 3), torch.ones(2, 3)
    before = model(*prompts, model.encode_capabilities(words, features, overall, mask))
    inside = model(*prompts, descriptions=words, features=features, overall=overall, statement_mask=mask)
    assert torch.equal(before, inside)
    with pytest.raises(ConfigurationError, match="give capabilities, or"):
        model(*prompts, descriptions=words)


@torch.no_grad()
def test_psi_shares_a_causal_phi(prompts):
    """Without an encoder of its own, psi embeds text as the mean of phi's last states."""
    model = build("causal")
    ids, mask = prompts
    hidden = model.phi(input_ids=ids, attention_mask=mask).last_hidden_state[1, :6].mean(dim=0)
    assert torch.allclose(model.embed_text(ids, mask)[1], hidden / hidden.norm(), atol=1e-5)


@torch.no_grad()
def test_without_reference_tasks_nothing_is_looked_up(prompts):
    config = ModelSATConfig(
        phi_config=build("causal").config.phi_config, causal=True, **COMMON | {"reference_tasks": []}
    )
    model = ModelSATModel(config).eval()
    assert model.capability_size == model.connector.out_features
    assert model(*prompts, torch.randn(2, model.capability_size)).shape == (2, 2)


def test_bad_configurations():
    with pytest.raises(ConfigurationError, match="order"):
        ModelSATConfig(order="sideways")
    with pytest.raises(ConfigurationError, match="phi_config"):
        ModelSATModel(ModelSATConfig())
    bert = build("bidirectional").config.phi_config
    with pytest.raises(ConfigurationError, match="inquiry"):
        ModelSATModel(ModelSATConfig(phi_config=bert))
    with pytest.raises(ConfigurationError, match="answer_ids"):
        ModelSATConfig(phi_config=bert, answer_ids=(11, 12), inquiry_ids=[1])
    with pytest.raises(ConfigurationError, match="inquiry_position"):
        ModelSATConfig(phi_config=bert, inquiry_ids=[1], inquiry_position="beside")
    with pytest.raises(ConfigurationError, match="one token"):
        ModelSATConfig(phi_config=bert, inquiry_ids=[1, 2], inquiry_position="shared")
    with pytest.raises(ConfigurationError, match="entry_layer is for"):
        ModelSATConfig(phi_config=bert, inquiry_ids=[1], entry_layer=1)
    with pytest.raises(ConfigurationError, match="leave candidates a layer"):
        ModelSATConfig(phi_config=bert, inquiry_ids=[1], inquiry_position="shared", entry_layer=3)
    with pytest.raises(ConfigurationError, match="read_layer is for"):
        ModelSATConfig(phi_config=bert, inquiry_ids=[1], order="capability_first", read_layer=1)
    for wrong in ({"read_layer": 4}, {"read_layer": 1, "entry_layer": 2, "inquiry_position": "shared"}):
        with pytest.raises(ConfigurationError, match="read_layer must be"):
            ModelSATConfig(phi_config=bert, inquiry_ids=[1], **wrong)
    for wrong, match in (
        ({"feed_forward": [8, 8]}, "each of phi"),
        ({"feed_forward": [8, 0, 8]}, "each of phi"),
        ({"feed_forward": [8, 8, 8], "causal": True}, "BERT-like"),
        ({"head_width": 0}, "head_width"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            ModelSATConfig(phi_config=bert, inquiry_ids=[1], **wrong)
    small = {"vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 8}
    other = Qwen2Config(**small, num_attention_heads=1, num_key_value_heads=1)
    with pytest.raises(ConfigurationError, match="BERT-like phi or a Llama"):
        ModelSATModel(
            ModelSATConfig(phi_config=other, causal=True, inquiry_ids=[1], inquiry_position="shared", entry_layer=1)
        )


@pytest.mark.parametrize("kind", ["late", "late-causal"])
@torch.no_grad()
def test_late_candidates_read_what_they_would_read_from_the_start(kind, prompts):
    """States of the instruction are the same wherever candidates enter; their own scores are not."""
    late = build(kind)
    early = ModelSATModel(ModelSATConfig(**{**late.config.to_dict(), "entry_layer": 0})).eval()
    early.load_state_dict(late.state_dict())
    capabilities = torch.randn(5, late.capability_size)
    (scores, text), (other, same) = (model.score_and_read(*prompts, capabilities) for model in (late, early))
    assert (text - same).abs()[prompts[1].bool()].max() <= TOLERANCE
    assert (scores - other).abs().max() > 1e-3


@torch.no_grad()
def test_where_the_instruction_is_read(prompts):
    """Behind fewer layers other states are read; candidates run through all of them and read the same either way."""
    early = build("early-read")
    last = ModelSATModel(ModelSATConfig(**{**early.config.to_dict(), "read_layer": None})).eval()
    last.load_state_dict(early.state_dict())
    whole = ModelSATModel(ModelSATConfig(**{**early.config.to_dict(), "read_layer": 3})).eval()
    whole.load_state_dict(early.state_dict())
    capabilities = torch.randn(5, early.capability_size)
    (scores, text), (other, end), (same, there) = (
        model.score_and_read(*prompts, capabilities) for model in (early, last, whole)
    )
    real = prompts[1].bool()
    assert (text - end).abs()[real].max() > 1e-2
    assert (text - early.read(*prompts)).abs()[real].max() <= TOLERANCE
    assert (there - end).abs()[real].max() <= TOLERANCE
    assert (same - other).abs().max() <= TOLERANCE
    assert (scores - other).abs().max() > 1e-3, "what is looked up differs"


@pytest.mark.parametrize("kind", ["early-read", "late-causal"])
@torch.no_grad()
def test_the_last_layer_may_compute_candidates_alone(kind, prompts):
    model = build(kind)
    text, behind, allowed, positions = model.starts(*prompts, torch.randn(5, model.capability_size))
    layers, mask = Layers(model.phi), additive(allowed, text)
    hidden, length = torch.cat([text, behind], dim=1), text.shape[1]
    expected = layers.run(hidden, mask, positions, slice(-1, None))[:, length:]
    assert (layers.finish(hidden, length, mask, positions) - expected).abs().max() <= TOLERANCE


@pytest.mark.parametrize("kind", ["late", "late-causal"])
@pytest.mark.parametrize("frozen", [1, 2])
@torch.no_grad()
def test_states_behind_frozen_layers_stand_in_for_the_tokens(kind, frozen, prompts):
    model = build(kind)
    capabilities = torch.randn(5, model.capability_size)
    expected = model(*prompts, capabilities)
    model.frozen_layers = frozen
    states = model.read_frozen(*prompts)
    assert (model(*prompts, capabilities) - expected).abs().max() <= TOLERANCE
    assert (model(*prompts, capabilities, states=states) - expected).abs().max() <= TOLERANCE
    assert (model(*prompts, capabilities, states=states.flip(1)) - expected).abs().max() > 1e-3


@torch.no_grad()
def test_pruned_feed_forward_keeps_the_units_that_add_most(prompts):
    """Units that add nothing are the first to go, and the states stay what they were; without room, they change."""
    phi = build("late").phi
    for layer in phi.encoder.layer:
        layer.output.dense.weight[:, 1::2] = 0.0
    ids, mask = prompts
    before = phi(input_ids=ids, attention_mask=mask).last_hidden_state
    prune_feed_forward(phi, [32, 64, 32], ids, mask)
    assert [layer.intermediate.dense.out_features for layer in phi.encoder.layer] == [32, 64, 32]
    after = phi(input_ids=ids, attention_mask=mask).last_hidden_state
    assert (after - before).abs()[mask.bool()].max() <= TOLERANCE
    with pytest.raises(ConfigurationError, match="cannot be"):
        prune_feed_forward(phi, [64, 64, 32], ids, mask)
    prune_feed_forward(phi, [8, 64, 32], ids, mask)
    assert (phi(input_ids=ids, attention_mask=mask).last_hidden_state - before).abs().max() > 1e-2
