"""Checkpoints are checked file by file before anything in them is used."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelsat.errors import CheckpointError
from modelsat.network.exported import _key, with_export
from modelsat.storage.checkpoint import (
    MANIFEST,
    Checkpoint,
    locate,
    open_checkpoint,
    read_manifest,
    sha256,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "mine"
    path.mkdir()
    (path / "config.json").write_text('{"a": 1}')
    (path / "model.onnx").write_bytes(b"weights")
    (path / "README.md").write_text("card")
    write_manifest(path)
    return path


def test_a_sound_checkpoint(folder):
    checkpoint = open_checkpoint(folder)
    assert checkpoint.file("model.onnx").read_bytes() == b"weights"
    assert checkpoint.json("config.json") == {"a": 1}
    assert checkpoint.version.startswith("mine@")


def test_version_follows_weights_and_not_the_card(folder):
    version = open_checkpoint(folder).version
    (folder / "README.md").write_text("a better card")
    write_manifest(folder)
    assert open_checkpoint(folder).version == version
    (folder / "model.onnx").write_bytes(b"other")
    write_manifest(folder)
    assert open_checkpoint(folder).version != version


def test_a_changed_file_is_refused_by_name(folder):
    (folder / "model.onnx").write_bytes(b"weightz")
    checkpoint = open_checkpoint(folder)
    with pytest.raises(CheckpointError, match=r"model\.onnx.*does not match"):
        checkpoint.file("model.onnx")
    assert checkpoint.json("config.json") == {"a": 1}, "other files stay usable"


def test_a_missing_file(folder):
    (folder / "model.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"model\.onnx is missing"):
        open_checkpoint(folder).file("model.onnx")


def test_an_unlisted_file_is_passed_over(folder):
    (folder / "LICENSE").write_text("of the repository")
    (folder / "assets").mkdir()
    checkpoint = open_checkpoint(folder)
    assert checkpoint.verify() == 3
    for use in (checkpoint.file, checkpoint.read):
        with pytest.raises(CheckpointError, match="LICENSE is not listed"):
            use("LICENSE")


def test_what_was_checked_is_what_is_used(folder, monkeypatch):
    checkpoint = open_checkpoint(folder)
    opened = []
    monkeypatch.setattr(
        "builtins.open", lambda *args, real=open, **options: opened.append(args) or real(*args, **options)
    )
    assert checkpoint.read("model.onnx") == b"weights"
    assert len(opened) == 1
    (folder / "model.onnx").write_bytes(b"weightz")
    with pytest.raises(CheckpointError, match=r"model\.onnx.*does not match"):
        checkpoint.read("model.onnx")


@pytest.mark.parametrize("name", ["fields.safetensors", "capabilities.safetensors"])
def test_the_version_names_all_that_decides(folder, name):
    versions = set()
    for content in (None, b"one", b"two"):
        if content is not None:
            (folder / name).write_bytes(content)
            write_manifest(folder)
        versions.add(open_checkpoint(folder).version)
    assert len(versions) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_a_file_of_a_checkpoint(folder):
    checkpoint = open_checkpoint(folder)
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    with pytest.raises(CheckpointError, match=r"model\.onnx"):
        checkpoint.read("model.onnx")


def test_asking_for_a_file_outside_the_manifest(folder):
    with pytest.raises(CheckpointError, match="not listed"):
        open_checkpoint(folder).file("../secret")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3}', '{"files": ['])
def test_an_unreadable_manifest(folder, content):
    (folder / MANIFEST).write_text(content)
    with pytest.raises(CheckpointError, match=MANIFEST):
        open_checkpoint(folder)


def test_json_that_is_none(folder):
    (folder / "config.json").write_text("{")
    write_manifest(folder)
    with pytest.raises(CheckpointError, match="not valid JSON"):
        open_checkpoint(folder).json("config.json")
    (folder / "config.json").write_text("[]")
    write_manifest(folder)
    with pytest.raises(CheckpointError, match="JSON object"):
        open_checkpoint(folder).json("config.json")


def test_unknown_weights_name_what_ships():
    with pytest.raises(CheckpointError, match="no checkpoint at 'nothing-here'"):
        locate("nothing-here")


def test_weights_that_no_longer_ship_name_what_stands_in_for_them():
    with pytest.raises(CheckpointError, match=r"modelsat-pico no longer ships: .* 'modelsat-nano'"):
        locate("modelsat-pico")


def test_manifest_lists_every_file(folder):
    listed = json.loads((folder / MANIFEST).read_text())["files"]
    assert set(listed) == {"config.json", "model.onnx", "README.md"}


def test_files_of_the_repository_are_passed_over_and_change_no_version(folder):
    version = open_checkpoint(folder).version
    manifest = json.loads((folder / MANIFEST).read_text())
    for content in ("one", "two"):
        manifest["files"].update(dict.fromkeys((".gitattributes", "assets/plot.png"), "0" * 64))
        (folder / "LICENSE").write_text(content)
        manifest["files"]["LICENSE"] = sha256(folder / "LICENSE")
        (folder / MANIFEST).write_text(json.dumps(manifest))
        checkpoint = open_checkpoint(folder)
        assert checkpoint.version == version
        assert ".gitattributes" not in checkpoint.digests
        assert checkpoint.verify() == 4


def test_a_manifest_that_is_written_lists_no_dot_files(folder):
    (folder / ".gitattributes").write_text("of the repository")
    write_manifest(folder)
    assert ".gitattributes" not in json.loads((folder / MANIFEST).read_text())["files"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_without_opening_it(folder, monkeypatch):
    for name in (MANIFEST, "README.md"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_manifest(folder)
    with pytest.raises(CheckpointError, match=r"README\.md is missing"):
        Checkpoint(folder, {"README.md": "0" * 64}, "org/name@commit").verify()


BASE = SimpleNamespace(sha256="0" * 64)
ADAPTERS = Checkpoint(Path("adapters"), {"adapter.safetensors": "1" * 64, "config.json": "2" * 64})


@pytest.fixture
def exported(tmp_path):
    """A folder of the cache that holds an export of ``ADAPTERS``."""
    made = tmp_path / "cache" / "exported" / _key(ADAPTERS, BASE)
    made.mkdir(parents=True, mode=0o755)
    for place in (made, *made.parents[:2]):
        place.chmod(0o755)
    (made / "model.onnx").write_bytes(b"one")
    write_manifest(made)
    for file in made.iterdir():
        file.chmod(0o644)
    return made


def test_the_version_names_the_export_too(exported, tmp_path):
    versions = set()
    for content in (b"one", b"two"):
        (exported / "model.onnx").write_bytes(content)
        write_manifest(exported)
        checkpoint = with_export(ADAPTERS, BASE, cache_dir=tmp_path / "cache")
        assert checkpoint.read("model.onnx") == content
        versions |= {checkpoint.version, replace(checkpoint, pinned="org/name@commit").version}
    assert len(versions) == 4


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_an_export_that_others_may_write_is_not_used(exported, tmp_path):
    for place in (exported / "model.onnx", exported, exported.parent, tmp_path / "cache"):
        place.chmod(0o777)
        with pytest.raises(CheckpointError, match=r"is not used: .* may be written by others"):
            with_export(ADAPTERS, BASE, cache_dir=tmp_path / "cache")
        place.chmod(0o755 if place.is_dir() else 0o644)
    assert with_export(ADAPTERS, BASE, cache_dir=tmp_path / "cache").read("model.onnx") == b"one"
