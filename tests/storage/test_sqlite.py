"""Write-ahead logging: many connections that open a new file at the same moment, and one that stays locked."""

from __future__ import annotations

import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from modelsat._files import use_write_ahead_log
from modelsat.feedback.sqlite import SQLiteStore
from modelsat.lab.aptitude.store import AnswerStore
from tests.feedback.conftest import decision


def test_a_new_file_opened_by_many_at_once(tmp_path: Path) -> None:
    together = Barrier(8, timeout=60)

    def write(number: int) -> None:
        for file in range(20):
            store = SQLiteStore(tmp_path / f"{file}.sqlite", busy_s=30.0)
            together.wait()
            store.add_decisions([decision(str(number))])
            store.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    for file in range(20):
        assert SQLiteStore(tmp_path / f"{file}.sqlite").counts().decisions == 8


def test_a_file_in_use_is_waited_for_no_longer_than_told(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN IMMEDIATE")
        database = sqlite3.connect(path, timeout=0.0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            use_write_ahead_log(database, 0.05)
        other.execute("ROLLBACK")
        use_write_ahead_log(database, 0.05)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        use_write_ahead_log(database, 0.05)
        database.close()
    other.close()


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_answers_of_a_test_belong_to_their_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "aptitude" / "model.sqlite"
    for _ in range(2):
        with AnswerStore(path):
            files = [file for file in path.parent.iterdir() if file.suffix != ".lock"]
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        path.chmod(0o644)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
