"""What every SQLite file of ours has in common."""

from __future__ import annotations

import sqlite3

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random


def use_write_ahead_log(database: sqlite3.Connection, busy_s: float) -> None:
    """Let many processes read while one writes, and sync only where a crash could damage the file.

    SQLite refuses at once, without waiting for its own time-out, to change a file's journal while another process has
    it open in a transaction; so the change is tried again, and not made at all where it has been made.

    Args:
        database: An open connection.
        busy_s: Seconds to go on trying.

    Raises:
        sqlite3.OperationalError: The file stays locked.
    """
    retrying = Retrying(
        retry=retry_if_exception(_locked), stop=stop_after_delay(busy_s), wait=wait_random(0.002, 0.02), reraise=True
    )
    retrying(_switch, database)
    database.execute("PRAGMA synchronous = NORMAL")


def _switch(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        database.execute("PRAGMA journal_mode = WAL")


def _locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))
