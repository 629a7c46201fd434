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
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path

from modelsat._folders import user_folder
from modelsat.errors import AptitudeError
from modelsat.lab.aptitude.replies import Problem, Reply, Verdict
from modelsat.storage.sqlite import use_write_ahead_log

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
_COLUMNS = (
    "question, rotation, digest, score, answer, problem, finish, max_tokens, prompt_tokens, completion_tokens, "
    "cost_usd, seconds"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered question.

    Attributes:
        question: Its id.
        rotation: By how many letters its options were moved on.
        digest: Hash of what was asked.
        score: 0..1.
        answer: The answer as read.
        problem: Why no answer could be read.
        finish: Why the model stopped.
        max_tokens: Limit of the reply's length, ``None`` if there was none.
        prompt_tokens: Tokens of the prompt.
        completion_tokens: Tokens of the reply.
        cost_usd: What it cost, ``None`` if not known.
        seconds: How long it took.
    """

    question: str
    rotation: int
    digest: str
    score: float
    answer: str | None
    problem: Problem | None
    finish: str
    max_tokens: int | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    seconds: float


class AnswerStore:
    """The answers of one model; a context manager that holds the model's lock.

    Args:
        path: The SQLite file; made if it is not there. See :func:`answers_path` for the default.
        wait: Wait for another process that tests the model, instead of refusing.
    """

    def __init__(self, path: str | os.PathLike[str], *, wait: bool = False) -> None:
        from filelock import FileLock

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
        from filelock import Timeout

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
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
        now = datetime.now(timezone.utc).isoformat("T", "seconds")
        values = (
            settings, answer.question, answer.rotation, answer.digest, answer.score, answer.answer, answer.problem,
            answer.finish, answer.max_tokens, _storable(reply.text), _storable(reply.reasoning), answer.prompt_tokens,
            answer.completion_tokens, answer.cost_usd, answer.seconds, now,
        )  # fmt: skip
        with self._mutex, self._explained():
            marks = ", ".join("?" * len(values))
            self._open_connection().execute(f"INSERT OR REPLACE INTO answers VALUES ({marks})", values)  # noqa: S608

    def answers(self, settings: str) -> Iterator[Answer]:
        """All answers given under some settings.

        Raises:
            AptitudeError: The file is damaged.
        """
        with self._mutex, self._explained():
            rows = self._open_connection().execute(
                f"SELECT {_COLUMNS} FROM answers WHERE settings = ? ORDER BY question, rotation",  # noqa: S608
                (settings,),
            )
            found = rows.fetchall()
        for row in found:
            yield Answer(*row)

    def forget(self, settings: str) -> int:
        """Delete the answers given under some settings; returns how many there were."""
        with self._mutex, self._explained():
            return self._open_connection().execute("DELETE FROM answers WHERE settings = ?", (settings,)).rowcount

    def _open(self) -> sqlite3.Connection:
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

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise AptitudeError("the store of answers is closed: use it in a with statement")
        return self._connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise AptitudeError(
                f"cannot keep answers in {self.path}: {error}. All earlier answers are kept: make room, or see who may "
                "write there, and run the same command again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise AptitudeError(
                f"{self.path} is damaged or no store of answers ({error}): move it away, or name another file with "
                f"--answers"
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


def answer_of(
    question: str, rotation: int, digest: str, reply: Reply, verdict: Verdict, *, seconds: float, limit: int | None
) -> Answer:
    """Return the row of one reply."""
    cost = reply.cost_usd
    if verdict.cost_usd:
        cost = (cost or 0.0) + verdict.cost_usd
    return Answer(
        question=question,
        rotation=rotation,
        digest=digest,
        score=verdict.score,
        answer=verdict.answer if verdict.answer is None else _storable(verdict.answer[:500]),
        problem=verdict.problem,
        finish=reply.finish,
        max_tokens=limit,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        cost_usd=cost,
        seconds=round(seconds, 3),
    )


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
