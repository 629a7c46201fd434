"""The Hugging Face Hub: references to repositories, and files of them in the client's own cache.

Everything goes through huggingface_hub, so its token, cache, offline mode, mirrors and progress bars apply. It is
imported at the first call. ``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and the cache's place are read at every call.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelsat.errors import HubError, ModelSATError
from modelsat.storage.hub_errors import ask, cache_folder, offline, unreachable

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Kind = Literal["model", "dataset"]
Token = str | bool | None
"""A token; ``None``: the one logged in with, or ``HF_TOKEN``; ``False``: none."""

DEFAULT_REVISION = "main"
logger = logging.getLogger("modelsat")
_REFERENCE = re.compile(r"(?P<repo>\w[\w.-]{0,95}/\w[\w.-]{0,95})(?:@(?P<revision>[\w./+-]+))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository at a revision.

    Attributes:
        repo: ``"org/name"``.
        revision: A branch, tag or commit.
        kind: Kind of repository.
    """

    repo: str
    revision: str = DEFAULT_REVISION
    kind: Kind = "model"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit hash, which never changes its content."""
        return _COMMIT.fullmatch(self.revision) is not None

    def at(self, revision: str) -> HubReference:
        """The same repository at another revision."""
        return HubReference(self.repo, revision, self.kind)

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"


def parse_reference(text: str, kind: Kind = "model", revision: str | None = None) -> HubReference | None:
    """Read ``"org/name"`` or ``"org/name@revision"``; ``None`` if it is nothing of the kind.

    Args:
        text: What may be a reference.
        kind: Kind of repository.
        revision: Used if the text names none.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None or ".." in text:
        return None
    return HubReference(match["repo"], match["revision"] or revision or DEFAULT_REVISION, kind)


def reference(
    text: str, kind: Kind, revision: str | None = None, error: type[ModelSATError] = HubError
) -> HubReference:
    """:func:`parse_reference`, or an error.

    Raises:
        ModelSATError: Of class ``error``: ``text`` is not a reference.
    """
    found = parse_reference(text, kind, revision)
    if found is None:
        raise error(f"{text!r} is not a repository on the Hub: write org/name or org/name@revision")
    return found


def dataset_file(repo: str, filename: str, revision: str, *, token: Token = None) -> Path:
    """One file of a data set on the Hub, downloaded once and cached.

    Args:
        repo: The data set, e.g. ``"TIGER-Lab/MMLU-Pro"``.
        filename: Path of the file in it.
        revision: A commit (best: it never changes), tag or branch.
        token: See :data:`Token`.

    Raises:
        HubError: It cannot be fetched; the message says why and what to do.
    """
    return download(HubReference(repo, revision, "dataset"), filename, HubError, token)


def download(wanted: HubReference, filename: str, error: type[ModelSATError], token: Token = None) -> Path:
    """One file of a repository, from the cache if its commit is pinned or the Hub cannot be asked.

    Raises:
        ModelSATError: Of class ``error``.
    """
    from huggingface_hub import hf_hub_download

    get = partial(
        hf_hub_download, wanted.repo, filename, repo_type=wanted.kind, revision=wanted.revision, **options(token)
    )
    return Path(ask(f"{filename} of {wanted}", error, get))


def snapshot(
    wanted: HubReference, names: Sequence[str], error: type[ModelSATError], token: Token = None, *, force: bool = False
) -> Path:
    """Files of a pinned repository, several at a time, in one folder.

    Args:
        wanted: The repository, at a commit.
        names: Patterns of the files; nothing else is downloaded.
        error: Class of the errors.
        token: See :data:`Token`.
        force: Download what is in the cache too.

    Raises:
        ModelSATError: Of class ``error``.
    """
    from huggingface_hub import snapshot_download

    get = partial(
        snapshot_download,
        wanted.repo,
        repo_type=wanted.kind,
        revision=wanted.revision,
        allow_patterns=list(names),
        force_download=force,
        **options(token),
    )
    return Path(ask(str(wanted), error, get))


def resolve(wanted: HubReference, key_file: str, error: type[ModelSATError], token: Token = None) -> HubReference:
    """The commit that a branch or tag stands for now, as a pinned reference.

    If the Hub cannot be reached, or is not to be asked (``HF_HUB_OFFLINE``), the commit that was downloaded last under
    that name stands in, and the log says so.

    Args:
        wanted: The repository.
        key_file: A file that every such repository has; it remembers the name in the cache.
        error: Class of the errors.
        token: See :data:`Token`.

    Raises:
        ModelSATError: Of class ``error``.
    """
    if wanted.pinned:
        return wanted
    if not offline():
        try:
            ask(str(wanted), error, partial(_information, wanted, token))
        except error as problem:
            if not (problem.__cause__ and unreachable(problem.__cause__)):
                raise
            commit = _cached_commit(wanted, key_file)
            if commit is None:
                raise
            logger.warning("%s; going on with what is cached, %s", problem, wanted.at(commit))
            return wanted.at(commit)
    return wanted.at(download(wanted, key_file, error, token).parents[key_file.count("/")].name)


def api(token: Token = None) -> HfApi:
    """The client for everything but downloads."""
    from huggingface_hub import HfApi

    return HfApi(
        endpoint=os.environ.get("HF_ENDPOINT") or None, token=token, library_name="modelsat", library_version=_version()
    )


def options(token: Token = None) -> dict[str, Any]:
    """Arguments that every download takes."""
    return {
        "endpoint": os.environ.get("HF_ENDPOINT") or None,
        "cache_dir": str(cache_folder()),
        "local_files_only": offline(),
        "token": token,
        "library_name": "modelsat",
        "library_version": _version(),
    }


def _version() -> str:
    from modelsat import __version__

    return __version__


def _information(wanted: HubReference, token: Token) -> Any:
    return api(token).repo_info(wanted.repo, revision=wanted.revision, repo_type=wanted.kind)


def _cached_commit(wanted: HubReference, key_file: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(
        wanted.repo, key_file, cache_dir=str(cache_folder()), revision=wanted.revision, repo_type=wanted.kind
    )
    return Path(found).parents[key_file.count("/")].name if isinstance(found, str) else None
