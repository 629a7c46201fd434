"""Filling dataclasses from what a YAML file holds, with errors that name the key."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from modelsat._files import read_yaml
from modelsat.errors import ConfigurationError

T = TypeVar("T")

EXTENDS = "extends"
"""Key of a YAML file that names the file whose keys it takes over."""
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def read_mapping(path: str | os.PathLike[str], seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What a YAML file maps, over what the file maps that it ``extends`` (a path that starts at its own folder).

    Mappings are put together key by key, at any depth; everything else replaces what it extends.

    Args:
        path: The file.
        seen: Files that extend this one, in turn.

    Raises:
        ConfigurationError: A file is unreadable, holds no mapping, or extends itself.
    """
    file = Path(path)
    if file.resolve() in seen:
        raise ConfigurationError(f"{seen[-1]} extends {path}, which extends it already: take one {EXTENDS} out")
    raw = read_yaml(file, f"the recipe {path}, which {seen[-1]} extends," if seen else "the recipe")
    base = raw.pop(EXTENDS, None)
    if base is None:
        return raw
    if not isinstance(base, str):
        raise ConfigurationError(f"{path}: {EXTENDS} must name a file, not {base!r}")
    return _over(read_mapping(file.parent / base, (*seen, file.resolve())), raw)


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        there = below.get(key)
        result[key] = _over(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return result


def fill(path: Any, key: str, value: Any, kind: type[T]) -> T:
    """A dataclass from a mapping.

    Args:
        path: The file, for messages.
        key: Where in the file the mapping stands, for messages.
        value: The mapping.
        kind: The dataclass; fields without default must be there.

    Raises:
        ConfigurationError: A key is missing, unknown or of the wrong kind.
    """
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    needed = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    given = mapping(path, key, value)
    checked_keys(path, f"{key}.", given, set(fields), needed)
    hints = get_type_hints(kind)
    return kind(**{name: _checked(path, f"{key}.{name}", entry, hints[name]) for name, entry in given.items()})


def mapping(path: Any, key: str, value: Any) -> dict[str, Any]:
    """``value`` if it is a mapping that holds something.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(value, dict) or not value:
        raise ConfigurationError(f"{path}: {key} must map names to settings")
    return value


def names(path: Any, key: str, value: Any) -> tuple[str, ...]:
    """One name or a list of names as a tuple.

    Raises:
        ConfigurationError: It is neither.
    """
    listed = (value,) if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) and name for name in listed):
        raise ConfigurationError(f"{path}: {key} must be a list of names, not {value!r}")
    return tuple(listed)


def _whole_numbers(path: Any, key: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise ConfigurationError(f"{path}: {key} must be a list of whole numbers, not {value!r}")
    return tuple(value)


def checked_keys(path: Any, prefix: str, value: dict[str, Any], known: set[str], needed: set[str]) -> None:
    """Refuse keys that are unknown or missing.

    Raises:
        ConfigurationError: Naming the first.
    """
    unknown, missing = sorted(map(str, set(value) - known)), sorted(needed - set(value))
    if unknown:
        raise ConfigurationError(f"{path}: unknown key {prefix}{unknown[0]}; known: {', '.join(sorted(known))}")
    if missing:
        raise ConfigurationError(f"{path}: {prefix}{missing[0]} is missing")


def _checked(path: Any, key: str, value: Any, hint: Any) -> Any:
    options = tuple(option for option in get_args(hint) if option is not type(None)) or (hint,)
    kind = options[0] if len(options) == 1 else None
    if value is None and type(None) in get_args(hint):
        return None
    for option in (hint, *options):
        if get_origin(option) is tuple:
            return names(path, key, value) if str in get_args(option) else _whole_numbers(path, key, value)
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise ConfigurationError(f"{path}: {key} must be one of {', '.join(get_args(hint))}, not {value!r}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in _KINDS and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        raise ConfigurationError(f"{path}: {key} must be {_KINDS[kind]}, not {value!r}")
    if get_origin(hint) is dict:
        return {str(name): str(entry) for name, entry in mapping(path, key, value).items()}
    return value
