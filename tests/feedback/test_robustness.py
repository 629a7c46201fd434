"""What goes wrong in or around a store ends neither the thread that writes to it nor another process's router."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelsat.errors import FeedbackStoreError
from modelsat.feedback import DecisionRecord, Feedback, FeedbackRecord, FeedbackStore
from modelsat.feedback.base import DeadLetterStore, PrunableStore, Retention
from modelsat.feedback.sqlite import SQLiteStore
from tests.feedback.conftest import MakeRouter
from tests.feedback.conftest import decision as decision_of_1970

MONTH_S = 30 * 86400.0


def decision(identifier: str, model: str = "strong", **fields: Any) -> DecisionRecord:
    """A decision of now, which no pruning drops."""
    return replace(decision_of_1970(identifier, model, **fields), time=time.time())


class Picky(SQLiteStore):
    """A store that cannot write some records, for a reason that nobody foresaw."""

    error: type[BaseException] = ZeroDivisionError

    def add_decisions(self, records: Sequence[DecisionRecord]) -> None:
        if any(record.model == "odd" for record in records):
            raise self.error("unforeseen")
        super().add_decisions(records)

    def add_feedback(self, record: FeedbackRecord) -> None:
        if record.source == "odd":
            raise self.error("unforeseen")
        super().add_feedback(record)


@pytest.fixture
def feedback(tmp_path: Path) -> Any:
    loop = Feedback(Picky(tmp_path / "feedback.sqlite"), refresh_s=0.02, wait_s=5.0)
    yield loop
    loop.close()


def test_a_record_that_cannot_be_written_is_set_aside_and_the_others_are_written(
    feedback: Feedback, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "modelsat"):
        for number, model in enumerate(["good", "odd", "good"]):
            feedback.keep(decision(f"d{number}", model, prompt="the secret of the prompt"))
        assert feedback.flush()
    feedback.give("d0", 1.0)
    state = feedback.state
    assert (state.set_aside, state.waiting, state.problem) == (1, 0, None)
    assert state.last_success == pytest.approx(time.time(), abs=60.0)
    assert "ZeroDivisionError; it is set aside" in caplog.text
    assert "secret" not in caplog.text
    with sqlite3.connect(tmp_path / "feedback.sqlite") as database:
        ((record, reason),) = database.execute("SELECT record, reason FROM set_aside")
        assert [row[0] for row in database.execute("SELECT id FROM decisions ORDER BY id")] == ["d0", "d2"]
    database.close()
    assert "'d1'" in record
    assert reason == "ZeroDivisionError"


def test_feedback_that_cannot_be_written_is_refused_and_later_feedback_is_kept(feedback: Feedback) -> None:
    feedback.keep(decision("d1"))
    feedback.keep(decision("d2"))
    with pytest.raises(FeedbackStoreError, match="cannot keep this feedback"):
        feedback.give("d1", 1.0, "odd")
    feedback.give("d2", 1.0)
    assert (feedback.state.set_aside, feedback.state.counted) == (1, 1)


def test_a_store_that_wants_to_end_the_process_ends_nothing(
    feedback: Feedback, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Picky, "error", SystemExit)
    feedback.keep(decision("d0", "odd"))
    feedback.keep(decision("d1"))
    with pytest.raises(FeedbackStoreError, match="cannot keep this feedback"):
        feedback.give("d1", 1.0, "odd")
    feedback.give("d1", 1.0)
    assert feedback.flush()
    assert (feedback.state.waiting, feedback.state.set_aside, feedback.state.counted) == (0, 2, 1)
    assert "SystemExit; it is set aside" in caplog.text


def test_an_error_while_reading_is_reported_and_the_thread_goes_on(
    feedback: Feedback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback.store, "observations", lambda *_: 1 / 0)
    deadline = time.monotonic() + 10.0
    while feedback.state.problem is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "unexpected ZeroDivisionError" in str(feedback.state.problem)
    monkeypatch.undo()
    feedback.keep(decision("d1"))
    feedback.give("d1", 1.0)
    assert feedback.flush()
    assert (feedback.state.problem, feedback.state.counted) == (None, 1)


SPOILT = {
    "of another kind": b'["of another kind"]',
    "a large number": b'{"strong": 1' + b"0" * 400 + b"}",
    "deeply nested": b"[" * 5000 + b"]" * 5000,
    "not UTF-8": b'{"str\xffng": 0.5}',
}
"""What no version of modelsat writes as the scores of a decision."""


def spoil(store: FeedbackStore, identifier: str, network: bytes) -> None:
    """Give one stored decision ``network`` for its scores."""
    if isinstance(store, SQLiteStore):
        with sqlite3.connect(store.name) as database:
            database.execute("UPDATE decisions SET network = CAST(? AS TEXT) WHERE id = ?", (network, identifier))
        database.close()
        return
    client: Any = store._client  # type: ignore[attr-defined]
    record = decision(identifier).to_json().encode().replace(b'{"strong": 0.8, "other": 0.3}', network)
    assert network in record
    position, entry = next((p, e) for p, e in client.xrange(store._keys[2]) if identifier in e["decision"])  # type: ignore[attr-defined]
    client.xdel(store._keys[2], position)  # type: ignore[attr-defined]
    client.xadd(store._keys[2], {**entry, "decision": record})  # type: ignore[attr-defined]
    client.hset(store._keys[0], identifier, record)  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", SPOILT)
def test_one_bad_record_stops_nobody(
    store: FeedbackStore, router: MakeRouter, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    store.add_decisions([decision(f"d{number}") for number in range(3)])
    for number in range(3):
        store.add_feedback(FeedbackRecord(f"d{number}", 1.0))
    spoil(store, "d1", SPOILT[content])
    with caplog.at_level(logging.ERROR, "modelsat"):
        made = router(Feedback(store, refresh_s=0.02, wait_s=5.0))
        decided = made.route("Why is the sky blue?")
        made.feedback(decided.id, 1.0)
    assert made.learning is not None
    assert (made.learning.counted, made.learning.unreadable, made.learning.problem) == (3, 1, None)
    assert len([line for line in caplog.messages if "cannot be read" in line]) == 1
    assert {record.id for record, _ in store.decisions()} == {"d0", "d2", decided.id}


def test_a_file_that_was_removed_is_noticed_and_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "feedback.sqlite"
    store = SQLiteStore(path)
    store.add_decisions([decision("d1")])
    for file in tmp_path.iterdir():
        file.unlink()
    with caplog.at_level(logging.ERROR, "modelsat"):
        store.add_decisions([decision("d2")])
    assert "was removed or replaced while it was open" in caplog.text
    store.close()
    assert [record.id for record, _ in SQLiteStore(path, create=False).decisions()] == ["d2"]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_a_store_belongs_to_its_user_alone(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "new" / "feedback.sqlite")
    store.add_decisions([decision("d1")])
    files = sorted((tmp_path / "new").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * len(files)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    store.close()


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
@pytest.mark.parametrize("shared", [False, True])
def test_a_store_that_others_can_read_is_narrowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shared: bool
) -> None:
    path = tmp_path / "feedback.sqlite"
    SQLiteStore(path).add_decisions([decision("d1")])
    for file in tmp_path.iterdir():
        file.chmod(0o644)
    if shared:
        monkeypatch.setenv("MODELSAT_STORES_SHARED", "1")
    for number in range(2, 4):
        SQLiteStore(path).add_decisions([decision(f"d{number}")])
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o644 if shared else 0o600}
    assert caplog.text.count("is now its owner's alone") == (0 if shared else 1)


def test_a_machine_whose_clock_is_ahead_drops_nothing_at_once(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "feedback.sqlite")
    store.add_decisions([decision("d1")])
    assert store.prune(Retention(days=7.0), time.time(), 10) == 0
    ahead = time.time() + MONTH_S
    for _ in range(3):
        for file in tmp_path.iterdir():
            os.utime(file, (ahead, ahead))
        assert store.prune(Retention(days=7.0), ahead, 10) == 0
    for _ in range(5):
        os.utime(store.name, (ahead, ahead))
        store.prune(Retention(days=7.0), ahead, 10)
    assert list(store.decisions()) == [], "time that really passes is caught up with"
    store.close()


def test_a_worker_whose_clock_is_ahead_drops_nothing_early(store: FeedbackStore) -> None:
    assert isinstance(store, PrunableStore)
    store.add_decisions([decision("d1")])
    assert store.prune(Retention(days=7.0), time.time() + MONTH_S, 10) == 0
    assert [record.id for record, _ in store.decisions()] == ["d1"]


def test_both_stores_keep_dead_letters(store: FeedbackStore) -> None:
    assert isinstance(store, DeadLetterStore)
    store.set_aside("record", "reason")


def test_a_store_stays_where_it_is_when_the_working_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("feedback.sqlite")
    store.add_decisions([decision("d1")])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.add_decisions([decision("d2")])
    store.close()
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".sqlite"] == ["feedback.sqlite"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
