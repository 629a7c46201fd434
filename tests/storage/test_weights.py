"""Weights on the Hub, with the real client against a server on loopback: what is fetched, kept, refused and pushed."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelsat.errors import CheckpointError, HubError
from modelsat.storage.checkpoint import MANIFEST, fetch, open_checkpoint, write_manifest
from modelsat.storage.hub import HubReference, dataset_file, parse_reference
from modelsat.storage.weights import push
from tests.hub_server import LARGE, FakeHub, Fault

FILES = {
    "config.json": b'{"model_type": "modelsat"}',
    "tokenizer.json": b"{}",
    "README.md": b"# mine\n",
    "model.onnx": bytes(range(256)) * 64,
}

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's, on uploads


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    for name, data in FILES.items():
        (path / name).write_bytes(data)
    write_manifest(path)
    return path


@pytest.fixture
def content(folder: Path) -> dict[str, bytes]:
    return {".gitattributes": b"x", "notes.txt": b"y", **{path.name: path.read_bytes() for path in folder.iterdir()}}


@pytest.fixture
def commit(hub: FakeHub, content: dict[str, bytes]) -> str:
    assert len(content["model.onnx"]) > LARGE, "large files lie behind a redirect"
    return hub.repository("org/mine", content)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", ("org/name", "main")),
        ("org/name@v1", ("org/name", "v1")),
        ("org/name.v2@refs/pr/3", ("org/name.v2", "refs/pr/3")),
        *(
            (text, None)
            for text in ("nano", "./runs", "../x/y", "a/b/c", "org/name@", "org/..", "~/x", "C:\\x", "/a/b", "a/b c")
        ),
    ],
)
def test_what_is_a_reference(text: str, expected: tuple[str, str] | None) -> None:
    found = parse_reference(text)
    assert (found and (found.repo, found.revision)) == expected


def test_a_branch_is_fetched_pinned_and_checked(hub: FakeHub, commit: str) -> None:
    checkpoint = open_checkpoint("org/mine")
    assert checkpoint.version == f"org/mine@{commit}"
    assert checkpoint.path.name == commit
    assert checkpoint.file("model.onnx").read_bytes() == FILES["model.onnx"]
    assert not (checkpoint.path / "notes.txt").exists(), "what the manifest does not list is not downloaded"
    assert any("modelsat/" in agent for agent in hub.agents)
    hub.requests.clear()
    again = open_checkpoint(checkpoint.version)
    assert again.file("config.json").read_bytes() == FILES["config.json"]
    assert hub.requests == [], "a pinned commit in the cache needs no network"


def test_a_branch_that_moves_is_followed_and_a_tag_stays(hub: FakeHub, commit: str, folder: Path) -> None:
    hub.repositories["model", "org/mine"].names["v1"] = commit
    assert open_checkpoint("org/mine@v1").version == open_checkpoint("org/mine").version
    (folder / "config.json").write_bytes(b'{"model_type": "modelsat", "a": 1}')
    write_manifest(folder)
    newer = hub.repositories["model", "org/mine"].commit({p.name: p.read_bytes() for p in folder.iterdir()})
    before = hub.count("objects")
    assert open_checkpoint("org/mine").version == f"org/mine@{newer}"
    assert hub.count("objects") == before, "files that did not change are not downloaded again"
    assert open_checkpoint("org/mine@v1").version == f"org/mine@{commit}"


def test_files_that_are_not_needed_are_left_out(hub: FakeHub, commit: str) -> None:
    checkpoint = open_checkpoint("org/mine", without=("model.onnx", "README.md"))
    assert sorted(path.name for path in checkpoint.path.iterdir()) == [MANIFEST, "config.json", "tokenizer.json"]
    assert hub.count("model.onnx") == 0
    assert open_checkpoint("org/mine").file("model.onnx")


def test_a_folder_of_that_name_goes_first(hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "org").mkdir()
    folder.rename(folder.parent / "org" / "mine")
    monkeypatch.chdir(folder.parent)
    assert open_checkpoint("org/mine").version.startswith("mine@")
    assert hub.requests == []


def test_the_token_is_sent_and_gated_repositories_open(hub: FakeHub, content: dict[str, bytes]) -> None:
    hub.repository("org/gated", content, gated=True)
    for token, message in ((None, "gated"), ("hf_reader", "gated"), ("hf_nobody", "token was not accepted")):
        with pytest.raises(CheckpointError, match=rf"org/gated@main: .*{message}.*hf auth login.*HF_TOKEN"):
            open_checkpoint("org/gated", token=token)
    assert open_checkpoint("org/gated", token="hf_writer").file("model.onnx")


def test_a_token_of_the_environment(hub: FakeHub, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repository("org/secret", content, private=True)
    with pytest.raises(
        CheckpointError, match=r"no such repository on http://127.*or it is private.*no folder org/secret"
    ):
        open_checkpoint("org/secret")
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    assert open_checkpoint("org/secret").file("config.json")


@pytest.mark.parametrize("token", [None, "hf_reader"])
def test_missing_repositories_revisions_and_manifests(hub: FakeHub, commit: str, token: str | None) -> None:
    hub.repository("org/other", {"model.bin": b"x"})
    for weights, message in (
        ("org/none", "no such repository"),
        ("org/mine@v9", "org/mine@v9: there is no such revision"),
        (f"org/mine@{'0' * 40}", "there is no such revision"),
        ("org/other", "org/other@main holds no weights of modelsat: it has no MANIFEST.json"),
    ):
        with pytest.raises(CheckpointError, match=message):
            open_checkpoint(weights, token=token)


@pytest.mark.parametrize(
    ("status", "message"),
    [(429, "slow down"), (500, "in trouble .500."), (503, "in trouble .503."), (403, "not allow")],
)
def test_refusals_are_explained(hub: FakeHub, commit: str, status: int, message: str) -> None:
    hub.faults = [Fault("GET /api/models/org/mine", status=status)]
    with pytest.raises(CheckpointError, match=f"org/mine@main: .*{message}"):
        open_checkpoint("org/mine")
    assert hub.count("/api/models/org/mine") == (1 if status == 403 else 3), "what may pass is tried again"


def test_troubles_that_pass_are_got_over(hub: FakeHub, commit: str) -> None:
    hub.faults = [
        Fault("GET /api/models/org/mine/revision", times=2, status=503),
        Fault("HEAD /org/mine/resolve/.*/config.json", times=1, status=500),
        Fault("GET /objects", times=1, status=429, headers={"Retry-After": "0"}),
        Fault("GET /org/mine/resolve/.*/tokenizer.json", times=1, status=502),
    ]
    assert open_checkpoint("org/mine").file("model.onnx").read_bytes() == FILES["model.onnx"]


def test_a_cut_connection_is_resumed_where_it_was(hub: FakeHub, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.faults = [Fault("GET /objects", times=2, cut=5000)]
    assert open_checkpoint("org/mine").file("model.onnx").read_bytes() == FILES["model.onnx"]
    assert hub.ranges[:2] == ["bytes=5000-", "bytes=10000-"]


def test_a_connection_that_is_always_cut(hub: FakeHub, commit: str) -> None:
    hub.faults = [Fault("GET /objects", cut=0)]
    with pytest.raises(CheckpointError, match=r"cut off; run it again"):
        open_checkpoint("org/mine")
    hub.faults = []
    before = hub.count("GET /org/mine/resolve/.*/config.json")
    assert open_checkpoint("org/mine").file("model.onnx")
    assert hub.count("GET /org/mine/resolve/.*/config.json") == before, "files that were complete are kept"


def test_wrong_bytes_are_refused_and_not_kept(hub: FakeHub, commit: str) -> None:
    hub.faults = [Fault("GET /objects", times=1, wrong=True)]
    with pytest.raises(
        CheckpointError, match=rf"model.onnx of org/mine@{commit} is not what MANIFEST.json says.*again"
    ):
        open_checkpoint("org/mine")
    assert open_checkpoint("org/mine").file("model.onnx").read_bytes() == FILES["model.onnx"]


def test_a_card_that_was_edited_on_the_hub(hub: FakeHub, commit: str, caplog: pytest.LogCaptureFixture) -> None:
    edited = hub.repositories["model", "org/mine"].commit({"README.md": b"# better"})
    checkpoint = open_checkpoint("org/mine")
    assert checkpoint.version == f"org/mine@{edited}"
    assert checkpoint.verify() == len(FILES)
    assert "README.md is not as the manifest says; perhaps it was edited there" in caplog.text


def test_a_damaged_cache_is_named_and_mended(hub: FakeHub, commit: str) -> None:
    path = open_checkpoint("org/mine").file("model.onnx").resolve()
    path.write_bytes(b"rot")
    with pytest.raises(CheckpointError, match=f"weights download org/mine@{commit} --force"):
        open_checkpoint("org/mine").file("model.onnx")
    fetch(HubReference("org/mine", commit), force=True).verify()
    (open_checkpoint("org/mine").path / MANIFEST).resolve().write_bytes(b"{")
    with pytest.raises(CheckpointError, match=f"no readable MANIFEST.*weights download org/mine@{commit} --force"):
        open_checkpoint("org/mine")
    fetch(HubReference("org/mine", commit), force=True).verify()


def test_a_manifest_that_lists_what_is_not_there(hub: FakeHub, content: dict[str, bytes]) -> None:
    hub.repository("org/half", {name: data for name, data in content.items() if name != "tokenizer.json"})
    with pytest.raises(CheckpointError, match=r"incomplete: MANIFEST.json lists tokenizer.json, which the repository"):
        open_checkpoint("org/half")


@pytest.mark.parametrize(
    "manifest",
    [
        b'{"files": {"../secret": "%s"}}' % (b"0" * 64),
        b'{"files": {"a*": "%s"}}' % (b"0" * 64),
        b'{"files": {"/etc/passwd": "%s"}}' % (b"0" * 64),
        b'{"files": {"model.onnx": "nonsense"}}',
        b'{"files": ["model.onnx"]}',
        b"[" * 100_000,
        b"<html>",
        b" " * (1 << 20) + b"{}",
    ],
)
def test_manifests_that_are_none(hub: FakeHub, manifest: bytes) -> None:
    hub.repository("org/bad", {MANIFEST: manifest})
    with pytest.raises(CheckpointError, match=r"no readable MANIFEST.json|not a file of a checkpoint"):
        open_checkpoint("org/bad")
    assert hub.count("/tree/") == 0


def test_offline(hub: FakeHub, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_checkpoint("org/mine", without=("README.md",))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    assert open_checkpoint("org/mine", without=("README.md",)).version == f"org/mine@{commit}"
    assert open_checkpoint(f"org/mine@{commit}", without=("README.md",)).file("model.onnx")
    with pytest.raises(CheckpointError, match=r"not whole in the cache .README.md missing., and HF_HUB_OFFLINE is set"):
        open_checkpoint("org/mine")
    for weights in ("org/other", "org/mine@v2", f"org/mine@{'1' * 40}"):
        with pytest.raises(CheckpointError, match=r"not in the cache .*, and HF_HUB_OFFLINE is set"):
            open_checkpoint(weights)
    assert hub.requests == []


def test_a_hub_that_is_down_leaves_what_is_cached(
    hub: FakeHub, commit: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    open_checkpoint("org/mine")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, "modelsat"):
        assert open_checkpoint("org/mine").version == f"org/mine@{commit}"
    assert f"going on with what is cached, org/mine@{commit}" in caplog.text
    with pytest.raises(CheckpointError, match=r"cannot reach http://127.0.0.1:9 .*HF_ENDPOINT"):
        open_checkpoint("org/other")


def test_access_taken_away_is_not_hidden_by_the_cache(hub: FakeHub, commit: str) -> None:
    open_checkpoint("org/mine")
    hub.repositories["model", "org/mine"].gated = True
    with pytest.raises(CheckpointError, match="gated"):
        open_checkpoint("org/mine")


def test_a_full_disk(hub: FakeHub, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", full)
        with pytest.raises(CheckpointError, match=r"the disk is full .*hub-cache.*HF_HUB_CACHE"):
            open_checkpoint("org/mine")
    assert open_checkpoint("org/mine").file("model.onnx"), "and once there is room again"


def test_a_renamed_repository(hub: FakeHub, commit: str) -> None:
    hub.moved["org/old"] = "org/mine"
    assert dataset_or_model(hub, "org/old").read_bytes() == FILES["config.json"]


def dataset_or_model(hub: FakeHub, repo: str) -> Path:
    from modelsat.storage.hub import download

    return download(HubReference(repo), "config.json", HubError)


def test_a_file_of_a_data_set(hub: FakeHub) -> None:
    commit = hub.repository("org/questions", {"data/test.parquet": b"PAR1" * 5000}, kind="dataset")
    path = dataset_file("org/questions", "data/test.parquet", commit)
    assert path.read_bytes() == b"PAR1" * 5000
    hub.requests.clear()
    assert dataset_file("org/questions", "data/test.parquet", commit) == path
    assert hub.requests == []
    for repo, name, message in (
        ("org/none", "x", "no such repository"),
        ("org/questions", "x", "no such file"),
        ("org/que stions", "x", "not a name of a repository"),
    ):
        with pytest.raises(HubError, match=message):
            dataset_file(repo, name, "main")


def test_what_is_pushed_comes_back(hub: FakeHub, folder: Path) -> None:
    pinned = push(folder, "org/new", token="hf_writer", private=True)
    assert open_checkpoint(str(pinned), token="hf_reader").digests == open_checkpoint(folder).digests
    assert hub.repositories["model", "org/new"].private
    assert set(hub.files("org/new")) == {".gitattributes", MANIFEST, *FILES}
    other = push(folder, "org/new@try", token="hf_writer", message="Again")
    assert hub.repositories["model", "org/new"].names["try"] == other.revision


def test_what_cannot_be_pushed(hub: FakeHub, folder: Path, commit: str) -> None:
    for repo, token, message in (
        ("mine", "hf_writer", "not a repository on the Hub"),
        (f"org/mine@{commit}", "hf_writer", "a commit, which cannot be changed"),
        ("org/new", None, "log in"),
        ("org/new", "hf_reader", "token does not allow"),
        ("org/mine", "hf_reader", "token does not allow"),
    ):
        with pytest.raises(CheckpointError, match=message):
            push(folder, repo, token=token)
    (folder / "model.onnx").write_bytes(b"changed")
    with pytest.raises(CheckpointError, match="does not match"):
        push(folder, "org/new", token="hf_writer")
    (folder / "model.onnx").unlink()
    write_manifest(folder)
    with pytest.raises(CheckpointError, match=r"not a whole checkpoint: model.onnx or .* or adapter.safetensors"):
        push(folder, "org/new", token="hf_writer")
    assert ("model", "org/new") not in hub.repositories


def test_local_weights_ask_no_hub_and_load_no_client(folder: Path) -> None:
    script = (
        "import sys; from modelsat.storage.checkpoint import open_checkpoint; open_checkpoint(sys.argv[1]).verify()\n"
        "from modelsat import Router; Router(['gpt-5', 'gpt-4o'], weights='modelsat-nano').route('Hi')\n"
        "print('huggingface_hub' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.strip() == "False"


def test_the_version_of_prepared_weights_names_weights_too(hub: FakeHub, commit: str) -> None:
    prepared = f"org/mine@{commit}+0123456789ab"
    assert open_checkpoint(prepared, without=("README.md",)).version == f"org/mine@{commit}"
