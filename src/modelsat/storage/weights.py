"""Weights on the Hub: fetched into the client's cache at a pinned commit and checked, or pushed from a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from modelsat.errors import CheckpointError
from modelsat.storage.base import ADAPTER_FILE
from modelsat.storage.checkpoint import MANIFEST, open_checkpoint, read_manifest, shipped_folders
from modelsat.storage.hub import HubReference, Token, api, ask, cache_folder, make_repository, reference

_NEEDED = ("config.json", "tokenizer.json")
_NETWORKS = ("model.onnx", "model.safetensors", ADAPTER_FILE)


def push(
    folder: str | os.PathLike[str],
    repo: str,
    *,
    revision: str | None = None,
    private: bool | None = None,
    message: str | None = None,
    token: Token = None,
) -> HubReference:
    """Upload a checkpoint folder, every file checked first, as one commit; the repository is made if need be.

    Args:
        folder: The checkpoint folder, or the name of shipped weights.
        repo: ``"org/name"``, or ``"org/name@branch"``.
        revision: Branch, made if need be; main if not given.
        private: Whether a new repository is private; the account's default if not given.
        message: Message of the commit.
        token: Token with the right to write.

    Returns:
        The repository at the new commit.

    Raises:
        CheckpointError: The folder is not a whole checkpoint, or the Hub refuses.
    """
    target = reference(repo, "model", revision, CheckpointError)
    if target.pinned:
        raise CheckpointError(f"{repo} is a commit, which cannot be changed: push to a branch, org/name@branch")
    checkpoint = open_checkpoint(folder)
    lacking = [name for name in _NEEDED if name not in checkpoint.digests]
    if lacking or not any(name in checkpoint.digests for name in _NETWORKS):
        missing = ", ".join([*lacking, *([] if lacking else [" or ".join(_NETWORKS)])])
        raise CheckpointError(f"{checkpoint.path} is not a whole checkpoint: {missing} is missing")
    checkpoint.verify()
    make_repository(target, CheckpointError, private, token)
    made = ask(
        f"pushing to {target}",
        CheckpointError,
        api(token).upload_folder,
        repo_id=target.repo,
        folder_path=checkpoint.path,
        revision=target.revision,
        allow_patterns=[MANIFEST, *checkpoint.digests],
        commit_message=message or f"Upload {checkpoint.version}",
    )
    return target.at(str(made.oid))


@dataclass(frozen=True, slots=True)
class KnownWeights:
    """Weights that can be used without a network."""

    name: str  # what `Router(weights=...)` takes: a shipped name, or repository and commit
    path: Path
    revisions: tuple[str, ...]  # branches and tags that stood for the commit when it was downloaded
    size: int  # bytes of the files that are there
    missing: tuple[str, ...]  # files of the manifest that were not downloaded


def known_weights() -> list[KnownWeights]:
    """What ships with the package and what the Hub's cache holds, by name. Asks no network."""
    shipped = [_known(path.name, path, ()) for path in shipped_folders()]
    cached = []
    for manifest in sorted(cache_folder().glob(f"models--*--*/snapshots/*/{MANIFEST}")):
        folder, repository = manifest.parent, manifest.parents[2]
        names = (str(ref.relative_to(repository / "refs")) for ref in (repository / "refs").rglob("*") if ref.is_file())
        revisions = tuple(sorted(n for n in names if (repository / "refs" / n).read_text("utf-8") == folder.name))
        repo = repository.name.removeprefix("models--").replace("--", "/", 1)
        cached.append(_known(f"{repo}@{folder.name}", folder, revisions))
    return [weights for weights in (*shipped, *cached) if weights is not None]


def _known(name: str, folder: Path, revisions: tuple[str, ...]) -> KnownWeights | None:
    try:
        digests = read_manifest(folder)
    except CheckpointError:
        return None  # somebody else's repository that has a file of this name
    there = [folder / file for file in (MANIFEST, *digests) if (folder / file).is_file()]
    missing = tuple(file for file in digests if not (folder / file).is_file())
    return KnownWeights(name, folder, revisions, sum(path.stat().st_size for path in there), missing)
