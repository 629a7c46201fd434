"""The cache of capability embeddings: a profile is encoded once for each version of the weights.

On disk an embedding is a digest and the numbers behind it, written under a temporary name and moved into place, so that
several processes may share the folder. The digest covers weights, profile and numbers: a file that was damaged, or
belongs to another profile, is recomputed. A folder that cannot be written is not a reason to fail.

What decides is read from nobody else's files: the folder is made for its user alone, and one that another user owns or
may write to is not used, unless ``$MODELSAT_CACHE_SHARED=1`` says that it is shared on purpose.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsat._files import read_regular, user_folder, written_whole
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.tasks import catalogue_digest
from modelsat.errors import ConfigurationError, ScoringError

logger = logging.getLogger("modelsat")

ENVIRONMENT_VARIABLE = "MODELSAT_CACHE_DIR"
SHARED_VARIABLE = "MODELSAT_CACHE_SHARED"
_LARGEST_FILE = 1 << 20
_DIGEST = hashlib.sha256().digest_size
_KEPT = 8_192
"""Embeddings kept in memory, about 12 MB."""
_WRITTEN = 1_024
"""Embeddings that one process writes at most: clients of a server, who define profiles, cannot fill its disk."""

Encode = Callable[[Sequence[CapabilityProfile]], NDArray[np.float32]]
"""Profiles to capability embeddings, shape (profiles, width)."""


def cache_directory(directory: str | os.PathLike[str] | None = None) -> Path:
    """The cache folder: ``directory``, else ``$MODELSAT_CACHE_DIR``, else the user's cache folder of the system."""
    chosen = directory or os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(chosen) if chosen else user_folder("cache")


class CapabilityCache:
    """Capability embeddings by profile, in memory and on disk, for one version of the weights. Thread-safe.

    ``directory`` is found by :func:`cache_directory`; without ``on_disk``, embeddings are kept in memory alone.
    """

    def __init__(
        self, scorer_version: str, directory: str | os.PathLike[str] | None = None, *, on_disk: bool = True
    ) -> None:
        seen = f"{scorer_version}\n{catalogue_digest()}"  # figures are read against the catalogue's statistics
        version = hashlib.sha256(seen.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        self._version = version
        root = cache_directory(directory)
        self._folders = (root, root / "capabilities", root / "capabilities" / version)
        self._folder = self._folders[-1]
        self._memory: dict[str, NDArray[np.float32]] = {}
        self._lock = threading.Lock()
        self._usable = on_disk
        self._written = 0

    def get_or_encode(self, profiles: Sequence[CapabilityProfile], encode: Encode) -> NDArray[np.float32]:
        """Capability embeddings of ``profiles``, shape (profiles, width); what is missing is encoded in one call.

        Those with equal statements share an embedding. Where widths do not match, all are encoded again.

        Raises:
            ScoringError: ``encode`` returned the wrong shape or values that are not finite.
        """
        by_digest = {profile.digest: profile for profile in profiles}
        with self._lock:
            known = {digest: row for digest in by_digest if (row := self._find(digest)) is not None}
            missing = {digest: profile for digest, profile in by_digest.items() if digest not in known}
            fresh = _encode(missing, encode)
            if len({len(row) for row in (*known.values(), *fresh.values())}) > 1:
                logger.warning("cached capability embeddings in %s have the wrong width; encoding again", self._folder)
                known, fresh = {}, _encode(by_digest, encode)
            if len(self._memory) > _KEPT:
                self._memory.clear()
            rows = {**known, **fresh}
            self._memory.update(rows)
            self._write(fresh)
            return np.stack([rows[profile.digest] for profile in profiles])

    def _find(self, digest: str) -> NDArray[np.float32] | None:
        if (row := self._memory.get(digest)) is not None:
            return row
        path = self._folder / f"{digest}.bin"
        if not self._usable or not self._is_ours(*self._folders, path):
            return None
        try:
            return _unseal(read_regular(path, _LARGEST_FILE), self._key(digest))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("cannot use the cached capability embedding %s (%s); encoding again", path, error)
            return None

    def _write(self, rows: Mapping[str, NDArray[np.float32]]) -> None:
        if not rows or not self._usable or self._written >= _WRITTEN:
            return
        self._written += len(rows)
        try:
            for folder in self._folders:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_ours(*self._folders):
                return
            for digest, row in rows.items():
                with written_whole(self._folder / f"{digest}.bin") as partial:
                    partial.touch(mode=0o644)  # or a umask lets a group write to it, and it is not used
                    partial.write_bytes(_seal(row, self._key(digest)))
        except (OSError, ConfigurationError) as error:
            self._usable = False
            logger.warning("capability embeddings are kept in memory only, cannot write to %s: %s", self._folder, error)

    def _key(self, digest: str) -> bytes:
        return f"{self._version}/{digest}\n".encode()

    def _is_ours(self, *places: Path) -> bool:
        if (reason := foreign(*places)) is None:
            return True
        self._usable = False
        logger.warning("capability embeddings are kept in memory only: %s", reason)
        return False


def foreign(*places: Path) -> str | None:
    """Why folders or files of a cache are not used: somebody else could have written to one; ``None`` if nobody could.

    Of a link, the link must be the user's as well as what it points to.
    """
    if os.name != "posix" or os.environ.get(SHARED_VARIABLE) == "1":
        return None
    for place in places:
        try:
            link, status = place.lstat(), place.stat()
        except OSError:
            continue  # not there: reading or writing it says so
        others_write = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if others_write or not {link.st_uid, status.st_uid} <= {os.geteuid(), 0}:
            return (
                f"{place} belongs to another user or may be written by others. Make it yours alone (chmod go-w), name "
                f"another folder in ${ENVIRONMENT_VARIABLE}, or set ${SHARED_VARIABLE}=1 if it is meant to be shared"
            )
    return None


def _encode(profiles: Mapping[str, CapabilityProfile], encode: Encode) -> dict[str, NDArray[np.float32]]:
    if not profiles:
        return {}
    rows = np.asarray(encode(list(profiles.values())), dtype=np.float32)
    if rows.ndim != 2 or len(rows) != len(profiles) or not rows.shape[1]:
        raise ScoringError(f"the capability encoder returned shape {rows.shape} for {len(profiles)} profiles")
    if not np.isfinite(rows).all():
        raise ScoringError("the capability encoder returned values that are not finite; check the checkpoint's files")
    return dict(zip(profiles, rows, strict=True))


def _seal(row: NDArray[np.float32], key: bytes) -> bytes:
    data = np.ascontiguousarray(row, dtype="<f4").tobytes()
    return hashlib.sha256(key + data).digest() + data


def _unseal(sealed: bytes, key: bytes) -> NDArray[np.float32]:
    digest, data = sealed[:_DIGEST], sealed[_DIGEST:]
    if hashlib.sha256(key + data).digest() != digest:
        raise ValueError("it is not what was written for this profile")
    return np.frombuffer(data, dtype="<f4").astype(np.float32)
