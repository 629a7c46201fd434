"""Stores: what they keep, what they refuse, several processes at once, and files that are not theirs."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from modelsat.errors import (
    ConfigurationError,
    DuplicateFeedbackError,
    FeedbackStoreError,
    UnknownDecisionError,
)
from modelsat.feedback import Counts, FeedbackRecord, FeedbackStore, open_store
from modelsat.feedback.sqlite import SQLiteStore
from tests.feedback.conftest import decision


def test_decisions_and_feedback_come_back_as_they_were(store: FeedbackStore) -> None:
    first = decision(field={"law": 0.75}, policy="best", explored=True, weights="w@1", profile="p", prompt="café \n?")
    second = decision("d2", p=0.25)
    store.add_decisions([first, second])
    given = FeedbackRecord("d1", 0.5, "judge", 12.5)
    store.add_feedback(given)

    (observed,) = store.observations()
    assert (observed.decision, observed.feedback) == (first, given)
    assert sorted(store.decisions(), key=lambda pair: pair[0].id) == [(first, given), (second, None)]
    assert store.counts() == Counts(decisions=2, feedback=1, prompts=1)


def test_observations_are_read_on_from_a_position(store: FeedbackStore) -> None:
    store.add_decisions([decision(str(number)) for number in range(5)])
    for number in (3, 1, 4, 0):
        store.add_feedback(FeedbackRecord(str(number), 1.0))
    everything = store.observations()
    assert [entry.decision.id for entry in everything] == ["3", "1", "4", "0"]
    assert [entry.decision.id for entry in store.observations(everything[1].position)] == ["4", "0"]
    assert [entry.decision.id for entry in store.observations(last=2)] == ["4", "0"]
    assert store.observations(everything[-1].position) == []


def test_an_unknown_decision_and_a_second_feedback_are_refused(store: FeedbackStore) -> None:
    store.add_decisions([decision()])
    with pytest.raises(UnknownDecisionError, match=r"no decision 'nobody'.*nothing was recorded"):
        store.add_feedback(FeedbackRecord("nobody", 1.0))
    store.add_feedback(FeedbackRecord("d1", 0.0))
    with pytest.raises(DuplicateFeedbackError, match=r"'d1' already has feedback: 0 from user\. The first counts"):
        store.add_feedback(FeedbackRecord("d1", 1.0, "judge"))
    assert [entry.feedback.score for entry in store.observations()] == [0.0]


def test_a_decision_that_is_there_stays(store: FeedbackStore) -> None:
    store.add_decisions([decision(p=0.8)])
    store.add_decisions([decision(p=0.1), decision("d2")])
    assert {record.id: record.probability for record, _ in store.decisions()} == {"d1": 0.8, "d2": 0.8}


def _write(path: Path, start: int) -> None:
    store = open_store(path)
    for number in range(start, start + 50):
        store.add_decisions([decision(str(number))])
        store.add_feedback(FeedbackRecord(str(number), 1.0))
    store.close()


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    processes = [multiprocessing.get_context("spawn").Process(target=_write, args=(path, 50 * n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    store = open_store(path)
    assert store.counts() == Counts(150, 150, 0)
    store.close()


def test_a_locked_file_is_named_and_usable_later(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "feedback.sqlite", busy_s=0.01)
    store.add_decisions([decision()])
    other = sqlite3.connect(tmp_path / "feedback.sqlite")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(FeedbackStoreError, match="locked by another process"):
        store.add_feedback(FeedbackRecord("d1", 1.0))
    other.rollback()
    other.close()
    store.add_feedback(FeedbackRecord("d1", 1.0))
    store.close()


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(FeedbackStoreError, match=r"is damaged.*it was not changed: move it away"):
        SQLiteStore(path).counts()
    assert path.read_bytes() == b"no database at all" * 100


def test_a_file_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    store = SQLiteStore(path)
    store.add_decisions([decision()])
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(ConfigurationError, match="is of format 7, this modelsat reads format 1; it was not changed"):
        SQLiteStore(path).counts()


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE customers (name TEXT)")
    database.close()
    with pytest.raises(ConfigurationError, match="is a database of another program"):
        SQLiteStore(path).add_decisions([decision()])


def test_a_redis_store_of_another_version_is_refused(redis_url: str) -> None:
    import redis

    from modelsat.feedback.redis import RedisStore

    client = redis.Redis.from_url(redis_url)
    client.set("{old}:format", 9)
    client.close()
    store = RedisStore(redis_url, prefix="old")
    with pytest.raises(ConfigurationError, match="is of format 9"):
        store.counts()
    store.close()


def test_a_redis_server_that_is_away_is_named_without_its_password() -> None:
    pytest.importorskip("redis")
    store = open_store("redis://user:secret@127.0.0.1:1/0")
    with pytest.raises(FeedbackStoreError, match=r"cannot use the feedback store redis://127\.0\.0\.1:1/0") as caught:
        store.counts()
    assert "secret" not in str(caught.value)
    store.close()


@pytest.mark.parametrize("target", [None, 3, "", "  ", "mysql://host/db", SQLiteStore])
def test_what_is_no_store_is_refused(target: object) -> None:
    with pytest.raises(ConfigurationError, match="feedback store"):
        open_store(target)


def test_a_missing_file_is_not_made_where_it_is_only_read(tmp_path: Path) -> None:
    with pytest.raises(FeedbackStoreError, match="there is no feedback store"):
        open_store(tmp_path / "missing.sqlite", create=False).counts()
    assert not (tmp_path / "missing.sqlite").exists()
