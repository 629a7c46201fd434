"""Stores: what they keep, what they refuse, several processes at once, and files that are not theirs."""

from __future__ import annotations

import logging
import math
import multiprocessing
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from modelsat.errors import (
    ConfigurationError,
    DuplicateFeedbackError,
    FeedbackStoreError,
    UnknownDecisionError,
)
from modelsat.feedback import Counts, FeedbackRecord, FeedbackStore, open_store
from modelsat.feedback.base import PrunableStore, Retention
from modelsat.feedback.sqlite import SQLiteStore
from modelsat.feedback.writer import INTERVAL_S, PART, Pruner
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


def _fill(store: FeedbackStore, count: int, answered: Sequence[int]) -> None:
    store.add_decisions([replace(decision(str(number)), time=float(number)) for number in range(count)])
    for number in answered:
        store.add_feedback(FeedbackRecord(str(number), 1.0))


def _left(store: FeedbackStore) -> list[int]:
    return sorted(int(record.id) for record, _ in store.decisions())


def test_old_decisions_without_feedback_are_dropped_a_part_at_a_time(store: FeedbackStore) -> None:
    assert isinstance(store, PrunableStore)
    _fill(store, 10, answered=(1, 3))
    keep = Retention(days=2.0)
    now = 7.0 + 2.0 * 86400.0
    assert store.prune(keep, now, 3) == 3
    assert _left(store) == [1, 3, 5, 6, 7, 8, 9]
    assert store.prune(keep, now, 3) == 2
    assert store.prune(keep, now, 3) == 0
    assert _left(store) == [1, 3, 7, 8, 9]
    assert [entry.decision.id for entry in store.observations()] == ["1", "3"]
    with pytest.raises(UnknownDecisionError):
        store.add_feedback(FeedbackRecord("0", 1.0))


def test_beyond_the_number_kept_the_oldest_go_with_their_feedback(store: FeedbackStore) -> None:
    assert isinstance(store, PrunableStore)
    _fill(store, 10, answered=(0, 2, 8))
    position = store.observations()[-1].position
    keep = Retention(days=math.inf, decisions=4)
    assert [store.prune(keep, 1e12, 5) for _ in range(3)] == [5, 1, 0]
    assert _left(store) == [6, 7, 8, 9]
    assert store.counts() == Counts(4, 1, 0)
    assert [entry.decision.id for entry in store.observations()] == ["8"]
    store.add_feedback(FeedbackRecord("6", 0.0))
    assert [entry.decision.id for entry in store.observations(position)] == ["6"]
    assert store.prune(Retention(math.inf, math.inf), 1e12, 5) == 0


def test_decisions_of_an_older_version_in_redis_are_dropped_too(redis_url: str) -> None:
    import redis

    from modelsat.feedback.redis import RedisStore

    store = RedisStore(redis_url, prefix="before")
    _fill(store, 3, answered=())
    client = redis.Redis.from_url(redis_url)
    client.delete("{before}:times")
    client.close()
    assert store.prune(Retention(1.0), 2.0 + 86400.0, 10) == 2
    assert _left(store) == [2]
    store.close()


class _Counted:
    """A store that holds so many old decisions; the methods of others are not asked for."""

    name = "counted"
    add_decisions = add_feedback = observations = decisions = counts = close = lambda *_: None

    def __init__(self, old: int) -> None:
        self.old, self.parts = old, 0

    def prune(self, retention: Retention, now: float, limit: int) -> int:
        dropped = min(limit, self.old)
        self.old, self.parts = self.old - dropped, self.parts + 1
        return dropped


def test_pruning_takes_a_part_at_a_time_and_then_waits_for_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    store, now = _Counted(2 * PART + 7), [0.0]
    pruner = Pruner(store, Retention(), clock=lambda: now[0])
    with caplog.at_level(logging.INFO, "modelsat"):
        for _ in range(10):
            pruner()
    assert (store.old, store.parts, pruner.pruned) == (0, 3, 2 * PART + 7)
    assert [record.getMessage() for record in caplog.records] == ["1007 old decisions were dropped from counted"]
    store.old = 5
    now[0] = INTERVAL_S - 1.0
    pruner()
    assert store.old == 5
    now[0] = INTERVAL_S
    pruner()
    assert (store.old, pruner.pruned) == (0, 2 * PART + 12)


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
    with pytest.raises(ConfigurationError, match="is of format 7, this modelsat reads format 2; it was not changed"):
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
