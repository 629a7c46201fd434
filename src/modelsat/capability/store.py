"""The user's own profiles: measured, given or pulled once, known to every router and command from then on.

One JSON file a model in the user's data folder. Files are written under a temporary name and moved into place, so any
number of processes may read and write at once; the last one to save a model wins, and no reader sees half a file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from modelsat._files import user_folder, written_whole
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import InvalidProfileError, StoreError

ENVIRONMENT_VARIABLE = "MODELSAT_PROFILES"
Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, time of change (ns), size and inode of every file of a store."""

logger = logging.getLogger("modelsat")
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
LARGEST_FILE = 1 << 20
"""Bytes of a profile's file; one of the aptitude test has some ten thousand."""
_LONGEST_LISTS = {"statements": 2000, "aliases": 200, "settings": 200}
_LONGEST_NAME, _LONGEST_TEXT = 300, 4000
_NAMES = frozenset({"model", "aliases", "task", "tested_by", "version", "origin", "date"})
_REFUSED = frozenset({"Cc", "Cs"})
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories that no name may hold: it would look like another's."""
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make a terminal or an editor show text in another order than it has."""


class ProfileStore:
    """A folder of capability profiles, one file a model.

    Attributes:
        folder: Where the profiles are, made at the first save; :func:`store_directory` says where if it is not given.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = store_directory(folder)

    @classmethod
    def default(cls) -> ProfileStore:
        """The user's store: ``$MODELSAT_PROFILES``, or ``profiles`` in the user's data folder of the system."""
        return cls()

    def path(self, model: str) -> Path:
        """The file of a model's profile, whether it is there or not."""
        return self.folder / profile_file_name(model)

    def save(self, profile: CapabilityProfile) -> Path:
        """Keep a profile, in place of the one that the model may have; returns its file.

        Raises:
            StoreError: The folder cannot be written, e.g. as the disk is full; what was there is left as it was.
            InvalidProfileError: The profile breaks a bound of :func:`read_profile`.
        """
        path = self.path(profile.model)
        data = profile_json(profile).encode("utf-8")
        parse_profile(data)  # what could not be read again is not written
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with written_whole(path, error=StoreError, durable=True) as temporary:
                temporary.write_bytes(data)
        except (OSError, StoreError) as error:
            raise StoreError(
                f"cannot save the profile of {profile.model} in {self.folder}: {error}; nothing "
                f"there was changed. Make room, or name another folder in ${ENVIRONMENT_VARIABLE}"
            ) from error
        return path

    def load(self) -> list[CapabilityProfile]:
        """All profiles, by the name of the model. Files that cannot be used are left out and named in the log.

        Of two profiles of one model the one saved last counts; an alias that is another profile's name is dropped.
        """
        found: dict[str, tuple[int, CapabilityProfile]] = {}
        for name, changed, _, _ in self.fingerprint():
            path = self.folder / name
            try:
                profile = read_profile(path)
            except FileNotFoundError:
                continue  # deleted by another process just now
            except InvalidProfileError as error:
                logger.warning(
                    "a profile of the store is left out: %s; mend or delete the file", " ".join(str(error).split())
                )
                continue
            earlier = found.get(_key(profile.model))
            if earlier is not None:
                logger.warning("the store holds two profiles of %s; the one saved last counts", profile.model)
            if earlier is None or changed >= earlier[0]:
                found[_key(profile.model)] = (changed, profile)
        return settle_names((profile for _, profile in found.values()), f"the profile store {self.folder}")

    def delete(self, model: str) -> bool:
        """Forget a model; returns whether there was a profile of it.

        Raises:
            StoreError: The file cannot be removed.
        """
        paths = {self.path(model)} | {
            self.folder / name for name, *_ in self.fingerprint() if self._is_of(self.folder / name, model)
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
            with os.scandir(self.folder) as entries:
                return tuple(sorted(row for entry in entries if (row := _row(entry)) is not None))
        except FileNotFoundError:
            return ()
        except OSError as error:
            logger.warning("the profile store %s cannot be read: %s", self.folder, error.strerror or error)
            return ()

    def __repr__(self) -> str:
        return f"ProfileStore({str(self.folder)!r})"

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

    A model's own name wins over an alias, then the first model by name; what is dropped is named in the log, with
    ``where`` it comes from. There is at most one profile a model.
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


def read_profile(path: str | os.PathLike[str]) -> CapabilityProfile:
    """Read one profile from a JSON file that need not be trusted.

    Nothing in it runs or names code. Refused are, beside what :class:`CapabilityProfile` refuses: files above
    ``LARGEST_FILE`` bytes, keys given twice, numbers that are none, long lists and texts, and control characters, which
    could rewrite a terminal.

    Raises:
        InvalidProfileError: The file holds no profile or breaks a bound; the message names the file.
        FileNotFoundError: There is no such file.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidProfileError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return parse_profile(data)
    except InvalidProfileError as error:
        raise InvalidProfileError(f"{path} is no usable profile: {error}") from error


def parse_profile(data: bytes) -> CapabilityProfile:
    """One profile out of JSON, within the bounds of :func:`read_profile`.

    Raises:
        InvalidProfileError: It is none.
    """
    if len(data) > LARGEST_FILE:
        raise InvalidProfileError(f"it has more than {LARGEST_FILE:,} bytes")
    try:
        raw = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique, **_NUMBERS)
    except (ValueError, RecursionError) as error:
        raise InvalidProfileError(f"it is not JSON of a profile ({error})") from error
    if not isinstance(raw, dict):
        raise InvalidProfileError("it must hold one JSON object, the profile")
    for key, limit in _LONGEST_LISTS.items():
        if isinstance(raw.get(key), list | dict) and len(raw[key]) > limit:
            raise InvalidProfileError(f"{key} has {len(raw[key])} entries, at most {limit} are read")
    for key, text in _texts(raw):
        check_text(key, text)
    return CapabilityProfile(**raw)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


_NUMBERS: dict[str, Any] = {"parse_constant": _no_number, "parse_float": _finite}


def _texts(value: Any, key: str = "profile", depth: int = 0) -> Iterator[tuple[str, str]]:
    """All texts in a profile, keys too, each with the name of its field."""
    if depth > 4:
        raise InvalidProfileError("it is nested too deeply")
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield "a key", name
            yield from _texts(entry, name, depth + 1)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry, key, depth + 1)


def check_text(key: str, text: str) -> None:
    """Refuse a text that is too long for field ``key``, or that a terminal would show as another.

    Raises:
        InvalidProfileError: It is refused.
    """
    name = key in _NAMES or key == "a key"
    limit = _LONGEST_NAME if name else _LONGEST_TEXT
    if len(text) > limit:
        raise InvalidProfileError(f"{key} has {len(text):,} characters, at most {limit:,} are read")
    refused, allowed = (_INVISIBLE, "") if name else (_REFUSED, "\n\r\t")
    for character in text:
        if character in _OVERRIDES or (unicodedata.category(character) in refused and character not in allowed):
            raise InvalidProfileError(f"{key} holds the control character U+{ord(character):04X}")
