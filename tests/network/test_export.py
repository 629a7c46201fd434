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
@torch.no_grad()
def test_export(tmp_path, prompts):
    model = build("bidirectional")
    model.config.scale, model.config.shift = 0.9, 0.1
    export_onnx(model, tmp_path)
    phi, psi = (ort.InferenceSession(str(tmp_path / name)) for name in (PHI_FILE, PSI_FILE))
    for count in (1, 5):
        capabilities = torch.randn(count, 32)
        feed = {"input_ids": prompts[0], "attention_mask": prompts[1], "capabilities": capabilities}
        probabilities, texts = phi.run(None, {name: value.numpy() for name, value in feed.items()})
        assert np.abs(probabilities - model.probabilities(*prompts, capabilities).numpy()).max() < 5e-3
        assert np.abs(texts - model.embed_text(*prompts).numpy()).max() < 5e-3
    words, features, mask = torch.randn(2, 7, 32), torch.rand(2, 7, 6), torch.ones(2, 7)
    feed = {"descriptions": words.numpy(), "features": features.numpy(), "mask": mask.numpy()}
    assert np.abs(psi.run(None, feed)[0] - model.encode_capabilities(words, features, mask).numpy()).max() < 2e-2
    for name in (PHI_FILE, PSI_FILE):
        assert b"stack_trace" not in (tmp_path / name).read_bytes()


def test_what_does_not_export(tmp_path):
    with pytest.raises(ConfigurationError, match="exports to ONNX"):
        export_onnx(build("causal"), tmp_path)
