"""Tiny random networks of each kind."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the network needs the extra 'torch'")

from transformers import BertConfig, LlamaConfig  # noqa: E402

from modelsat.network.config import ModelSATConfig  # noqa: E402
from modelsat.network.model import ModelSATModel  # noqa: E402

KINDS = ("bidirectional", "query", "late", "early-read", "narrow", "causal", "late-causal", "lm-head")
COMMON: dict[str, Any] = {"capability_width": 24, "inquiry_ids": [7, 8, 9], "reference_tasks": ["a", "b", "c"]}


def build(kind: str, order: str = "instruction_first") -> ModelSATModel:
    """A network with random weights, in float32 and evaluation mode.

    ``"query"``: bidirectional, one position a candidate; ``"late"``: behind two layers that read the instruction alone;
    ``"early-read"``: and the instruction's mean state is read behind two of three layers;
    ``"narrow"``: the same with layers of their own feed-forward widths and a narrow head;
    ``"causal"``: psi shares a causal phi, small head; ``"late-causal"``: the same with late candidates of one position
    and the instruction read where they enter;
    ``"lm-head"``: psi of its own, Yes and No of phi's LM head.
    """
    torch.manual_seed(0)
    bert = BertConfig(
        vocab_size=200,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    if kind == "bidirectional":
        config = ModelSATConfig(phi_config=bert, order=order, **COMMON)
    elif kind in ("query", "late", "early-read", "narrow"):
        shared = {"inquiry_ids": [7], "inquiry_position": "shared", "entry_layer": 2 if kind == "late" else 0}
        shared["read_layer"] = 2 if kind in ("early-read", "narrow") else None
        if kind == "narrow":
            shared |= {"feed_forward": [48, 64, 16], "head_width": 24}
        config = ModelSATConfig(phi_config=bert, order=order, **{**COMMON, **shared})
    else:
        llama = LlamaConfig(
            vocab_size=200,
            hidden_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=64,
        )
        own: dict[str, Any] = {"psi_config": bert, "answer_ids": (11, 12)} if kind == "lm-head" else {}
        if kind == "late-causal":
            own = {"inquiry_ids": [7], "inquiry_position": "shared", "entry_layer": 2, "read_layer": 2}
        config = ModelSATConfig(phi_config=llama, causal=True, order=order, **{**COMMON, **own})
    model = ModelSATModel(config).eval()
    with torch.no_grad():  # larger than the usual initialisation, so that differences would show
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4.0)
    return model


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def model(kind):
    return build(kind)


@pytest.fixture
def prompts():
    """Two instructions of different length, right-padded."""
    torch.manual_seed(1)
    ids = torch.randint(1, 200, (2, 13))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    return ids, mask


@pytest.fixture
def capabilities(model):
    torch.manual_seed(2)
    return torch.randn(5, model.capability_size)
