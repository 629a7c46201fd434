"""Routing with weights from the Hub: the shipped network, served on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelsat import CapabilityProfile, Router
from modelsat.errors import CheckpointError
from modelsat.inference import load_scorer
from modelsat.storage.checkpoint import locate
from tests.hub_server import FakeHub, Fault


@pytest.fixture
def commit(hub: FakeHub) -> str:
    commit = hub.repository("org/nano", {path.name: path.read_bytes() for path in locate("modelsat-nano").iterdir()})
    hub.repositories["model", "org/nano"].names["v1"] = commit
    return commit


def test_a_router_with_weights_from_the_hub(hub: FakeHub, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = CapabilityProfile.from_benchmarks("mine", {"MMLU": 0.5, "GSM8K": 0.9})
    router = Router(["gpt-5", "gpt-4o-mini", mine], weights="org/nano@v1")
    assert router.versions["weights"] == "org/nano@v1"
    assert hub.requests == [], "nothing is downloaded before the first decision"
    decision = router.route("What is 17 * 23?")
    assert decision.versions["weights"] == f"org/nano@{commit}"
    shipped = load_scorer("modelsat-nano")  # weights of another name are not corrected for having chosen
    (scores,) = shipped.score(["What is 17 * 23?"], [candidate.profile for candidate in router.candidates]).p
    assert dict(decision.scores) == pytest.approx(dict(zip(router.names, scores.tolist(), strict=True)))
    assert hub.count("model.safetensors") == 0, "ONNX Runtime does not need them"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    again = Router(["gpt-5", "gpt-4o-mini", mine], weights=decision.versions["weights"]).route("What is 17 * 23?")
    assert again.scores == decision.scores
    assert hub.requests == []


def test_a_failed_download_falls_back_and_is_tried_again(hub: FakeHub, commit: str) -> None:
    hub.faults = [Fault("GET /api/models/org/nano", status=500, times=3)]
    router = Router(["gpt-5", "gpt-4o-mini"], weights="org/nano", fallback="gpt-5")
    decision = router.route("Hello")
    assert decision.fallback
    assert decision.failure is not None
    assert "in trouble (500)" in decision.failure.message
    assert not router.route("Hello").fallback
    with pytest.raises(CheckpointError, match="no such repository"):
        Router(["gpt-5", "gpt-4o-mini"], weights="org/none").warmup()


def test_torch_needs_other_files(hub: FakeHub, commit: str) -> None:
    pytest.importorskip("torch", reason="needs the extra 'torch'")
    scorer = load_scorer("org/nano", "torch")
    assert scorer.version == f"org/nano@{commit}"
    assert hub.count("onnx") == 0
    assert load_scorer("modelsat-nano", "auto").version.startswith("modelsat-nano@")


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's, on uploads
def test_the_model_class_comes_from_the_hub_and_goes_there(hub: FakeHub, commit: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    from modelsat.network.model import ModelSATModel

    model = ModelSATModel.from_pretrained("org/nano", revision="v1")
    shipped = ModelSATModel.from_pretrained(locate("modelsat-nano"))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), shipped.parameters(), strict=True))
    with pytest.raises(CheckpointError, match="org/nano@v7: there is no such revision"):
        ModelSATModel.from_pretrained("org/nano", revision="v7")
    pushed = model.push_to_hub("org/copy", token="hf_writer", private=True)
    files = hub.files("org/copy")
    assert set(files) - {".gitattributes"} == {
        *("config.json", "model.safetensors", "tokenizer.json", "README.md", "MANIFEST.json")
    }
    assert json.loads(files["config.json"])["scale"] == model.config.scale
    scorer, original = load_scorer(pushed, "torch", token="hf_reader"), load_scorer("modelsat-nano", "torch")
    profile = CapabilityProfile.from_benchmarks("mine", {"MMLU": 0.5})
    rows = [s.score(["Hello"], [profile]).p for s in (scorer, original)]
    assert rows[0][0, 0] == pytest.approx(rows[1][0, 0], abs=1e-3)
    model.save_pretrained(tmp_path / "bare")
    bare = ModelSATModel.from_pretrained(tmp_path / "bare")
    with pytest.raises(CheckpointError, match="tokenizer"):
        bare.push_to_hub("org/bare", token="hf_writer")
