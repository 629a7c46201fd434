"""Reports of trials: means by conversation, and intervals that hold however often one looks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from modelsat.feedback import FeedbackRecord
from modelsat.feedback.base import DecisionRecord
from modelsat.feedback.sqlite import SQLiteStore
from modelsat.feedback.summary import LEAST, Mean, _mean, arms, widening


def test_means_errors_and_savings_are_those_of_the_conversations(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    store = SQLiteStore(tmp_path / "feedback.sqlite")
    records, by_thread = [], {}
    for thread in range(60):
        level = rng.random() * 0.01
        for turn in range(1 + thread % 3):
            cost = level + rng.random() * 0.001
            by_thread.setdefault(thread, []).append(cost)
            records.append(
                DecisionRecord(
                    *(f"{thread}-{turn}", 5.0, "strong", 0.9, {"strong": 0.9, "weak": 0.7}),
                    thread=f"hash {thread}",
                    costs={"strong": cost, "weak": 0.0},
                    arm="shadow",
                    routed="weak",
                )
            )
    store.add_decisions(
        [*records, DecisionRecord("old", 1.0, "strong", arm="shadow"), DecisionRecord("none", 9.0, "m")]
    )
    store.add_feedback(FeedbackRecord("0-0", 1.0))
    (shadow,) = arms(store, since=2.0)
    cost = shadow.means["cost"]
    sums = np.array([sum(costs) for costs in by_thread.values()])
    counts = np.array([len(costs) for costs in by_thread.values()])
    ratio = sums.sum() / counts.sum()
    residuals = sums - ratio * counts
    assert (cost.requests, cost.threads) == (counts.sum(), 60)
    assert cost.value == pytest.approx(ratio)
    assert cost.error == pytest.approx(math.sqrt(60 / 59 * (residuals**2).sum()) / counts.sum())
    assert shadow.means["saved"].value == pytest.approx(ratio)  # the router's own choice is free
    assert shadow.means["risked"].value == pytest.approx(0.2)
    assert shadow.means["feedback"].requests == 1
    assert shadow.means["feedback"].interval is None


def test_nothing_is_said_of_a_few_conversations() -> None:
    few, many = Mean(20, LEAST - 1, 0.2, 0.001), Mean(2000, 2000, 0.9, 0.001)
    assert not few.less(many).settled
    assert few.less(many).interval is None
    assert many.less(Mean(2000, 2000, 0.5, 0.001)).settled


def test_looking_after_every_conversation_finds_no_difference_where_there_is_none() -> None:
    rng = np.random.default_rng(0)
    runs, most = 300, 1500
    n = np.arange(1, most + 1)
    found = np.zeros(runs, bool)
    for run in range(runs):
        one, other = (np.cumsum(rng.random((2, most)) < 0.7, axis=1)) / n
        error = np.sqrt((one * (1 - one) + other * (1 - other)) / n)
        reach = error * np.array([widening(float(count)) for count in n])
        found[run] = (np.abs(one - other) > reach)[LEAST:].any()
    assert found.mean() <= 0.05
    naive = 1.96 * math.sqrt(2 * 0.21 / most)
    assert widening(1000.0) * math.sqrt(2 * 0.21 / 1000) < 2.5 * naive * math.sqrt(most / 1000)


def test_a_difference_that_is_there_is_found() -> None:
    rng = np.random.default_rng(0)
    values = [(rng.random(2000) < p).astype(float) for p in (0.8, 0.6)]
    first, second = (_mean(2000, 2000, x.sum(), (x * x).sum(), x.sum(), 2000) for x in values)
    difference = first.less(second)
    assert difference.settled
    assert difference.interval is not None
    assert difference.interval[0] < 0.2 < difference.interval[1]
