"""Profiles that need not be trusted: data within bounds, or a refusal that says why."""

from __future__ import annotations

import json
import math
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import InvalidProfileError

LARGEST_FILE = 1 << 20
"""Bytes of a profile's file; one of the aptitude test has some ten thousand."""
_LONGEST_LISTS = {"statements": 2000, "aliases": 200, "settings": 200}
_LONGEST_NAME, _LONGEST_TEXT = 300, 4000
_NAMES = frozenset({"model", "aliases", "task", "tested_by", "version", "origin", "date"})
_LINE_BREAKS = frozenset("\n\r\t")
_REFUSED = frozenset({"Cc", "Cs"})
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories that no name may hold: it would look like another's."""
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make a terminal or an editor show text in another order than it has."""


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
        raw = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once, **_NUMBERS)
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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
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
    bad = next(_bad_characters(text, name), None)
    if bad is not None:
        raise InvalidProfileError(f"{key} holds the control character U+{ord(bad):04X}")


def _bad_characters(text: str, name: bool) -> Iterator[str]:
    refused, allowed = (_INVISIBLE, frozenset[str]()) if name else (_REFUSED, _LINE_BREAKS)
    for character in text:
        if character in _OVERRIDES or (unicodedata.category(character) in refused and character not in allowed):
            yield character
