"""Checkpoint folders: where they are, and the manifest that every file is checked against before use."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsat._files import read_regular
from modelsat.errors import CheckpointError
from modelsat.storage.hub import HubReference, Token, download, lacks, offline, parse_reference, resolve, snapshot

logger = logging.getLogger("modelsat")

MANIFEST = "MANIFEST.json"
CARD = "README.md"
SHIPPED = "modelsat-nano"
RETIRED = {"modelsat-pico": SHIPPED}
"""Weights of earlier releases, and what stands in for them."""
_BESIDE = frozenset({CARD, "recipe.json", "results.json"})
"""Files about the network: they decide nothing and are not part of its version."""
_LARGEST_MANIFEST = 1 << 20
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_BESIDE_THEM = re.compile(r"(?!.*\.\.)[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*")
"""Files of the repository rather than of the network, e.g. ``.gitattributes`` and ``assets/plot.png``."""
_DECIDES = (".json", ".onnx", ".safetensors", ".gguf")
_MADE = re.compile(r"(?<=@[0-9a-f]{40})\+[0-9a-f]{12}$")
"""What a version says of files that were made on the machine; another machine makes its own."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified view of a checkpoint folder."""

    path: Path
    digests: dict[str, str]  # SHA-256 of every file, from the manifest
    pinned: str = ""  # where it was downloaded from, `"org/name@<commit>"`; empty for local folders
    made: Checkpoint | None = None  # files made of it on this machine, which stand in for its own
    remedy: str = ""  # what to do about a damaged file, if it is not to get the checkpoint again

    @property
    def version(self) -> str:
        """Folder name and twelve digits of a hash over what decides, e.g. ``"modelsat-nano@1a2b3c4d5e6f"``.

        Of weights from the Hub, repository and commit: what ``Router(weights=...)`` takes to get the same again. Files
        that were made on this machine count as well: ``"+"`` and digits of them follow a commit.
        """
        made = {} if self.made is None else self.made.digests
        if self.pinned:
            return f"{self.pinned}+{_digest(made)}" if made else self.pinned
        return f"{self.path.name}@{_digest({**self.digests, **made})}"

    def file(self, name: str) -> Path:
        """Path of a file of the checkpoint, after its hash was checked.

        Raises:
            CheckpointError: The file is missing, not in the manifest, or not what the manifest says.
        """
        if self.made is not None and name in self.made.digests:
            return self.made.file(name)
        path, expected = self._listed(name)
        self._compare(path, sha256(path), expected)
        return path

    def read(self, name: str) -> bytes:
        """Content of a file of the checkpoint, read once: what was checked is what is used.

        Raises:
            CheckpointError: As :meth:`file`, or it is not a regular file.
        """
        if self.made is not None and name in self.made.digests:
            return self.made.read(name)
        path, expected = self._listed(name)
        try:
            data = read_regular(path)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
        self._compare(path, hashlib.sha256(data).hexdigest(), expected)
        return data

    def _listed(self, name: str) -> tuple[Path, str]:
        path = self.path / name
        if name not in self.digests:
            raise CheckpointError(
                f"{name} is not listed in {self.path / MANIFEST}: it cannot be checked and is not used"
            )
        if not path.is_file():
            raise CheckpointError(f"{path} is missing, though {MANIFEST} lists it: the checkpoint is incomplete")
        return path, self.digests[name]

    def _compare(self, path: Path, found: str, expected: str) -> None:
        if found != expected:
            remedy = self.remedy or "get the checkpoint again"
            if self.pinned and not self.remedy:
                remedy = f"download it again: `modelsat weights download {self.pinned} --force`"
            raise CheckpointError(
                f"{path} does not match {MANIFEST} (SHA-256 {found[:12]}..., expected {expected[:12]}...): "
                f"it is damaged or was changed; {remedy}"
            )

    def verify(self, names: Collection[str] | None = None, *, partial: bool = False) -> int:
        """Check files, all if not given; returns how many were checked.

        A card that was edited on the Hub is not a reason to refuse weights: if it does not match, the log says so. With
        ``partial``, files that are not there are passed over: the wheel ships less than a source checkout.

        Raises:
            CheckpointError: As :meth:`file`, for the first that is not as it should be.
        """
        asked = self.digests if names is None else names
        there = [name for name in asked if not partial or (self.path / name).exists()]
        for name in there:
            if name == CARD and self.pinned and (self.path / name).is_file():
                if sha256(self.path / name) != self.digests[name]:
                    logger.warning("%s: %s is not as the manifest says; perhaps it was edited there", self.pinned, name)
            else:
                self.file(name)
        return len(there)

    def json(self, name: str) -> dict[str, Any]:
        """Content of a JSON file of the checkpoint, after its hash was checked."""
        try:
            content = json.loads(self.read(name))
        except ValueError as error:
            raise CheckpointError(f"{self.path / name} is not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise CheckpointError(f"{self.path / name} should hold a JSON object")
        return content


def open_checkpoint(
    weights: str | os.PathLike[str] = SHIPPED, *, token: Token = None, without: Collection[str] = ()
) -> Checkpoint:
    """Open a checkpoint and check its list of files.

    Args:
        weights: Name of shipped weights, a folder, or a repository on the Hub: ``"org/name"`` or
            ``"org/name@revision"``. A folder of that name goes first.
        token: Token for the Hub; the one logged in with if not given.
        without: Files that need not be downloaded; nothing is left out of a folder.

    Raises:
        CheckpointError: No such folder or repository, no manifest, or a download that failed.
    """
    if isinstance(weights, str):
        weights = _MADE.sub("", weights)
    if isinstance(weights, str) and not Path(weights).is_dir() and (wanted := parse_reference(weights)) is not None:
        return fetch(wanted, token, without=without)
    path = locate(weights)
    return Checkpoint(path, read_manifest(path))


def fetch(
    wanted: HubReference, token: Token = None, *, without: Collection[str] = (), force: bool = False
) -> Checkpoint:
    """A checkpoint of the Hub in the cache; what is there already is not asked for again, unless ``force`` says so.

    A branch or tag is resolved to a commit first. The manifest is fetched, then what it lists but for ``without``, and
    nothing else. Files that were downloaded just now are all checked; those that do not match are thrown away.

    Raises:
        CheckpointError: The repository cannot be fetched or holds no checkpoint, or a file differs from its sum.
    """
    try:
        pinned = resolve(wanted, MANIFEST, CheckpointError, token)
        folder = download(pinned, MANIFEST, CheckpointError, token).parent
    except CheckpointError as error:
        cause = error.__cause__
        if cause is not None and lacks(cause, "Repository"):
            raise CheckpointError(f"{error}. There is no folder {wanted.repo} here either") from cause
        if cause is not None and lacks(cause, "Entry"):
            raise CheckpointError(f"{wanted} holds no weights of modelsat: it has no {MANIFEST}") from cause
        raise
    if force and not offline():
        snapshot(pinned, [MANIFEST], CheckpointError, token, force=True)
    try:
        checkpoint = Checkpoint(folder, read_manifest(folder), str(pinned))
    except CheckpointError as error:
        hint = "" if force else f". If the cache is damaged: `modelsat weights download {pinned} --force`"
        raise CheckpointError(f"{error}{hint}") from error
    names = [name for name in checkpoint.digests if name not in without]
    missing = [name for name in names if force or not (folder / name).is_file()]
    if missing:
        if offline():
            raise CheckpointError(
                f"{pinned} is not whole in the cache ({', '.join(missing)} missing), and HF_HUB_OFFLINE is set: unset "
                f"it, or run `modelsat weights download {pinned}` where there is a network"
            )
        snapshot(pinned, missing, CheckpointError, token, force=force)
        _check(checkpoint, missing)
    return checkpoint


def read_manifest(path: Path) -> dict[str, str]:
    """SHA-256 of every file of a checkpoint folder, from its manifest. Files that it does not list are never used.

    Raises:
        CheckpointError: There is no manifest, or it is not one.
    """
    try:
        content = json.loads(read_regular(path / MANIFEST, _LARGEST_MANIFEST))
        digests = {str(name): str(digest) for name, digest in content["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} has no readable {MANIFEST}: it is not a modelsat checkpoint ({error})"
        ) from error
    for name, digest in digests.items():
        if not _BESIDE_THEM.fullmatch(name) or not _DIGEST.fullmatch(digest):
            raise CheckpointError(f"{path / MANIFEST} lists {name[:80]!r}, not a file of a checkpoint: not used")
    return {name: digest for name, digest in digests.items() if _FILE_NAME.fullmatch(name)}


def locate(weights: str | os.PathLike[str]) -> Path:
    """Folder of shipped weights or of a given path; raises CheckpointError with what ships if nothing is there."""
    given = Path(weights)
    if given.is_dir():
        return given
    shipped = {folder.name: folder for folder in shipped_folders()}
    if str(weights) in shipped:
        return shipped[str(weights)]
    if str(weights) in RETIRED:
        raise CheckpointError(f"{weights} no longer ships: leave weights out, or write {RETIRED[str(weights)]!r}")
    raise CheckpointError(
        f"no checkpoint at {os.fspath(weights)!r}: give a folder, one of {', '.join(shipped) or '(none shipped)'}, or "
        "a repository on the Hub, org/name@revision"
    )


def shipped_folders() -> list[Path]:
    """Folders of the weights that ship (inside the package, or ``weights/`` of a source checkout), by name."""
    package = Path(__file__).resolve().parents[1]
    roots = (package.parents[1] / "weights", package / "weights")
    found = {entry.name: entry for root in roots if root.is_dir() for entry in root.iterdir() if entry.is_dir()}
    return [found[name] for name in sorted(found)]


def shipped_name(version: str) -> str | None:
    """Name of the weights that ship, out of a version such as ``"modelsat-nano@1a2b3c4d5e6f"``; ``None`` of others."""
    name = version.partition("@")[0]
    return name if name in {folder.name for folder in shipped_folders()} else None


def write_manifest(path: Path, files: Iterable[str] | None = None) -> None:
    """Write ``MANIFEST.json`` for the files of a folder (all of them by default)."""
    there = (entry.name for entry in path.iterdir() if entry.is_file() and _FILE_NAME.fullmatch(entry.name))
    names = sorted(set(there if files is None else files) - {MANIFEST})
    content = {"format": 1, "files": {name: sha256(path / name) for name in names}}
    (path / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _digest(digests: Mapping[str, str]) -> str:
    """Twelve digits of a hash over what decides."""
    decides = ((name, of) for name, of in sorted(digests.items()) if name.endswith(_DECIDES) and name not in _BESIDE)
    joined = "".join(f"{name}:{of}\n" for name, of in decides)
    return hashlib.sha256(joined.encode()).hexdigest()[:12]


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _check(checkpoint: Checkpoint, names: Collection[str]) -> None:
    """Check files that were downloaded just now; the cache keeps none that is wrong."""
    for name in names:
        path = checkpoint.path / name
        if not path.exists():
            raise CheckpointError(
                f"{checkpoint.pinned} is incomplete: {MANIFEST} lists {name}, which the repository lacks"
            )
        try:
            checkpoint.verify([name])
        except CheckpointError as error:
            for wrong in {path, path.resolve()}:
                wrong.unlink(missing_ok=True)
            raise CheckpointError(
                f"{name} of {checkpoint.pinned} is not what {MANIFEST} says: the download or the repository is "
                "damaged. The file was thrown away; run it again, and tell the author if it stays so"
            ) from error
