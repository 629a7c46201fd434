"""The cache of capability embeddings: a profile is encoded once for each version of the weights.

On disk an embedding is a plain ``.npy`` file, written under a temporary name and moved into place, so that several
processes may share the folder. Files that cannot be used are recomputed; a folder that cannot be written is no reason
to fail.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.tasks import catalogue_digest
from modelsat.errors import ScoringError

logger = logging.getLogger("modelsat")

ENVIRONMENT_VARIABLE = "MODELSAT_CACHE_DIR"
_LARGEST_FILE = 1 << 20

Encode = Callable[[Sequence[CapabilityProfile]], NDArray[np.float32]]
"""Profiles to capability embeddings, shape (profiles, width)."""


def cache_directory(directory: str | os.PathLike[str] | None = None) -> Path:
    """The cache folder: ``directory``, else ``$MODELSAT_CACHE_DIR``, else the user's cache folder of the system."""
    chosen = directory or os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("modelsat", appauthor=False))


class CapabilityCache:
    """Capability embeddings by profile, in memory and on disk, for one version of the weights. Thread-safe.

    Args:
        scorer_version: Name and content hash of the weights.
        directory: The cache folder; see :func:`cache_directory`.
    """

    def __init__(self, scorer_version: str, directory: str | os.PathLike[str] | None = None) -> None:
        seen = f"{scorer_version}\n{catalogue_digest()}"  # figures are read against the catalogue's statistics
        version = hashlib.sha256(seen.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        self._folder = cache_directory(directory) / "capabilities" / version
        self._memory: dict[str, NDArray[np.float32]] = {}
        self._lock = threading.Lock()
        self._writable = True

    def get_or_encode(self, profiles: Sequence[CapabilityProfile], encode: Encode) -> NDArray[np.float32]:
        """Capability embeddings of ``profiles``, shape (profiles, width); what is missing is encoded in one call.

        Args:
            profiles: At least one; those with equal statements share an embedding.
            encode: Called at most once, with the missing profiles (again with all of them if the widths do not match).

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
            self._memory.update(known)
            self._memory.update(fresh)
            self._write(fresh)
            return np.stack([self._memory[profile.digest] for profile in profiles])

    def _find(self, digest: str) -> NDArray[np.float32] | None:
        if (row := self._memory.get(digest)) is not None:
            return row
        path = self._folder / f"{digest}.npy"
        try:
            return _read(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever a damaged file makes numpy raise
            logger.warning("cannot use the cached capability embedding %s (%s); encoding again", path, error)
            return None

    def _write(self, rows: Mapping[str, NDArray[np.float32]]) -> None:
        if not rows or not self._writable:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for digest, row in rows.items():
                _replace(self._folder / f"{digest}.npy", row)
        except OSError as error:
            self._writable = False
            logger.warning("capability embeddings are kept in memory only, cannot write to %s: %s", self._folder, error)


def _encode(profiles: Mapping[str, CapabilityProfile], encode: Encode) -> dict[str, NDArray[np.float32]]:
    if not profiles:
        return {}
    rows = np.asarray(encode(list(profiles.values())), dtype=np.float32)
    if rows.ndim != 2 or len(rows) != len(profiles) or not rows.shape[1]:
        raise ScoringError(f"the capability encoder returned shape {rows.shape} for {len(profiles)} profiles")
    if not np.isfinite(rows).all():
        raise ScoringError("the capability encoder returned values that are not finite; check the checkpoint's files")
    return dict(zip(profiles, rows, strict=True))


def _read(path: Path) -> NDArray[np.float32]:
    size = path.stat().st_size
    if size > _LARGEST_FILE:
        raise ValueError(f"{size} bytes are too many for an embedding")
    with path.open("rb") as file:
        row = np.lib.format.read_array(file, allow_pickle=False)
    if row.ndim != 1 or not row.size or row.dtype != np.float32 or not np.isfinite(row).all():
        raise ValueError(f"{row.dtype} of shape {row.shape} is not a finite float32 vector")
    return np.asarray(row, dtype=np.float32)


def _replace(path: Path, row: NDArray[np.float32]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.lib.format.write_array(file, row, allow_pickle=False)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
