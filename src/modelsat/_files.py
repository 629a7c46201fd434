"""The user's folders; reading settings from files, writing files that appear when they are complete, SQLite files."""

from __future__ import annotations

import atexit
import json
import logging
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelsat.errors import ConfigurationError, ModelSATError

if TYPE_CHECKING:
    import sqlite3

logger = logging.getLogger("modelsat")

STORES_SHARED_VARIABLE = "MODELSAT_STORES_SHARED"


@contextmanager
def written_whole(
    path: str | os.PathLike[str], *, error: type[ModelSATError] = ConfigurationError, durable: bool = False
) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to: it takes the place of ``path`` on success and goes on failure.

    A ``durable`` one is on the disk before it appears, so that it also survives a loss of power.

    Raises:
        ModelSATError: As ``error``: the file cannot be written.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    try:
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(partial, target)
    except (OSError, UnicodeError) as failure:
        raise error(f"cannot write {target}: {failure}") from failure
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], content: Any, **options: Any) -> None:
    """Write JSON as a whole; ``options`` go to :func:`json.dumps`. Raises as :func:`written_whole`."""
    text = json.dumps(content, **{"indent": 1, "ensure_ascii": False, **options})
    with written_whole(path) as partial:
        partial.write_text(text + "\n", "utf-8")


def read_json(
    path: str | os.PathLike[str], what: str = "JSON", *, error: type[ModelSATError] = ConfigurationError
) -> Any:
    """Read a JSON file; ``what`` it should hold is for the message.

    Raises:
        ModelSATError: As ``error``: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text("utf-8-sig"))
    except (OSError, ValueError) as failure:
        raise error(f"cannot read {what} from {path}: {failure}") from failure


def own_database(path: Path) -> None:
    """Make the place of an SQLite file its user's alone: a new folder 0700, the files 0600, also those that are there.

    ``$MODELSAT_STORES_SHARED=1`` says that files which are there are shared on purpose, and keeps their modes.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
    if os.name != "posix" or os.environ.get(STORES_SHARED_VARIABLE) == "1":
        return
    narrowed = False
    for file in (path, *(path.with_name(f"{path.name}-{part}") for part in ("wal", "shm"))):
        if not file.is_file():
            continue
        status = file.stat()
        if status.st_mode & 0o077 and status.st_uid == os.geteuid():
            file.chmod(0o600)
            narrowed = True
    if narrowed:
        logger.warning(
            "%s could be read or written by others and is now its owner's alone (mode 0600); set $%s=1 if it is meant "
            "to be shared",
            *(path, STORES_SHARED_VARIABLE),
        )


def read_regular(path: Path, largest: int | None = None) -> bytes:
    """Content of a regular file; a pipe or a device is refused without waiting for it, as is what is too large.

    Raises:
        OSError: It is refused, or cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is not a regular file")
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or (largest is not None and status.st_size > largest):
            raise OSError(f"it is not a {'' if largest is None else 'small '}regular file")
        return file.read() if largest is None else file.read(largest)


@cache
def shipped_json(room: str, name: str) -> Any:
    """A JSON file that comes with the package, in the folder ``data`` of a room; read once, for reading only."""
    return json.loads(resources.files(f"modelsat.{room}").joinpath("data", name).read_text("utf-8"))


def read_yaml(
    path: str | os.PathLike[str],
    what: str = "settings",
    *,
    error: type[ModelSATError] = ConfigurationError,
    hint: str = "",
) -> dict[str, Any]:
    """Read a YAML file that maps keys to values; an empty file is an empty mapping.

    ``what`` it should hold and the ``hint`` what to write instead are for the message.

    Raises:
        ModelSATError: As ``error``: the file is missing, is not YAML, or does not map keys to values.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text("utf-8-sig"))
    except (OSError, UnicodeError, yaml.YAMLError) as failure:
        raise error(f"cannot read {what} from {path}: {' '.join(str(failure).split())}") from failure
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise error(f"{path} does not hold {what}: it must map keys to values{hint and f', {hint}'}")
    return content


def use_write_ahead_log(database: sqlite3.Connection, busy_s: float) -> None:
    """Let many processes read an SQLite file while one writes, and sync only where a crash could damage it.

    SQLite refuses at once, without waiting for its own time-out, to change a file's journal while another process has
    it open in a transaction; so the change is tried again for ``busy_s`` seconds, and not made where it has been made.

    Raises:
        sqlite3.OperationalError: The file stays locked.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

    retrying = Retrying(
        retry=retry_if_exception(_locked), stop=stop_after_delay(busy_s), wait=wait_random(0.002, 0.02), reraise=True
    )
    retrying(_switch, database)
    database.execute("PRAGMA synchronous = NORMAL")


def _switch(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        database.execute("PRAGMA journal_mode = WAL")


def _locked(error: BaseException) -> bool:
    import sqlite3

    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def user_folder(kind: Literal["cache", "data"]) -> Path:
    """Where the user keeps files of this ``kind`` of ours.

    Without a home folder (a container's account that has no entry) it is inside ``$MODELSAT_CACHE_DIR``; without that,
    a temporary one, which is removed when the process ends; a warning says so once.
    """
    import platformdirs

    find = platformdirs.user_cache_dir if kind == "cache" else platformdirs.user_data_dir
    try:
        folder = Path(find("modelsat", appauthor=False))
    except (RuntimeError, KeyError):  # how platformdirs says that there is no home
        folder = Path("~")
    if folder.is_absolute():
        return folder
    named = os.environ.get("MODELSAT_CACHE_DIR")
    return Path(named) / kind if named else _temporary() / kind


@cache
def _temporary() -> Path:
    try:
        folder = tempfile.mkdtemp(prefix="modelsat-")
    except OSError as error:
        logger.warning("neither a home folder nor a temporary one can be used, so nothing is kept: %s", error)
        return Path(os.devnull) / "modelsat"
    logger.warning(
        "there is no home folder: files are kept in %s until this process ends; set HOME or $MODELSAT_CACHE_DIR "
        "to keep them",
        folder,
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
