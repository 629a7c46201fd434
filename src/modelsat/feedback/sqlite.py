"""Feedback in one SQLite file, shared by the threads and processes of one machine."""

from __future__ import annotations

import json
import logging
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelsat._files import own_database, use_write_ahead_log
from modelsat.errors import ConfigurationError, DuplicateFeedbackError, FeedbackStoreError, UnknownDecisionError
from modelsat.feedback.base import Counts, DecisionRecord, FeedbackRecord, Observation, Retention, Unreadable
from modelsat.feedback.schema import APPLICATION, COLUMNS, DERIVED, FORMAT, create, migrate

logger = logging.getLogger("modelsat")

BUSY_S = 2.0
"""Seconds to wait for another process's lock."""

_SET_ASIDE = "CREATE TABLE IF NOT EXISTS set_aside (time REAL NOT NULL, record TEXT NOT NULL, reason TEXT NOT NULL)"
_CLOCK = "CREATE TABLE IF NOT EXISTS clock (time REAL NOT NULL)"
_STEP_S = 86400.0
"""Seconds by which one look for old decisions moves the clock of the file on at most."""
_COLUMNS = ", ".join(f"d.{name}" for name in COLUMNS)
_INSERT = (
    f"INSERT INTO decisions ({', '.join((*COLUMNS, *DERIVED))}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len((*COLUMNS, *DERIVED)))}) ON CONFLICT (id) DO NOTHING"
)
_PACKED = ("network", "field", "costs", "excluded")
_FEEDBACK = "f.decision, f.score, f.source, f.time"


class SQLiteStore:
    """A :class:`~modelsat.feedback.base.FeedbackStore` in a file.

    Write-ahead logging lets many processes read while one writes. Connections open at first use, one per thread and
    process, so that the store may be made before a server forks. A file that is damaged, of another version or of
    another program is never changed. The file is its owner's alone (mode 0600, a new folder 0700), as it may hold
    prompts; ``$MODELSAT_STORES_SHARED=1`` leaves the modes of a file that is there. A file that was removed or replaced
    while it was open is noticed at the next call.

    Args:
        path: The file; its folder is made if missing.
        busy_s: Seconds to wait for another process's lock.
        create: Make a file that is not there.

    Attributes:
        name: The file.
        unreadable: Records that were met and could not be read.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_s: float = BUSY_S, create: bool = True) -> None:
        self._path = Path(path).absolute()  # the working folder may change
        self._busy_s = busy_s
        self._create = create
        self._local = threading.local()
        self.name = str(self._path)
        self.unreadable = Unreadable(self.name)

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self._path)!r})"

    def add_decisions(self, records: Sequence[DecisionRecord]) -> None:
        """Keep decisions, all or none of them."""
        with self._transaction() as database:
            database.executemany(_INSERT, [_row(record) for record in records])

    def add_feedback(self, record: FeedbackRecord) -> None:
        """Keep feedback; raises as :class:`~modelsat.feedback.base.FeedbackStore` says."""
        with self._transaction() as database:
            known = database.execute("SELECT 1 FROM decisions WHERE id = ?", (record.decision,)).fetchone()
            if known is None:
                raise unknown(record.decision, self.name)
            before = database.execute(
                "SELECT score, source FROM feedback WHERE decision = ?", (record.decision,)
            ).fetchone()
            if before is not None:
                raise duplicate(record.decision, *before)
            database.execute(
                "INSERT INTO feedback (decision, score, source, time) VALUES (?, ?, ?, ?)",
                (record.decision, record.score, record.source, record.time),
            )

    def set_aside(self, record: str, reason: str) -> None:
        """Keep what could not be written among the decisions in a table of its own, ``set_aside``."""
        with self._transaction() as database:
            database.execute(_SET_ASIDE)
            database.execute("INSERT INTO set_aside VALUES (?, ?, ?)", (time.time(), record, reason))

    def prune(self, retention: Retention, now: float, limit: int) -> int:
        """Drop old decisions; their space in the file is used again.

        The age of a decision is counted to the last write to the file at most, and to a day after the last look for old
        ones: a clock that is a month ahead, of a process or of the whole machine, does not drop everything at once.
        """
        ((count,),) = self.rows("SELECT count(*) FROM decisions", ())
        if not count:
            return 0
        now = self._on_the_clock(min(now, self._last_write()))
        surplus = retention.surplus(count, limit)
        oldest = self.rows("SELECT id FROM decisions ORDER BY time LIMIT ?", (surplus,))
        unanswered = self.rows(
            "SELECT id FROM decisions WHERE time < ? AND id NOT IN (SELECT decision FROM feedback) "
            "ORDER BY time LIMIT ?",
            (retention.oldest(now), limit - surplus),
        )
        dropped = list(dict.fromkeys([*oldest, *unanswered]))
        if dropped:
            with self._transaction() as database:
                database.executemany("DELETE FROM feedback WHERE decision = ?", oldest)
                # Feedback may have come since.
                database.executemany(
                    "DELETE FROM decisions WHERE id = ? AND id NOT IN (SELECT decision FROM feedback)", dropped
                )
        return len(dropped)

    def observations(self, after: str = "", last: int | None = None) -> list[Observation]:
        """Decisions with feedback, in the order of the feedback."""
        rows = self.rows(
            f"SELECT * FROM (SELECT f.position, {_COLUMNS}, {_FEEDBACK} FROM feedback f "  # noqa: S608
            "JOIN decisions d ON d.id = f.decision WHERE f.position > ? ORDER BY f.position DESC LIMIT ?) "
            "ORDER BY position",
            (int(after or 0), -1 if last is None else last),
        )
        found = (self.unreadable.read(f"feedback {row[0]}", _observation, row) for row in rows)
        return [observation for observation in found if observation is not None]

    def decisions(self) -> Iterator[tuple[DecisionRecord, FeedbackRecord | None]]:
        """Every decision, by time."""
        rows = self.rows(
            f"SELECT {_COLUMNS}, {_FEEDBACK} FROM decisions d "  # noqa: S608
            "LEFT JOIN feedback f ON d.id = f.decision ORDER BY d.time, d.id",
            (),
        )
        for row in rows:
            record = self.unreadable.read(f"decision {row[0]}", _decision, row[: len(COLUMNS)])
            if record is not None:
                yield record, None if row[len(COLUMNS)] is None else FeedbackRecord(*row[len(COLUMNS) :])

    def counts(self) -> Counts:
        """How much there is."""
        ((decisions, feedback, prompts),) = self.rows(
            "SELECT (SELECT count(*) FROM decisions), (SELECT count(*) FROM feedback), "
            "(SELECT count(*) FROM decisions WHERE prompt IS NOT NULL)",
            (),
        )
        return Counts(decisions, feedback, prompts)

    def close(self) -> None:
        """Close this thread's connection."""
        database, self._local.database = getattr(self._local, "database", None), None
        if database is not None:
            database.close()

    def rows(self, query: str, values: Mapping[str, Any] | tuple[Any, ...] = ()) -> list[Any]:
        """The rows that a query of the tables of :mod:`modelsat.feedback.schema` gives."""
        with self._readable() as database:
            return database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._readable() as database, _writing(database):
            yield database

    @contextmanager
    def _readable(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise FeedbackStoreError(self._explain(error)) from error

    def _connection(self) -> sqlite3.Connection:
        database: sqlite3.Connection | None = getattr(self._local, "database", None)
        if database is not None and self._local.pid == os.getpid():
            if self._local.file == self._identity():
                return database
            logger.error("the feedback store %s was removed or replaced while it was open", self._path)
            self.close()
        if not self._create and not self._path.is_file():
            raise FeedbackStoreError(f"there is no feedback store {self._path}")
        own_database(self._path)
        database = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None)
        database.text_factory = _text
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        self._local.database, self._local.pid, self._local.file = database, os.getpid(), self._identity()
        return database

    def _identity(self) -> tuple[int, int] | None:
        """Which file the path names now: device and inode; ``None`` if there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _on_the_clock(self, now: float) -> float:
        """``now``, or less if it is far ahead of what processes that looked for old decisions saw last."""
        with self._transaction() as database:
            database.execute(_CLOCK)
            ((last,),) = database.execute("SELECT max(time) FROM clock")
            seen: float = now if last is None else min(now, last + _STEP_S)
            if last is None or seen > last:
                database.execute("DELETE FROM clock")
                database.execute("INSERT INTO clock VALUES (?)", (seen,))
        return seen

    def _last_write(self) -> float:
        """When the file or its write-ahead log was written to last, in seconds since the epoch."""
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return max((file.stat().st_mtime for file in files if file.exists()), default=time.time())

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Check that the file is ours and of our version; give an empty one its tables."""
        if _marks(database) != (APPLICATION, FORMAT):
            with _writing(database):
                self._lay_out(database)
        use_write_ahead_log(database, self._busy_s)

    def _lay_out(self, database: sqlite3.Connection) -> None:
        # Under the lock, as another process may have been first.
        application, version = _marks(database)
        if (application, version) == (APPLICATION, FORMAT):
            return
        if (application, version) == (APPLICATION, 1):
            logger.info("the feedback store %s is brought from format 1 to format %d", self._path, FORMAT)
            migrate(database)
            return
        if application == APPLICATION:
            raise ConfigurationError(
                f"the feedback store {self._path} is of format {version}, this modelsat reads format {FORMAT}; "
                "it was not changed: use the modelsat that wrote it, or name a new file"
            )
        if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise ConfigurationError(
                f"{self._path} is a database of another program; it was not changed: name another file"
            )
        create(database)

    def _explain(self, error: Exception) -> str:
        text = str(error)
        if "locked" in text or "busy" in text:
            return f"the feedback store {self._path} is locked by another process for more than {self._busy_s:g} s"
        if "malformed" in text or "not a database" in text or "corrupt" in text:
            return (
                f"the feedback store {self._path} is damaged ({text}); it was not changed: move it away, with "
                "its -wal and -shm files, and a new one is made"
            )
        return f"cannot use the feedback store {self._path}: {text}"


@contextmanager
def _writing(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _marks(database: sqlite3.Connection) -> tuple[int, int]:
    """Whose file it is, and its version."""
    names = ("application_id", "user_version")
    application, version = (int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
    return application, version


def unknown(decision: str, store: str) -> UnknownDecisionError:
    """The error for a decision that ``store`` does not hold."""
    return UnknownDecisionError(
        f"there is no decision {decision!r} in {store}: give decision.id of a router that keeps its decisions there; "
        "nothing was recorded"
    )


def duplicate(decision: str, score: float, source: str) -> DuplicateFeedbackError:
    """The error for a decision with feedback."""
    return DuplicateFeedbackError(
        f"decision {decision!r} already has feedback: {score:g} from {source}. The first counts; nothing was recorded"
    )


def _row(record: DecisionRecord) -> tuple[Any, ...]:
    """``record`` as a row of ``decisions``: :data:`COLUMNS`, then :data:`DERIVED`."""
    scores, costs = record.network, record.costs
    best = max(scores, key=lambda name: (scores[name], -costs.get(name, math.inf)), default="")
    cheapest = min(costs, key=lambda name: (costs[name], -scores.get(name, 0.0)), default="")
    values = {name: getattr(record, "group" if name == "request_group" else name) for name in COLUMNS}
    packed = {name: json.dumps(dict(values[name])) for name in _PACKED}
    four = (record.model, best, cheapest, record.routed or record.model)
    return (*{**values, **packed}.values(), *map(scores.get, four), *map(costs.get, four))


def _text(stored: bytes) -> str:
    """Text of the file. Bytes that are not UTF-8 spoil their own record and no other."""
    return stored.decode("utf-8", "backslashreplace")


def _decision(row: Sequence[Any]) -> DecisionRecord:
    values = dict(zip(COLUMNS, row, strict=True))
    decoded = {name: json.loads(values[name]) for name in _PACKED}
    flags = {"explored": bool(values["explored"]), "fallback": bool(values["fallback"])}
    met = None if values["target_met"] is None else bool(values["target_met"])
    values["group"] = values.pop("request_group")
    return DecisionRecord(**{**values, **decoded, **flags, "target_met": met}).checked()


def _observation(row: Sequence[Any]) -> Observation:
    end = 1 + len(COLUMNS)
    return Observation(str(row[0]), _decision(row[1:end]), FeedbackRecord(*row[end:]))
