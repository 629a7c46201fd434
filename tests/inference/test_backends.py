"""The shipped weights on both backends: the same numbers, whatever the order, and clear errors for what is damaged."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from modelsat.capability import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.errors import CheckpointError, ConfigurationError
from modelsat.inference import Scorer, load_scorer
from modelsat.storage.base import Base
from modelsat.storage.checkpoint import locate, open_checkpoint, shipped_folders, write_manifest
from tests.fakes import make_profile

PROMPTS = [
    "What is the capital of France?",
    "Prove that there are infinitely many primes congruent to 3 modulo 4.",
    "Write a Python function that merges two sorted lists.",
    "yes",
    "Summarise the following report in three sentences. " + "The committee met and adjourned. " * 200,
    "用一句话解释牛顿第二定律。",
]


@pytest.fixture(scope="module", params=[folder.name for folder in shipped_folders()])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def base(name):
    """Folder of the base of adapters; ``None`` for a whole network."""
    if Base.of(open_checkpoint(name)) is None:
        return None
    for module in ("torch", "gguf", "onnxscript"):
        pytest.importorskip(module, reason="adapters need the extra 'export'")
    from tests.gguf_file import smollm2

    return smollm2().parent


@pytest.fixture(scope="module")
def onnx(name, base, tmp_path_factory):
    return load_scorer(name, base=base, cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def torch_scorer(name, base):
    pytest.importorskip("torch", reason="the torch backend needs the extra 'torch'")
    return load_scorer(name, backend="torch", base=base)


@pytest.fixture(scope="module")
def profiles():
    return list(Registry.default())[:12]


def test_scores_are_probabilities(onnx, profiles):
    scores = onnx.score(PROMPTS, profiles).p
    assert isinstance(onnx, Scorer)
    assert scores.shape == (len(PROMPTS), len(profiles))
    assert scores.dtype == np.float32
    assert (scores > 0).all()
    assert (scores < 1).all()
    assert scores.std() > 0.02


def test_a_batch_equals_single_prompts(onnx, profiles):
    together = onnx.score(PROMPTS, profiles).p
    alone = np.concatenate([onnx.score([prompt], profiles).p for prompt in PROMPTS])
    assert np.abs(together - alone).max() < 1e-4


def test_passes_are_small_on_a_processor_and_lose_nothing(onnx, profiles, monkeypatch):
    lengths = [len(row) for row in onnx._tokenizer.ids(PROMPTS)]
    passes = list(onnx._passes(onnx._tokenizer.ids(PROMPTS), len(profiles)))
    assert sorted(index for chosen in passes for index in chosen) == list(range(len(PROMPTS)))
    assert [lengths[index] for chosen in passes for index in chosen] == sorted(lengths)
    together = onnx.score(PROMPTS, profiles).p
    monkeypatch.setattr(onnx, "_cells", 1)
    assert [len(chosen) for chosen in onnx._passes(onnx._tokenizer.ids(PROMPTS), len(profiles))] == [1] * len(PROMPTS)
    assert np.abs(onnx.score(PROMPTS, profiles).p - together).max() < 1e-4


def test_candidates_do_not_disturb_each_other(onnx, profiles):
    together = onnx.score(PROMPTS, profiles).p
    assert np.abs(onnx.score(PROMPTS, profiles[3:5]).p - together[:, 3:5]).max() < 1e-4
    assert np.abs(onnx.score(PROMPTS, profiles[::-1]).p[:, ::-1] - together).max() < 1e-4


def test_order_of_statements_changes_nothing(onnx, profiles):
    backwards = [p.model_copy(update={"model": "x", "statements": p.statements[::-1]}) for p in profiles[:3]]
    assert np.array_equal(onnx.capabilities(backwards), onnx.capabilities(profiles[:3]))


def test_shipped_embeddings_are_what_psi_computes(name, onnx, profiles):
    fresh = load_scorer(name, keep=False)
    fresh._shipped = {}
    assert np.abs(fresh.capabilities(profiles) - onnx.capabilities(profiles)).max() < 1e-4


def test_a_better_profile_scores_higher(onnx):
    weak, strong = (
        CapabilityProfile.from_benchmarks("m", {"MMLU-Pro": a, "GPQA": b, "MATH-500": c})
        for a, b, c in ((0.3, 0.28, 0.3), (0.85, 0.8, 0.95))
    )
    scores = onnx.score(PROMPTS, [weak, strong]).p
    assert (scores[:, 1] > scores[:, 0]).all()


def test_backends_agree(onnx, torch_scorer, profiles):
    novel = CapabilityProfile.from_benchmarks("new", {"GPQA": 0.5, "Our own exam": 0.7})
    everyone = [*profiles, novel]
    ours = onnx.score(PROMPTS, everyone).p
    reference = torch_scorer.score(PROMPTS, everyone)
    assert np.abs(ours - reference.p).mean() <= 0.01, "prompts as odd as these are no measure of real ones"
    assert np.abs(ours - reference.p).max() <= 0.04
    fields = onnx.score(PROMPTS, everyone)
    assert fields.fields == reference.fields
    assert np.abs(fields.shares - reference.shares).max(initial=0.0) <= 0.05


def test_five_hundred_candidates(onnx, profiles):
    assert onnx.score(PROMPTS[:1], (profiles * 42)[:500]).p.shape == (1, 500)


@pytest.fixture
def copy(tmp_path):
    folder = tmp_path / "modelsat-nano"
    folder.mkdir()
    for entry in locate("modelsat-nano").iterdir():
        if entry.name != "model.safetensors":
            shutil.copy(entry, folder)
    return folder


def test_damaged_weights_are_refused_by_name(copy):
    with (copy / "model.onnx").open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"\x00\x01\x02")
    with pytest.raises(CheckpointError, match=r"model\.onnx.*does not match"):
        load_scorer(copy)


def test_a_wheel_has_no_torch_weights(copy):
    pytest.importorskip("torch", reason="the torch backend needs the extra 'torch'")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        load_scorer(copy, backend="torch")


def test_truncated_safetensors_with_a_matching_manifest(copy):
    pytest.importorskip("torch", reason="the torch backend needs the extra 'torch'")
    (copy / "model.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{broken")
    write_manifest(copy)
    with pytest.raises(CheckpointError, match="cannot load"):
        load_scorer(copy, backend="torch")


def test_nonsense_onnx_with_a_matching_manifest(copy):
    (copy / "model.onnx").write_bytes(b"not a graph")
    write_manifest(copy)
    with pytest.raises(CheckpointError, match="cannot load"):
        load_scorer(copy)


@pytest.mark.parametrize("name", ["model.onnx", "psi.onnx"])
def test_a_graph_that_keeps_its_weights_in_another_file_is_refused(copy, monkeypatch, name):
    import onnx

    graph = onnx.load(copy / name)
    onnx.save_model(graph, copy / name, save_as_external_data=True, location="more.bin", size_threshold=0)
    assert (copy / "more.bin").stat().st_size > 100_000
    write_manifest(copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("MODELSAT_CACHE_DIR", str(copy / "cache"))
    with pytest.raises(CheckpointError, match=rf"cannot load .*{name}"):
        load_scorer(copy).score(["a prompt"], [make_profile("unknown to the checkpoint", 0.123)])


def test_unknown_backend_and_threads(monkeypatch):
    with pytest.raises(ConfigurationError, match="onnx, torch"):
        load_scorer(backend="tpu")
    monkeypatch.setenv("MODELSAT_THREADS", "many")
    with pytest.raises(ConfigurationError, match="MODELSAT_THREADS"):
        load_scorer()


@pytest.mark.parametrize(("said", "asked", "found"), [(None, None, 0), (None, 1, 1), ("3", 1, 3), ("0", 1, 0)])
def test_the_environment_goes_before_the_threads_asked_for(monkeypatch, said, asked, found):
    monkeypatch.delenv("MODELSAT_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("MODELSAT_THREADS", said)
    assert load_scorer(keep=False, threads=asked)._phi.get_session_options().intra_op_num_threads == found
