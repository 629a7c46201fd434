"""On which line of a YAML file a key stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_PATH = re.compile(r"^((?:litellm_settings|router_settings|model_list|general_settings)(?:[.\[][^:\s]*)?)(?=[: ])")
_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")


def with_lines(message: str, file: str | None) -> str:
    """``message`` with file and line before every line that starts with the path of a key."""
    if file is None or _PATH.search(message) is None:
        return message
    try:
        import yaml

        root = yaml.compose(Path(file).read_text("utf-8"), Loader=yaml.SafeLoader)
    except Exception:
        return message  # The file is remote, or has changed: the path alone has to do.
    return "\n".join(
        f"{file}:{line_of(root, found[1])}: {line}" if (found := _PATH.match(line)) else line
        for line in message.split("\n")
    )


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
        if plain == name or plain.startswith((f"{name}.", f"{name}[")):
            return key.start_mark.line + 1, child, plain[len(name) :]
    return None
