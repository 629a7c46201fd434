"""Eight-bit layers: close to the float ones, alike on every processor, and independent of what stands beside."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network needs the extra 'torch'")
pytest.importorskip("onnx", reason="the export needs the extra 'train'")

import onnxruntime as ort  # noqa: E402

from modelsat.errors import ConfigurationError  # noqa: E402
from modelsat.network.export import PHI_FILE, export_onnx  # noqa: E402
from modelsat.network.instruction import TokenBatch  # noqa: E402
from modelsat.network.quantise import fit_layers, quantise  # noqa: E402
from tests.network.conftest import build  # noqa: E402


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 48)).astype(np.float32) * np.exp(rng.normal(size=48)).astype(np.float32)
    return rng.normal(size=(48, 20)).astype(np.float32), rng.normal(size=20).astype(np.float32), inputs


def test_close_and_without_mean_error(problem):
    weight, bias, inputs = problem
    exact = inputs @ weight + bias
    layer = quantise(weight, bias, inputs, exact)
    error = layer(inputs) - exact
    assert np.sqrt(np.square(error).mean()) < 0.02 * exact.std()
    assert np.abs(error.mean(axis=0)).max() < 1e-4


def test_no_pair_of_weights_saturates_sixteen_bits(problem):
    weight, bias, inputs = problem
    whole = quantise(weight, bias, inputs, inputs @ weight + bias).weight.astype(int)
    upper = 255 * (np.maximum(whole[0::2], 0) + np.maximum(whole[1::2], 0))
    lower = 255 * (np.minimum(whole[0::2], 0) + np.minimum(whole[1::2], 0))
    assert upper.max() <= 32767
    assert lower.min() >= -32768


@pytest.fixture(scope="module", params=["query", "late", "early-read", "narrow"])
def fitted(request):
    model = build(request.param)
    torch.manual_seed(3)
    batches = []
    for length in (5, 9, 14):
        ids = torch.randint(1, 200, (6, length)).numpy()
        mask = np.ones_like(ids)
        mask[0, length - 2 :] = 0
        batches.append(TokenBatch(ids, mask))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = []
    layers = fit_layers(model, batches, torch.randn(4, model.capability_size), names.append)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert list(layers) == names
    return model, layers


@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
@torch.no_grad()
def test_the_exported_graph(fitted, prompts, tmp_path):
    model, layers = fitted
    assert len(layers) == 4 * model.config.phi_config.num_hidden_layers
    export_onnx(model, tmp_path, layers)
    session = ort.InferenceSession(str(tmp_path / PHI_FILE))
    assert (tmp_path / PHI_FILE).read_bytes().count(b"MatMulIntegerToFloat") >= len(layers) + 2 * 3  # q, k, v apart
    ids, mask = prompts
    capabilities = torch.randn(5, model.capability_size)

    def run(rows, columns):
        feed = {"input_ids": ids[rows], "attention_mask": mask[rows], "capabilities": capabilities[columns]}
        return session.run(["probabilities"], {name: value.numpy() for name, value in feed.items()})[0]

    found = run(slice(None), slice(None))
    assert np.abs(found - model.probabilities(ids, mask, capabilities).numpy()).mean() < 0.05
    assert np.abs(run(slice(1, 2), slice(2, 4)) - found[1:2, 2:4]).max() < 1e-5


def test_only_berts(tmp_path):
    model = build("causal")
    with pytest.raises(ConfigurationError, match="BERT"):
        fit_layers(model, [], torch.zeros(1, model.capability_size), [].append)
    with pytest.raises(ConfigurationError, match="BERT"):
        export_onnx(model, tmp_path, {"x": None})
