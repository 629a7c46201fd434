"""A Llama in a GGUF file against the same network in transformers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'torch'")
pytest.importorskip("transformers", reason="needs the extra 'torch'")
pytest.importorskip("gguf", reason="needs the extra 'export'")

import torch
from gguf import GGMLQuantizationType
from transformers import LlamaForCausalLM

from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.network.gguf import GGUFFile, is_gguf
from tests.gguf_file import network, smollm2, tokenizer, write_gguf

TEXTS = ["add 12 to 345", "leaf and root\n\tprime", "<|im_end|>leaf <|endoftext|>"]


def test_the_same_states_and_tokens(tmp_path: Path) -> None:
    model, raw = network(), tokenizer()
    file = GGUFFile(write_gguf(tmp_path / "base.gguf", model, raw))
    for text in TEXTS:
        assert file.tokenizer().encode(text).ids == raw.encode(text).ids, text
    again = type(model)(file.config)
    again.load_state_dict({name.removeprefix("model."): weight for name, weight in file.state().items()}, strict=False)
    ids = torch.tensor([raw.encode(TEXTS[0]).ids])
    with torch.inference_mode():
        expected, found = (each.eval()(ids).last_hidden_state for each in (model, again))
    assert torch.allclose(found, expected, atol=1e-5), "rotary pairs of q and k stand as transformers wants them"
    assert set(file.state(1)) < set(file.state()), "only the first layers"


def test_quantised_weights_are_dequantised(tmp_path: Path) -> None:
    model = network()
    file = GGUFFile(write_gguf(tmp_path / "base.gguf", model, tokenizer(), GGMLQuantizationType.Q8_0))
    weight = file.state()["model.layers.1.mlp.up_proj.weight"]
    exact = model.state_dict()["layers.1.mlp.up_proj.weight"]
    assert weight.dtype == torch.float32
    assert 0 < (weight - exact).abs().max() <= exact.abs().max() / 127


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_gguf("some/base.gguf")
    assert not is_gguf("some/model.safetensors")
    (tmp_path / "text.gguf").write_text("not a network", "utf-8")
    with pytest.raises(ConfigurationError, match=r"cannot read .*text.gguf as a GGUF file"):
        GGUFFile(tmp_path / "text.gguf")
    with pytest.raises(ConfigurationError, match=r"cannot read .*missing.gguf"):
        GGUFFile(tmp_path / "missing.gguf")
    other = write_gguf(tmp_path / "other.gguf", network(), tokenizer(), pre="llama-bpe")
    with pytest.raises(ConfigurationError, match=r"tokenizer.ggml.pre is 'llama-bpe', and only 'smollm' can be read"):
        GGUFFile(other)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingDependencyError, match=r"modelsat\[export\]"):
        GGUFFile(other)


def test_smollm2_speaks() -> None:
    file = GGUFFile(smollm2())
    model = LlamaForCausalLM(file.config).eval()
    model.load_state_dict(file.state())
    raw = file.tokenizer()
    with torch.inference_mode():
        logits = model(torch.tensor([raw.encode("The capital of France is").ids])).logits
    assert raw.decode([int(logits[0, -1].argmax())]) == " Paris"


def test_embeddings_are_those_of_the_network(tmp_path: Path) -> None:
    model = network()
    state = GGUFFile(write_gguf(tmp_path / "base.gguf", model, tokenizer())).state()
    assert np.array_equal(state["model.embed_tokens.weight"], model.get_input_embeddings().weight.detach())
    assert state["lm_head.weight"] is state["model.embed_tokens.weight"]
