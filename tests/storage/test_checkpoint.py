"""Checkpoints are checked file by file before anything in them is used."""

from __future__ import annotations

import json
import os

import pytest

from modelsat.errors import CheckpointError
from modelsat.storage.checkpoint import MANIFEST, locate, open_checkpoint, write_manifest


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
