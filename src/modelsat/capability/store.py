"""The user's own profiles: measured, given or pulled once, known to every router and command from then on.

One JSON file a model in the user's data folder. Files are written under a temporary name and moved into place, so any
number of processes may read and write at once; the last one to save a model wins, and no reader sees half a file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from modelsat._files import user_folder, written_whole
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.untrusted import parse_profile, read_profile
from modelsat.errors import InvalidProfileError, StoreError

ENVIRONMENT_VARIABLE = "MODELSAT_PROFILES"
Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, time of change (ns), size and inode of every file of a store."""

logger = logging.getLogger("modelsat")
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")


class ProfileStore:
    """A folder of capability profiles, one file a model.

    Args:
        folder: The folder; made at the first save. See :func:`store_directory` for the default.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = store_directory(folder)

    @classmethod
    def default(cls) -> ProfileStore:
        """The user's store: ``$MODELSAT_PROFILES``, or ``profiles`` in the user's data folder of the system."""
        return cls()

    @property
    def folder(self) -> Path:
        """Where the profiles are."""
        return self._folder

    def path(self, model: str) -> Path:
        """The file of a model's profile, whether it is there or not."""
        return self._folder / profile_file_name(model)

    def save(self, profile: CapabilityProfile) -> Path:
        """Keep a profile, in place of the one that the model may have; returns its file.

        Raises:
            StoreError: The folder cannot be written, e.g. as the disk is full; what was there is left as it was.
            InvalidProfileError: The profile breaks a bound of :func:`~modelsat.capability.untrusted.read_profile`.
        """
        path = self.path(profile.model)
        data = profile_json(profile).encode("utf-8")
        parse_profile(data)  # what could not be read again is not written
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with written_whole(path, error=StoreError, durable=True) as temporary:
                temporary.write_bytes(data)
        except (OSError, StoreError) as error:
            raise StoreError(
                f"cannot save the profile of {profile.model} in {self._folder}: {error}; nothing "
                f"there was changed. Make room, or name another folder in ${ENVIRONMENT_VARIABLE}"
            ) from error
        return path

    def load(self) -> list[CapabilityProfile]:
        """All profiles, by the name of the model. Files that cannot be used are left out and named in the log.

        Of two profiles of one model the one saved last counts; an alias that is another profile's name is dropped.
        """
        found: dict[str, tuple[int, CapabilityProfile]] = {}
        for name, changed, _, _ in self.fingerprint():
            path = self._folder / name
            try:
                profile = read_profile(path)
            except FileNotFoundError:
                continue  # deleted by another process just now
            except InvalidProfileError as error:
                logger.warning("a profile of the store is left out: %s; mend or delete the file", _line(error))
                continue
            earlier = found.get(_key(profile.model))
            if earlier is not None:
                logger.warning("the store holds two profiles of %s; the one saved last counts", profile.model)
            if earlier is None or changed >= earlier[0]:
                found[_key(profile.model)] = (changed, profile)
        return settle_names((profile for _, profile in found.values()), f"the profile store {self._folder}")

    def delete(self, model: str) -> bool:
        """Forget a model; returns whether there was a profile of it.

        Raises:
            StoreError: The file cannot be removed.
        """
        paths = {self.path(model)} | {
            self._folder / name for name, *_ in self.fingerprint() if self._is_of(self._folder / name, model)
        }
        gone = False
        for path in paths:
            try:
                path.unlink()
                gone = True
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(f"cannot delete {path}: {error.strerror or error}") from error
        return gone

    def fingerprint(self) -> Fingerprint:
        """The state of the folder, to tell cheaply whether anything has changed; empty if nothing is stored."""
        try:
            with os.scandir(self._folder) as entries:
                return tuple(sorted(row for entry in entries if (row := _row(entry)) is not None))
        except FileNotFoundError:
            return ()
        except OSError as error:
            logger.warning("the profile store %s cannot be read: %s", self._folder, error.strerror or error)
            return ()

    def __repr__(self) -> str:
        return f"ProfileStore({str(self._folder)!r})"

    @staticmethod
    def _is_of(path: Path, model: str) -> bool:
        """Whether a file that was put there under another name is of ``model``."""
        try:
            return _key(read_profile(path).model) == _key(model)
        except (InvalidProfileError, FileNotFoundError):
            return False


def store_directory(folder: str | os.PathLike[str] | None = None) -> Path:
    """The store's folder: ``folder``, else ``$MODELSAT_PROFILES``, else ``profiles`` in the user's data folder."""
    chosen = folder or os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return user_folder("data") / "profiles"


def profile_file_name(model: str) -> str:
    """File name of a model's profile: readable, the same on every system, different for different models."""
    plain = _NOT_PLAIN.sub("-", _key(model)).strip("-")[:60] or "model"
    return f"{plain}-{hashlib.sha256(_key(model).encode('utf-8', 'surrogatepass')).hexdigest()[:8]}.json"


def profile_json(profile: CapabilityProfile) -> str:
    """A profile as the JSON of one file, readable by :func:`~modelsat.capability.load_profiles` too."""
    return json.dumps(profile.model_dump(mode="json", exclude_defaults=True), indent=1, ensure_ascii=False) + "\n"


def _key(model: str) -> str:
    return model.strip().casefold()


def _row(entry: os.DirEntry[str]) -> tuple[str, int, int, int] | None:
    if entry.name.startswith(".") or not entry.name.casefold().endswith(".json") or not entry.is_file():
        return None
    try:
        found = entry.stat()
    except OSError:
        return None  # deleted just now
    return entry.name, found.st_mtime_ns, found.st_size, found.st_ino


def settle_names(profiles: Iterable[CapabilityProfile], where: str) -> list[CapabilityProfile]:
    """Profiles of different models, by name, in which no name is claimed twice.

    A model's own name wins over an alias, then the first model by name; what is dropped is named in the log.

    Args:
        profiles: At most one a model.
        where: Where they come from, for the log.
    """
    ordered = sorted(profiles, key=lambda profile: _key(profile.model))
    taken = {_key(profile.model): profile.model for profile in ordered}
    result = []
    for profile in ordered:
        kept = tuple(
            alias for alias in profile.aliases if taken.setdefault(_key(alias), profile.model) == profile.model
        )
        if kept != profile.aliases:
            dropped = ", ".join(alias for alias in profile.aliases if alias not in kept)
            logger.warning("%s: the alias %s of %s is another profile's name", where, dropped, profile.model)
            profile = profile.model_copy(update={"aliases": kept})
        result.append(profile)
    return result


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
