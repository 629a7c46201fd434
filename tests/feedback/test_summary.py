"""Sums that the store keeps: they agree with the decisions, stay when those go, and take in files of format 1."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from modelsat.feedback import Counts, FeedbackRecord
from modelsat.feedback.base import IMPORTED, DecisionRecord, Retention, thread_key
from modelsat.feedback.sqlite import SQLiteStore
from modelsat.feedback.summary import Window, known, summarise

HOUR = 3600.0
FORMAT_1 = """
CREATE TABLE decisions (
    id TEXT PRIMARY KEY, time REAL NOT NULL, model TEXT NOT NULL, probability REAL, network TEXT NOT NULL,
    field TEXT NOT NULL, policy TEXT NOT NULL, explored INTEGER NOT NULL, weights TEXT NOT NULL, profile TEXT NOT NULL,
    prompt TEXT
) WITHOUT ROWID;
CREATE TABLE feedback (
    position INTEGER PRIMARY KEY AUTOINCREMENT, decision TEXT NOT NULL UNIQUE REFERENCES decisions (id),
    score REAL NOT NULL CHECK (score BETWEEN 0 AND 1), source TEXT NOT NULL, time REAL NOT NULL
);
PRAGMA application_id = 1297301844;
PRAGMA user_version = 1;
"""


def made(number: int, **other: object) -> DecisionRecord:
    chosen = "strong" if number % 3 else "weak"
    scores = {"strong": 0.9, "weak": 0.6}
    record = DecisionRecord(
        *(f"d{number}", HOUR * (100 + number % 5) + number, chosen, scores[chosen], scores),
        policy="best" if number % 2 else "cheapest",
        thread=thread_key(f"t{number % 4}"),
        group="a" if number < 20 else "b",
        costs={"strong": 0.01, "weak": 0.001},
        excluded={"third": "region"} if number % 10 == 0 else {},
        target_met=chosen == "strong" if number % 2 else None,
        fallback=number == 7,
        elapsed_ms=float(number),
    )
    return replace(record, **other)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    store = SQLiteStore(tmp_path / "feedback.sqlite")
    store.add_decisions([made(number) for number in range(40)])
    store.add_decisions([made(3), replace(made(41), policy=IMPORTED)])  # one is there already, one no router made
    for number in range(0, 40, 2):
        store.add_feedback(FeedbackRecord(f"d{number}", 1.0 if number % 4 else 0.0))
    return store


@pytest.mark.parametrize(
    "window",
    [
        Window(),
        Window(policy="best"),
        Window(group="b"),
        Window(thread="t1"),
        Window(policy="cheapest", thread="t2"),
        Window(since=HOUR * 102, until=HOUR * 103),
    ],
)
def test_sums_are_those_of_the_decisions(store: SQLiteStore, window: Window) -> None:
    pairs = [
        (record, given)
        for record, given in store.decisions()
        if record.policy != IMPORTED
        and window.policy in ("", record.policy)
        and window.group in ("", record.group)
        and (not window.thread or record.thread == thread_key(window.thread))
        and window.since // HOUR <= record.time // HOUR <= window.until // HOUR
    ]
    assert pairs
    found = summarise(store, window)
    total, records = found.total, [record for record, _ in pairs]
    assert total.decisions == len(records)
    assert {name: sums.decisions for name, sums in found.models.items()} == Counter(r.model for r in records)
    assert total.cost == pytest.approx(sum(record.costs[record.model] for record in records))
    assert total.best_cost == pytest.approx(0.01 * len(records))
    assert total.cheapest_cost == pytest.approx(0.001 * len(records))
    assert total.p == pytest.approx(sum(record.network[record.model] for record in records))
    assert total.fallbacks == sum(record.fallback for record in records)
    assert total.targets == sum(record.target_met is not None for record in records)
    assert total.targets_met == sum(bool(record.target_met) for record in records)
    scores = [given.score for _, given in pairs if given is not None]
    assert (total.feedback, total.score) == (len(scores), sum(scores))
    assert sum(found.latency.values()) == len(records)
    assert sum(count for *_, count in found.excluded) == sum(bool(record.excluded) for record in records)
    assert sum(found_bin.count for found_bin in found.reliability) == len(scores)
    assert sum(sums.decisions for at in found.series.values() for sums in at.values()) == len(records)


def test_what_is_known_of_policies_groups_times_and_savings(store: SQLiteStore) -> None:
    assert known(store) == (["best", "cheapest"], ["a", "b"])
    found = summarise(store, Window())
    assert found.latency_at(0.5) == "≤ 20 ms"
    assert found.total.saved == pytest.approx(1 - found.total.cost / 0.4)
    assert [round(entry.expected, 6) for entry in found.reliability] == [0.6, 0.9]
    assert summarise(store, Window(policy="none")).total.decisions == 0


def test_sums_stay_when_old_decisions_are_dropped(store: SQLiteStore) -> None:
    before = summarise(store, Window()).total
    assert store.prune(Retention(decisions=10), HOUR * 200, 500) > 0
    assert store.counts().decisions < 41
    assert summarise(store, Window()).total == before


def test_a_file_of_format_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    database = sqlite3.connect(path)
    database.executescript(FORMAT_1)
    rows = [
        (f"d{n}", HOUR * n, "m", 0.7, '{"m": 0.6, "other": 0.8}' if n else "no JSON", "{}", "best", 0, "w@1", "p", None)
        for n in range(5)
    ]
    database.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    database.execute("INSERT INTO feedback (position, decision, score, source, time) VALUES (9, 'd2', 1, 'user', 5)")
    database.commit()
    database.close()
    store = SQLiteStore(path)
    assert store.counts() == Counts(5, 1, 0)
    assert store.observations()[0].position == "9"
    assert store.observations()[0].decision == DecisionRecord(
        "d2", HOUR * 2, "m", 0.7, {"m": 0.6, "other": 0.8}, {}, "best", False, "w@1", "p"
    )
    total = summarise(store, Window()).total
    assert (total.decisions, total.scored, total.feedback, total.priced) == (5, 4, 1, 0)
    assert (total.p, total.best_p) == pytest.approx((2.4, 3.2))
    store.add_decisions([DecisionRecord("d9", HOUR, "m")])
    assert SQLiteStore(path).counts().decisions == 6
