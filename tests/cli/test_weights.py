from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelsat.storage.checkpoint import open_checkpoint, shipped_folders, write_manifest
from tests.cli.conftest import Run
from tests.hub_server import FakeHub, Fault

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's, on uploads


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint"
    path.mkdir()
    for name in ("config.json", "tokenizer.json", "README.md"):
        (path / name).write_text("{}", "utf-8")
    (path / "model.onnx").write_bytes(b"network" * 1000)
    write_manifest(path)
    return path


def test_push_download_verify_and_list(run: Run, hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    pushed = run("weights", "push", folder, "org/mine", "--private", "-m", "First")
    assert pushed.exit_code == 0, pushed.stderr
    pinned = pushed.stdout.removeprefix("pushed: ").strip()
    assert pinned == f"org/mine@{hub.repositories['model', 'org/mine'].names['main']}"
    downloaded = run("weights", "download", "org/mine")
    assert downloaded.exit_code == 0, downloaded.stderr
    assert f"{pinned}: 4 files as in the manifest, 0.0 MB" in downloaded.stdout
    assert f"weights='{pinned}'" in downloaded.stdout
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run("weights", "verify", pinned, "org/mine", folder, "modelsat-nano").stdout.count("as in the manifest") == 4
    known = {entry["name"]: entry for entry in json.loads(run("weights", "list", "--json").stdout)}
    assert set(known) == {*(shipped.name for shipped in shipped_folders()), pinned}
    assert known[pinned]["revisions"] == ["main"]
    assert pinned in run("weights", "list").stdout


def test_damage_is_found(run: Run, hub: FakeHub, folder: Path) -> None:
    commit = hub.repository("org/mine", {path.name: path.read_bytes() for path in folder.iterdir()})
    open_checkpoint("org/mine").file("model.onnx").resolve().write_bytes(b"rot")
    result = run("weights", "verify", "org/mine")
    assert result.exit_code == 2
    assert f"modelsat weights download org/mine@{commit} --force" in result.stderr
    assert run("weights", "download", f"org/mine@{commit}").exit_code == 2
    assert run("weights", "download", f"org/mine@{commit}", "--force").exit_code == 0
    assert run("weights", "verify", "org/mine").exit_code == 0
    (folder / "model.onnx").write_bytes(b"rot")
    assert run("weights", "verify", folder).exit_code == 2


def test_all_that_is_known_is_verified(run: Run, hub: FakeHub, folder: Path) -> None:
    hub.repository("org/mine", {path.name: path.read_bytes() for path in folder.iterdir()})
    open_checkpoint("org/mine", without=("README.md",))
    result = run("weights", "verify")
    assert result.exit_code == 0, result.stderr
    assert "3 files as in the manifest, without README.md" in result.stdout
    assert "modelsat-nano@" in result.stdout
    assert "README.md" in run("weights", "list").stdout


def test_failures_are_one_line(run: Run, hub: FakeHub, folder: Path) -> None:
    hub.faults = [Fault("org/broken", status=500)]
    for arguments, message in (
        (("download", "org/none"), "no such repository"),
        (("download", "org/broken"), "in trouble (500)"),
        (("download", "nano"), "not a repository on the Hub"),
        (("verify", "no-such-weights"), "no checkpoint at"),
        (("push", folder, "org/new"), "hf auth login"),
        (("push", folder / "nowhere", "org/new"), "no checkpoint at"),
    ):
        result = run("weights", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["", "list", "download", "verify", "push"])
def test_help_has_examples(run: Run, command: str) -> None:
    result = run("weights", *([command] if command else []), "--help")
    assert result.exit_code == 0
    assert f"modelsat weights {command or 'push'}" in result.stdout
