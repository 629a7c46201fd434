"""The exported graphs compute what the network does, and carry nothing of the machine that made them."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch

from modelsat.errors import ConfigurationError
from tests.network.conftest import build

pytest.importorskip("onnx", reason="the export needs the extra 'train'")
pytest.importorskip("onnxscript", reason="the export needs the extra 'train'")

from modelsat.network.export import PHI_FILE, PSI_FILE, export_onnx


@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
@pytest.mark.parametrize("kind", ["bidirectional", "query", "late", "early-read", "narrow", "late-causal"])
@torch.no_grad()
def test_export(kind, tmp_path, prompts):
    model = build(kind)
    model.config.scale, model.config.shift = 0.9, 0.1
    export_onnx(model, tmp_path)
    phi, psi = (ort.InferenceSession(str(tmp_path / name)) for name in (PHI_FILE, PSI_FILE))
    for count in (1, 5):
        for ids, mask in (prompts, (prompts[0][:1, :4], prompts[1][:1, :4])):
            capabilities = torch.randn(count, model.capability_size)
            feed = {"input_ids": ids, "attention_mask": mask, "capabilities": capabilities}
            probabilities, texts = phi.run(None, {name: value.numpy() for name, value in feed.items()})
            expected = model.probabilities(ids, mask, capabilities)
            assert count == 1 or expected.std() > 1e-2, "scores that are all alike would prove nothing"
            assert np.abs(probabilities - expected.numpy()).max() < 5e-3
            assert np.abs(texts - model.embed_text(ids, mask).numpy()).max() < 5e-3
    words, features = (
        torch.randn(2, 7, model.pooling.text.in_features),
        torch.rand(2, 7, model.config.statement_features),
    )
    overall, mask = torch.randn(2, model.config.overall_features + 3), torch.ones(2, 7)
    mask[1, 4:] = 0.0
    feed = {"descriptions": words, "features": features, "overall": overall, "mask": mask}
    found = psi.run(None, {name: value.numpy() for name, value in feed.items()})[0]
    assert np.abs(found - model.encode_capabilities(words, features, overall, mask).numpy()).max() < 2e-2
    for name in (PHI_FILE, PSI_FILE):
        assert b"stack_trace" not in (tmp_path / name).read_bytes()


@pytest.mark.parametrize(("kind", "order"), [("lm-head", "instruction_first"), ("causal", "capability_first")])
def test_what_does_not_export(kind, order, tmp_path):
    with pytest.raises(ConfigurationError, match="exports to ONNX"):
        export_onnx(build(kind, order), tmp_path)
