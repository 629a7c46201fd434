"""Answers on disk: one SQLite file a model, one row an answer, committed as it arrives.

A process that dies loses the questions in flight and nothing else. One process at a time tests a model: a lock file,
which the system releases when the process ends, however it ends.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from modelsat._files import own_database, use_write_ahead_log, user_folder
from modelsat.errors import AptitudeError
from modelsat.lab.aptitude.replies import Problem, Reply

ENVIRONMENT_VARIABLE = "MODELSAT_ANSWERS"
_FORMAT = 1
_BUSY_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    settings TEXT NOT NULL, question TEXT NOT NULL, rotation INTEGER NOT NULL, digest TEXT NOT NULL,
    score REAL NOT NULL, answer TEXT, problem TEXT, finish TEXT NOT NULL, max_tokens INTEGER,
    text TEXT NOT NULL, reasoning TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    cost_usd REAL, seconds REAL NOT NULL, asked_at TEXT NOT NULL,
    PRIMARY KEY (settings, question, rotation, digest)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered question, as it is kept: a column a field."""

    question: str
    rotation: int  # by how many letters the options were moved on
    digest: str  # hash of what was asked
    score: float
    answer: str | None  # as read
    problem: Problem | None  # why none could be read
    finish: str
    max_tokens: int | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    seconds: float


_COLUMNS = ", ".join(field.name for field in fields(Answer))


class AnswerStore:
    """The answers of one model; a context manager that holds the model's lock.

    Args:
        path: The SQLite file; made if it is not there. See :func:`answers_path` for the default.
        wait: Wait for another process that tests the model, instead of refusing.
    """

    def __init__(self, path: str | os.PathLike[str], *, wait: bool = False) -> None:
        self.path = Path(path)
        self._wait = wait
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._lock = FileLock(f"{self.path}.lock", thread_local=False)

    def __enter__(self) -> AnswerStore:
        """Take the lock and open the file.

        Raises:
            AptitudeError: Another process tests the model, or the file cannot be opened or is not a store of answers.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire(timeout=-1 if self._wait else 0)
        except Timeout:
            raise AptitudeError(
                f"another process is testing this model (it holds {self._lock.lock_file}): wait for it, or give "
                "--wait to go on when it has ended; what it has asked will not be asked again"
            ) from None
        except OSError as error:
            raise AptitudeError(f"cannot keep answers in {self.path}: {error.strerror or error}") from error
        try:
            with self._explained():
                self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the file and release the lock."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        self._lock.release()

    def record(self, settings: str, answer: Answer, reply: Reply) -> None:
        """Keep an answer, for good when the call returns. It replaces one to the same question under the same settings.

        Raises:
            AptitudeError: It cannot be written, e.g. as the disk is full.
        """
        row = {
            "settings": settings,
            **asdict(answer),
            "answer": None if answer.answer is None else _storable(answer.answer),
            "text": _storable(reply.text),
            "reasoning": _storable(reply.reasoning),
            "asked_at": datetime.now(timezone.utc).isoformat("T", "seconds"),
        }
        statement = f"INSERT OR REPLACE INTO answers ({', '.join(row)}) VALUES (:{', :'.join(row)})"  # noqa: S608
        self._execute(statement, row)

    def answers(self, settings: str) -> list[Answer]:
        """All answers given under some settings.

        Raises:
            AptitudeError: The file is damaged.
        """
        found = self._execute(
            f"SELECT {_COLUMNS} FROM answers WHERE settings = ? ORDER BY question, rotation",  # noqa: S608
            (settings,),
        )
        return [Answer(*row) for row in found]

    def forget(self, settings: str) -> None:
        """Delete the answers given under some settings."""
        self._execute("DELETE FROM answers WHERE settings = ?", (settings,))

    def _execute(self, statement: str, values: Any) -> list[Any]:
        with self._mutex, self._explained():
            if self._connection is None:
                raise AptitudeError("the store of answers is closed: use it in a with statement")
            return self._connection.execute(statement, values).fetchall()

    def _open(self) -> sqlite3.Connection:
        own_database(self.path)
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
        try:
            use_write_ahead_log(connection, _BUSY_S)
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version not in (0, _FORMAT):
                raise AptitudeError(f"{self.path} was written by a newer modelsat (format {version}): update modelsat")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise AptitudeError(
                f"cannot keep answers in {self.path}: {error}. All earlier answers are kept: make room, or see who may "
                "write there, and run the same command again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise AptitudeError(
                f"{self.path} is damaged or no store of answers ({error}): move it away, or name another file with "
                "--answers"
            ) from error


def answers_path(model: str, endpoint: str = "") -> Path:
    """Where the answers of a model are kept: ``$MODELSAT_ANSWERS`` or ``aptitude`` in the user's data folder.

    Args:
        model: The model as it is called.
        endpoint: Where it is called, if not at its provider's usual address.
    """
    folder = os.environ.get(ENVIRONMENT_VARIABLE) or user_folder("data") / "aptitude"
    plain = re.sub(r"[^a-z0-9]+", "-", model.casefold()).strip("-")[:60] or "model"
    digest = sha256(f"{model}\n{endpoint}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return Path(folder).expanduser() / f"{plain}-{digest}.sqlite"


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
