"""What ``modelsat models update`` has fetched and kept: data, used where they are newer than the package's own."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from modelsat._files import user_folder
from modelsat.errors import ModelSATError

REGISTRY_FILE, FACTS_FILE = "registry.jsonl", "models.json"
"""Profiles and aliases (:mod:`.registry_file`); prices, limits and dates (:mod:`modelsat.candidates.fact_table`)."""
ORIGIN_FILE = "origin.json"
"""Says which of the kept files count, and where each is from."""
logger = logging.getLogger("modelsat")
Read = TypeVar("Read")


def registry_directory() -> Path:
    """Where fetched files are kept: ``$MODELSAT_REGISTRY``, or ``registry`` in the user's data folder."""
    if chosen := os.environ.get("MODELSAT_REGISTRY"):
        return Path(chosen).expanduser()
    return user_folder("data") / "registry"


def fetched(name: str, read: Callable[[bytes], Read]) -> Read | None:
    """The kept file ``name``, as ``read`` makes it of its bytes; ``None`` if there is none that is whole.

    It is read again when another has been fetched.
    """
    path = registry_directory() / ORIGIN_FILE
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return None
    found: Read | None = _read(path, changed, name, read)
    return found


def kept_files() -> dict[str, dict[str, str]]:
    """``file``, ``sha256`` and ``source`` of each file that is kept; empty if :data:`ORIGIN_FILE` cannot be read."""
    try:
        found: dict[str, dict[str, str]] = json.loads((registry_directory() / ORIGIN_FILE).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found


@lru_cache(maxsize=8)
def _read(path: Path, changed: int, name: str, read: Callable[[bytes], Any]) -> Any:
    try:
        files = json.loads(path.read_bytes())["files"]
        if name not in files:
            return None
        origin = files[name]
        data = (path.parent / Path(origin["file"]).name).read_bytes()
        if hashlib.sha256(data).hexdigest() == origin["sha256"]:
            return read(data)
        logger.warning("%s fetched from %s was changed since: it is left out", name, origin.get("source"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ModelSATError) as error:
        logger.warning("%s as fetched to %s cannot be read and is left out: %s", name, path.parent, error)
    return None
