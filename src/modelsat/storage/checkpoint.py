"""Checkpoint folders: where they are, and the manifest that every file is checked against before use."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsat.errors import CheckpointError

MANIFEST = "MANIFEST.json"
SHIPPED = "modelsat-nano"
_TEXTS = frozenset({"README.md", "recipe.json", "results.json"})
"""Files that describe a checkpoint and do not change what it computes."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified view of a checkpoint folder.

    Attributes:
        path: The folder.
        digests: SHA-256 of every file, from the manifest.
    """

    path: Path
    digests: dict[str, str]

    @property
    def version(self) -> str:
        """Folder name and twelve digits of a hash over what decides, e.g. ``"modelsat-nano@1a2b3c4d5e6f"``."""
        joined = "".join(f"{name}:{digest}\n" for name, digest in sorted(self.digests.items()) if name not in _TEXTS)
        return f"{self.path.name}@{hashlib.sha256(joined.encode()).hexdigest()[:12]}"

    def file(self, name: str) -> Path:
        """Path of a file of the checkpoint, after its hash was checked.

        Raises:
            CheckpointError: The file is missing, not in the manifest, or not what the manifest says.
        """
        path = self.path / name
        if name not in self.digests:
            raise CheckpointError(
                f"{name} is not listed in {self.path / MANIFEST}: it cannot be checked and is not used"
            )
        if not path.is_file():
            raise CheckpointError(f"{path} is missing, though {MANIFEST} lists it: the checkpoint is incomplete")
        found = sha256(path)
        if found != self.digests[name]:
            raise CheckpointError(
                f"{path} does not match {MANIFEST} (SHA-256 {found[:12]}..., expected {self.digests[name][:12]}...): "
                "it is damaged or was changed; get the checkpoint again"
            )
        return path

    def json(self, name: str) -> dict[str, Any]:
        """Content of a JSON file of the checkpoint, after its hash was checked."""
        path = self.file(name)
        try:
            content = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise CheckpointError(f"{path} is not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise CheckpointError(f"{path} should hold a JSON object")
        return content


def open_checkpoint(weights: str | os.PathLike[str] = SHIPPED) -> Checkpoint:
    """Open a checkpoint by the name of shipped weights or by path, and check its list of files.

    Raises:
        CheckpointError: No such folder, no manifest, or a file in the folder that the manifest does not list.
    """
    path = locate(weights)
    try:
        content = json.loads((path / MANIFEST).read_text("utf-8"))
        digests = {str(name): str(digest) for name, digest in content["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} has no readable {MANIFEST}: it is not a modelsat checkpoint ({error})"
        ) from error
    unknown = sorted(entry.name for entry in path.iterdir() if entry.name not in {*digests, MANIFEST})
    if unknown:
        raise CheckpointError(f"{path} holds files that {MANIFEST} does not list: {', '.join(unknown)}; remove them")
    return Checkpoint(path, digests)


def locate(weights: str | os.PathLike[str]) -> Path:
    """Folder of shipped weights (inside the package, or ``weights/`` of a source checkout) or of a given path.

    Raises:
        CheckpointError: Nothing is there; the message lists what ships.
    """
    given = Path(weights)
    if given.is_dir():
        return given
    package = Path(__file__).resolve().parents[1]
    roots = (package / "weights", package.parents[1] / "weights")
    if given.name == str(weights):
        for root in roots:
            if (root / given).is_dir():
                return root / given
    shipped = sorted({entry.name for root in roots if root.is_dir() for entry in root.iterdir() if entry.is_dir()})
    raise CheckpointError(
        f"no checkpoint at {os.fspath(weights)!r}: give a folder or one of {', '.join(shipped) or '(none shipped)'}"
    )


def write_manifest(path: Path, files: Iterable[str] | None = None) -> None:
    """Write ``MANIFEST.json`` for the files of a folder (all of them by default)."""
    names = sorted(
        files if files is not None else (e.name for e in path.iterdir() if e.is_file() and e.name != MANIFEST)
    )
    content = {"format": 1, "files": {name: sha256(path / name) for name in names}}
    (path / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
