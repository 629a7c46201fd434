"""The user's configuration: its file with what that includes, and where in them a key stands."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelsat.errors import ConfigurationError

SOURCE = "MODELSAT_LITELLM_CONFIG"
"""Environment variable of a proxy that runs on a derived file: the file that the user wrote."""

_PATH = re.compile(r"^((?:litellm_settings|router_settings|model_list|general_settings)(?:[.\[][^:\s]*)?)(?=[: ])")
_ROOT = "litellm_settings.modelsat"
_ARGUMENTS = "routing_strategy_args"


def read(file: Path) -> dict[str, Any]:
    """The mapping that ``file`` holds.

    Raises:
        ConfigurationError: It cannot be read, or holds something else.
    """
    import yaml

    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not YAML: {error}") from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{file} must hold a mapping, with model_list and so on, not {type(found).__name__}")
    return found


def read_whole(file: Path) -> dict[str, Any]:
    """The mapping that ``file`` and the files of its ``include`` make together, as the proxy reads them.

    Lists grow, everything else is replaced; ``include`` itself is left out.

    Raises:
        ConfigurationError: A file cannot be read, or holds something else.
    """
    whole: dict[str, Any] = {}
    for _, part in _parts(file):
        for key, value in part.items():
            there = whole.get(key)
            whole[key] = [*there, *value] if isinstance(value, list) and isinstance(there, list) else value
    whole.pop("include", None)
    return whole


def with_lines(message: str, file: str | None) -> str:
    """``message`` with file and line before every line that starts with the path of a key.

    A path that stands only in the derived configuration becomes the one that the user wrote.
    """
    if file is None or _PATH.search(message) is None:
        return message
    try:
        import yaml

        parts = [(path, part, yaml.compose(path.read_text("utf-8"), yaml.SafeLoader)) for path, part in _parts(file)]
        whole = read_whole(Path(file))
    except Exception:
        return message  # The file is remote, or has changed: the path alone has to do.
    lines = []
    for line in message.split("\n"):
        if (found := _PATH.match(line)) is not None:
            path = _as_written(found[1], whole)
            part, number = _place(parts, path)
            line = f"{part}:{number}: {path}{line[found.end() :]}"
        lines.append(line)
    return "\n".join(lines)


def line_of(root: Any, path: str) -> int:
    """The line (from 1) of the deepest part of ``path`` that exists under ``root``.

    Args:
        root: A node as ``yaml.compose`` returns it.
        path: Keys and positions, e.g. ``"model_list[0].model_info.modelsat"``.
    """
    node, line = root, 1
    rest = path
    while rest:
        step = _step(node, rest)
        if step is None:
            break
        line, node, rest = step
    return line


def _parts(file: str | Path) -> list[tuple[Path, dict[str, Any]]]:
    """The file, and those that it and they include, in the order in which the proxy merges them."""
    root = Path(file)
    found: dict[Path, dict[str, Any]] = {}
    waiting = [root]
    while waiting:
        place = waiting.pop(0)
        if place.absolute() in {known.absolute() for known in found}:
            continue
        found[place] = part = read(place)
        names = part.get("include") or []
        if not isinstance(names, list):
            raise ConfigurationError(f"{place}: include must be a list of files")
        for name in map(str, names):
            beside = place.parent / name
            waiting.append(beside if beside.exists() or not (root.parent / name).exists() else root.parent / name)
    return list(found.items())


def _as_written(path: str, whole: Mapping[str, Any]) -> str:
    """``path``, or where the user wrote what derived it: the arguments of a routing strategy."""
    said = _get(_get(whole, "litellm_settings"), "modelsat")
    router = _get(whole, "router_settings")
    if not path.startswith(f"{_ROOT}."):
        return path
    rest = path.removeprefix(f"{_ROOT}.")
    if not rest.startswith("groups."):
        written = any(_starts(rest, key) for key in said)
        return path if written else _argument("router_settings", router, f".{rest}") or path
    rest = rest.removeprefix("groups.")
    if any(_starts(rest, name) for name in _get(said, "groups")):
        return path
    groups = router.get("routing_groups")
    for index, group in enumerate(groups if isinstance(groups, Sequence) else []):
        name = str(_get(group).get("group_name"))
        if _starts(rest, name):
            where = f"router_settings.routing_groups[{index}]"
            return _argument(where, _get(group), rest.removeprefix(name)) or path
    names = sorted({str(_get(entry).get("model_name")) for entry in whole.get("model_list") or []}, key=len)
    name = next((name for name in reversed(names) if _starts(rest, name)), "")
    return _argument("router_settings", router, rest.removeprefix(name)) or path


def _argument(where: str, owner: Mapping[str, Any], rest: str) -> str | None:
    if owner.get("routing_strategy") != "modelsat":
        return None
    return f"{where}.{_ARGUMENTS}{rest}" if owner.get(_ARGUMENTS) else f"{where}.routing_strategy"


def _place(parts: Sequence[tuple[Path, Mapping[str, Any], Any]], path: str) -> tuple[Path, int]:
    """File and line of ``path``: lists of several files follow each other, of other keys the last one holds."""
    key = re.split(r"[.\[]", path, maxsplit=1)[0]
    holding = [(file, part[key], root) for file, part, root in parts if key in part]
    index = re.match(rf"{key}\[(\d+)\]", path)
    if index is not None:
        position = int(index[1])
        for file, value, root in holding:
            count = len(value) if isinstance(value, list) else 0
            if position < count:
                return file, line_of(root, f"{key}[{position}]{path[index.end() :]}")
            position -= count
    file, _, root = holding[-1] if holding else parts[0]
    return file, line_of(root, path)


def _step(node: Any, rest: str) -> tuple[int, Any, str] | None:
    """Line and node of the first part of ``rest`` under ``node``, and what is left; names may hold dots."""
    kind = getattr(node, "id", None)
    if kind == "sequence":
        found = re.match(r"\[(\d+)\]", rest)
        if found and int(found[1]) < len(node.value):
            child = node.value[int(found[1])]
            return child.start_mark.line + 1, child, rest[found.end() :]
        return None
    if kind != "mapping":
        return None
    plain = rest.removeprefix(".")
    keys = sorted(node.value, key=lambda pair: -len(str(pair[0].value)))
    for key, child in keys:
        name = str(key.value)
        if _starts(plain, name):
            return key.start_mark.line + 1, child, plain[len(name) :]
    return None


def _starts(path: str, name: str) -> bool:
    return path == name or path.startswith((f"{name}.", f"{name}["))


def _get(value: Any, key: str | None = None) -> Mapping[str, Any]:
    found = value if key is None else value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def source_file(file: str | None) -> str | None:
    """The file that the user wrote, where the proxy runs on a derived one."""
    return os.environ.get(SOURCE) or file
