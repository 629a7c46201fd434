"""Checkpoints of adapters and heads: trained, loaded through a base on the Hub or in a folder, exported once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from modelsat import CapabilityProfile, Router
from modelsat.cli import app
from modelsat.errors import CheckpointError, ConfigurationError, MissingDependencyError
from modelsat.inference import load_scorer
from modelsat.lab.training import read_recipe, train
from modelsat.lab.training import run as runs
from modelsat.lab.training.finish import save
from modelsat.network.exported import prepare
from modelsat.network.gguf import GGUFFile
from modelsat.network.model import ModelSATModel
from modelsat.storage.base import Base
from modelsat.storage.checkpoint import Checkpoint, open_checkpoint
from modelsat.storage.weights import push
from tests.hub_server import FakeHub, Fault
from tests.lab.training.conftest import QUICK, figures, write_recipe, write_world

COMMIT = "5" * 40
STEPS = {**QUICK, "max_steps": 3, "eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
NETWORK = {"causal": True, "lora_rank": 4, "layers": 2}
TEXTS = ["add prime root", "leaf enzyme filler1", "add " * 60]
FRESH = """
import json, sys
for name in sys.argv[3:]:
    sys.modules[name] = None  # importing it fails
from modelsat import CapabilityProfile
from modelsat.inference import load_scorer
given = json.loads(sys.argv[2])
if given["prepare"]:
    from modelsat.storage.base import Base
    from modelsat.storage.checkpoint import open_checkpoint
    from modelsat.network.exported import prepare
    checkpoint = open_checkpoint(sys.argv[1])
    prepare(checkpoint, Base.of(checkpoint))
scorer = load_scorer(sys.argv[1])
profiles = [CapabilityProfile.from_benchmarks(name, given["figures"][name]) for name in given["figures"]]
print(json.dumps(scorer.score(given["texts"], profiles).p.tolist()))
"""


class Trained:
    """A finished run, and the network it had in memory."""

    def __init__(self, folder: Path, base: Path, model: ModelSATModel) -> None:
        self.folder, self.base, self.model = folder, base, model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, bases: dict[str, Path]) -> Trained:
    root = tmp_path_factory.mktemp("adapter")
    write_world(root)
    stage = {**STEPS, "learning_rate": 5e-2}
    network = {**NETWORK, "adapter_of": f"org/base@{COMMIT}"}
    recipe = read_recipe(write_recipe(root, bases["llama"], network=network, stages=[stage]))
    seen: list[ModelSATModel] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "save", lambda model, *rest, **options: (seen.append(model), save(model, *rest, **options)))
        folder = train(recipe, root / "run")
    return Trained(folder, bases["llama"], seen[0].float().eval())


def profiles() -> list[CapabilityProfile]:
    return [CapabilityProfile.from_benchmarks(name, figures(name)) for name in ("sums-a", "cells-a", "all")]


def scores(scorer: Any) -> Any:
    return scorer.score(TEXTS, profiles()).p


def on_the_hub(hub: FakeHub, trained: Trained) -> None:
    """Serve the base at the commit that the checkpoint names."""
    commit = hub.repository("org/base", {path.name: path.read_bytes() for path in trained.base.iterdir()})
    repository = hub.repositories["model", "org/base"]
    repository.commits[COMMIT] = repository.commits.pop(commit)
    repository.names["main"] = COMMIT


def prepared(weights: Path, **options: Any) -> Checkpoint:
    checkpoint = open_checkpoint(weights)
    base = Base.of(checkpoint)
    assert base is not None
    return prepare(checkpoint, base, **options)


def start(folder: Path, *missing: str, prepare: bool = False) -> subprocess.Popen[str]:
    figured = {name: figures(name) for name in ("sums-a", "cells-a", "all")}
    given = json.dumps({"texts": TEXTS, "figures": figured, "prepare": prepare})
    command = [sys.executable, "-c", FRESH, str(folder), given, *missing]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_a_run_writes_adapters_and_heads_alone(trained: Trained) -> None:
    files = {entry.name for entry in trained.folder.iterdir()}
    assert files == {
        *("adapter.safetensors", "base.json", "config.json", "tokenizer.json", "recipe.json", "README.md"),
        "MANIFEST.json",
    }
    tensors = load_file(trained.folder / "adapter.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    in_phi = [name for name in tensors if name.startswith("phi.")]
    assert len(in_phi) == 2 * 7 * 2, "A and B of seven matrices in two layers, no matrix of the base"
    base = json.loads((trained.folder / "base.json").read_text("utf-8"))
    assert (base["repo"], base["revision"], base["layers"]) == ("org/base", COMMIT, 2)
    assert f"merged into org/base@{COMMIT} by `modelsat weights prepare`" in (trained.folder / "README.md").read_text(
        "utf-8"
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxscript|copyreg")
def test_through_the_hub_once_and_then_without_torch_and_network(
    hub: FakeHub, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_hub(hub, trained)
    with pytest.raises(CheckpointError, match=rf"run `modelsat weights prepare {trained.folder}` once"):
        load_scorer(trained.folder)
    assert CliRunner().invoke(app, ["weights", "prepare", str(trained.folder)]).exit_code == 0
    first = scores(load_scorer(trained.folder))
    asked = hub.count("/org/base/resolve/")
    assert asked == hub.count(f"/org/base/resolve/{COMMIT}/model.safetensors") > 0, "one file, at the commit"
    reference = load_scorer(trained.folder, "torch")
    assert first == pytest.approx(scores(reference), abs=2e-3)
    merged, memory = reference._model.state_dict(), trained.model.state_dict()
    assert merged.keys() == memory.keys()
    for name in merged:
        assert torch.allclose(merged[name], memory[name], atol=1e-3), name
    base = load_file(trained.base / "model.safetensors")
    assert not torch.allclose(merged["phi.layers.1.mlp.up_proj.weight"], base["layers.1.mlp.up_proj.weight"], atol=1e-3)
    assert torch.equal(merged["phi.embed_tokens.weight"], base["embed_tokens.weight"].half().float())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    code, out, err = ended(start(trained.folder, "torch", "transformers", "onnx"))
    assert code == 0, err
    assert np.array(json.loads(out)) == pytest.approx(first, abs=1e-6)
    assert hub.requests == []
    router = Router(profiles(), weights=trained.folder)
    routed = router.route(TEXTS[0]).scores
    assert [routed[profile.model] for profile in profiles()] == pytest.approx(first[0], abs=1e-6)


def test_adapters_on_the_hub_over_a_base_on_the_hub(
    hub: FakeHub, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_hub(hub, trained)
    hub.repository("org/mini", {path.name: path.read_bytes() for path in trained.folder.iterdir()})
    scorer = load_scorer("org/mini", "torch")
    assert scores(scorer) == pytest.approx(scores(load_scorer(trained.folder, "torch")))
    model = ModelSATModel.from_pretrained("org/mini")
    assert model.state_dict().keys() == scorer._model.state_dict().keys()


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's, on uploads
def test_adapters_are_pushed(hub: FakeHub, trained: Trained) -> None:
    push(trained.folder, "org/mine", token="hf_writer")
    assert "adapter.safetensors" in hub.files("org/mine")


def test_offline_with_a_local_folder(
    hub: FakeHub, trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match=r"not in the cache .* \$MODELSAT_BASE"):
        load_scorer(trained.folder, "torch")
    by_argument = scores(load_scorer(trained.folder, "torch", base=trained.base))
    monkeypatch.setenv("MODELSAT_BASE", str(trained.base))
    assert scores(load_scorer(trained.folder, "torch")) == pytest.approx(by_argument)
    monkeypatch.setenv("MODELSAT_BASE", str(tmp_path / "none"))
    with pytest.raises(CheckpointError, match=r"none/model.safetensors is missing: the folder in \$MODELSAT_BASE"):
        load_scorer(trained.folder, "torch")
    assert hub.requests == []
    with pytest.raises(ConfigurationError, match="whole network: leave base out"):
        load_scorer("modelsat-nano", base=trained.base)


def test_a_base_that_is_another_is_refused(
    hub: FakeHub, trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained.base, other)
    data = bytearray((other / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (other / "model.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="is not the base that the adapters were trained on, org/base@555"):
        prepared(trained.folder, folder=other)
    assert list((tmp_path / "modelsat-cache" / "exported").glob("*.part")) == [], "nothing is left behind"
    on_the_hub(hub, trained)
    hub.faults = [Fault(r"GET .*(model\.safetensors|objects/)", wrong=True, times=1)]
    with pytest.raises(CheckpointError, match="was thrown away; run it again"):
        load_scorer(trained.folder, "torch")
    assert scores(load_scorer(trained.folder, "torch")).shape == (3, 3), "the next download is right"


def test_two_processes_at_once_make_one_export_which_is_checked(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELSAT_BASE", str(trained.base))
    both = [start(trained.folder, prepare=True), start(trained.folder, prepare=True)]
    results = [ended(process) for process in both]
    assert [code for code, _, _ in results] == [0, 0], results
    assert results[0][1] == results[1][1]
    made = [entry for entry in (tmp_path / "modelsat-cache" / "exported").iterdir() if entry.is_dir()]
    assert len(made) == 1, "one works, the other waits and finds it made"
    (made[0] / "model.onnx").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"remove the folder .* and run `modelsat weights prepare` again"):
        load_scorer(trained.folder)


def test_what_preparing_lacks_is_named(trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSAT_BASE", str(trained.base))
    code, _, err = ended(start(trained.folder, "torch", prepare=True))
    assert code != 0
    assert 'pip install "modelsat[export]"' in err
    assert "without torch so far" in err
    assert MissingDependencyError.__name__ in err
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(CheckpointError, match=r"cannot be kept in .* in \$MODELSAT_CACHE_DIR"):
        prepared(trained.folder, cache_dir=tmp_path / "file" / "cache")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxscript|copyreg")
def test_over_a_gguf_file(hub: FakeHub, world: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gguf_file = pytest.importorskip("tests.gguf_file", reason="needs the extra 'export'")
    name = "Tiny.Q8_0.gguf"
    base = gguf_file.write_gguf(
        tmp_path / name, gguf_file.network(), gguf_file.tokenizer(), gguf_file.GGMLQuantizationType.Q8_0
    )
    network = {**NETWORK, "base": str(base), "inquiry_prompt": "?", "adapter_of": f"org/base@{COMMIT}"}
    folder = train(world(base="llama", network=network, stages=[{**STEPS, "learning_rate": 5e-2}]), tmp_path / "run")
    assert json.loads((folder / "base.json").read_text("utf-8"))["file"] == name
    commit = hub.repository("org/base", {name: base.read_bytes()})
    repository = hub.repositories["model", "org/base"]
    repository.commits[COMMIT] = repository.commits.pop(commit)
    assert "without gguf so far" in ended(start(folder, "gguf", prepare=True))[2]
    assert not hub.count("/org/base/resolve/"), "said before anything is fetched"
    prepared(folder)
    exported = scores(load_scorer(folder))
    assert exported == pytest.approx(scores(load_scorer(folder, "torch")), abs=2e-3)
    assert hub.count("/org/base/resolve/") == hub.count(f"/org/base/resolve/{COMMIT}/{name}") > 0
    merged = ModelSATModel.from_pretrained(folder, dtype=torch.float32).state_dict()
    pretrained = GGUFFile(base).state()
    assert torch.equal(merged["phi.embed_tokens.weight"], pretrained["model.embed_tokens.weight"].half().float())
    up = "layers.1.mlp.up_proj.weight"
    assert not torch.allclose(merged[f"phi.{up}"], pretrained[f"model.{up}"], atol=1e-3), "the adapters are in"
    monkeypatch.setenv("MODELSAT_BASE", str(tmp_path / "none"))
    with pytest.raises(CheckpointError, match=rf"none/{name} is missing"):
        load_scorer(folder, "torch")
    base.write_bytes(base.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="is not the base that the adapters were trained on"):
        load_scorer(folder, "torch", base=base.parent)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"adapter_of": "org/base"}, "at a commit"),
        ({"adapter_of": f"org/base@{COMMIT}", "lora_rank": 0}, "adapter_of is for lora_rank above 0"),
        ({"adapter_of": f"org/base@{COMMIT}", "order": "capability_first"}, "adapter_of is for lora_rank above 0"),
    ],
)
def test_recipes_that_cannot_be(world: Any, tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        train(world(base="llama", network={**NETWORK, **keys}, stages=[STEPS]), tmp_path / "run")
