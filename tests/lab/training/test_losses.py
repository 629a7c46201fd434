"""The objective against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from modelsat.lab.training.losses import LossWeights, contrast, likelihood, objective

NAN = float("nan")
LOGITS = torch.tensor([[2.0, 0.5], [1.0, -0.5], [-1.0, 0.0]])
LABELS = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, NAN]])


def test_loss_5_is_the_cross_entropy_of_one_good_instruction_among_bad_ones():
    """Model 0 did instruction 0 well and 1 and 2 badly; model 1 did nothing well and takes no part."""
    by_hand = -math.log(math.exp(2.0) / (math.exp(2.0) + math.exp(1.0) + math.exp(-1.0)))
    assert contrast(LOGITS, LABELS).item() == pytest.approx(by_hand, abs=1e-6)
    reference = torch.nn.functional.cross_entropy(LOGITS[:, 0].unsqueeze(0), torch.tensor([0]))
    assert contrast(LOGITS, LABELS).item() == pytest.approx(reference.item(), abs=1e-6)


def test_each_good_instruction_stands_against_the_bad_ones_only():
    logits, labels = torch.tensor([[1.0], [3.0], [0.0]]), torch.tensor([[1.0], [1.0], [0.0]])
    by_hand = (math.log(1 + math.exp(-1.0)) + math.log(1 + math.exp(-3.0))) / 2
    assert contrast(logits, labels).item() == pytest.approx(by_hand, abs=1e-6)


def test_the_other_direction_ranks_models_for_an_instruction():
    """Only instruction 0 has a model that did well (0) and one that did not (1)."""
    by_hand = math.log(1 + math.exp(0.5 - 2.0))
    assert contrast(LOGITS.T, LABELS.T).item() == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("labels", [torch.ones(3, 2), torch.zeros(3, 2), torch.full((3, 2), NAN)])
def test_no_contrast_is_no_loss_and_no_nan(labels):
    logits = LOGITS.clone().requires_grad_()
    loss = contrast(logits, labels)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(3, 2))


def test_likelihood_of_soft_targets_and_weights():
    targets = torch.tensor([[0.7, NAN], [0.0, 1.0], [NAN, NAN]])
    weights = torch.tensor([[2.0, 1.0], [1.0, 1.0], [1.0, 1.0]])

    def cross_entropy(logit: float, target: float) -> float:
        p = 1 / (1 + math.exp(-logit))
        return -target * math.log(p) - (1 - target) * math.log(1 - p)

    by_hand = (2 * cross_entropy(2.0, 0.7) + cross_entropy(1.0, 0.0) + cross_entropy(-0.5, 1.0)) / 4
    assert likelihood(LOGITS, targets, weights).item() == pytest.approx(by_hand, abs=1e-6)
    assert likelihood(LOGITS, torch.full((3, 2), NAN), weights).item() == 0.0


@pytest.mark.parametrize("term", ["likelihood", "per_model", "per_instruction"])
def test_every_term_can_be_switched_off_and_weighed(term):
    ones = torch.ones(3, 2)
    alone = {name: float(name == term) for name in ("likelihood", "per_model", "per_instruction")}
    expected = {
        "likelihood": likelihood(LOGITS, LABELS, ones),
        "per_model": contrast(LOGITS, LABELS),
        "per_instruction": contrast(LOGITS.T, LABELS.T),
    }[term]
    assert objective(LOGITS, LABELS, LABELS, ones, LossWeights(**alone)).item() == pytest.approx(expected.item())
    double = {name: 2 * value for name, value in alone.items()}
    assert objective(LOGITS, LABELS, LABELS, ones, LossWeights(**double)).item() == pytest.approx(2 * expected.item())
