"""A router with feedback: what it keeps, how its scores move, and that nothing ever stands in its way."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from modelsat.errors import (
    ConfigurationError,
    DuplicateFeedbackError,
    FeedbackStoreError,
    InvalidFeedbackError,
    UnknownDecisionError,
)
from modelsat.feedback import DecisionRecord, Feedback, FeedbackStore, open_store
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile
from tests.feedback.conftest import MakeRouter


def test_a_decision_is_kept_without_its_prompt(router: MakeRouter, store: FeedbackStore) -> None:
    made = router(Feedback(store))
    decision = made.route("What is the law?")
    made.feedback(decision.id, 1.0)
    ((record, feedback),) = store.decisions()
    assert (record.id, record.model, record.probability) == (decision.id, "strong", pytest.approx(0.9))
    assert record.network == pytest.approx({"weak": 0.3, "middling": 0.6, "strong": 0.9})
    assert record.prompt is None
    assert feedback is not None
    assert feedback.score == 1.0


def test_prompts_are_kept_on_request(router: MakeRouter, tmp_path: Path) -> None:
    made = router(keep_prompts=True)
    made.feedback(made.route("What is the law?").id, 1.0)
    store = open_store(tmp_path / "feedback.sqlite")
    assert [record.prompt for record, _ in store.decisions()] == ["What is the law?"]
    store.close()


def test_scores_without_feedback_are_those_of_the_network(router: MakeRouter) -> None:
    plain = Router(list(router().candidates), scorer=FakeScorer({0.9: 0.9, 0.6: 0.6, 0.3: 0.3}))
    decision = router().route("Hello")
    assert decision.scores == plain.route("Hello").scores
    assert decision.corrections == {}
    assert plain.learning is None


def test_bad_feedback_moves_traffic_away(router: MakeRouter) -> None:
    made = router()
    chosen = []
    for number in range(40):
        decision = made.route(f"prompt {number}")
        chosen.append(decision.model)
        made.feedback(decision.id, 0.0 if decision.model == "strong" else 1.0)
    assert chosen[0] == "strong"
    assert chosen[-1] == "middling"
    decision = made.route("one more")
    assert decision.corrections["strong"] < -0.3
    assert decision.scores["strong"] == pytest.approx(0.9 + decision.corrections["strong"])
    assert decision.scores["weak"] == pytest.approx(0.3)


def test_routers_learn_from_each_others_feedback(router: MakeRouter, tmp_path: Path) -> None:
    first = router()
    for number in range(20):
        first.feedback(first.route(f"prompt {number}").id, 0.0)
    second = router(tmp_path / "feedback.sqlite")
    assert second.route("x").scores == first.route("x").scores
    assert second.learning is not None
    assert second.learning.counted == 20


def test_feedback_on_another_profile_or_other_weights_does_not_count(router: MakeRouter, tmp_path: Path) -> None:
    first = router()
    for number in range(20):
        first.feedback(first.route(f"prompt {number}").id, 0.0)
    again = router(tmp_path / "feedback.sqlite", scorer=FakeScorer({0.9: 0.9, 0.6: 0.6, 0.3: 0.3}, version="fake@2"))
    assert again.route("x").corrections == {}


def test_unknown_and_duplicate_feedback_is_refused(router: MakeRouter) -> None:
    made = router()
    decision = made.route("Hello")
    with pytest.raises(UnknownDecisionError):
        made.feedback("nobody", 1.0)
    made.feedback(decision.id, 1.0)
    with pytest.raises(DuplicateFeedbackError):
        made.feedback(decision.id, 1.0)
    assert made.learning is not None
    assert (made.learning.refused, made.learning.counted) == (2, 1)


@pytest.mark.parametrize("score", [-0.1, 1.1, 80, float("nan"), float("inf"), "good", "0.5", None, [1], 10**400])
def test_a_score_outside_0_to_1_is_refused(router: MakeRouter, score: object) -> None:
    made = router()
    decision = made.route("Hello")
    with pytest.raises(InvalidFeedbackError, match=r"from 0 \(bad\) to 1 \(good\)") as caught:
        made.feedback(decision.id, score)  # type: ignore[arg-type]
    assert ("write 0.8 for 80 %" in str(caught.value)) == (score == 80)
    made.feedback(decision.id, True)


@pytest.mark.parametrize("identifier", [None, 7, "", " "])
def test_feedback_needs_the_id_of_a_decision(router: MakeRouter, identifier: object) -> None:
    with pytest.raises(InvalidFeedbackError, match=r"decision\.id"):
        router().feedback(identifier, 1.0)  # type: ignore[arg-type]


def test_a_router_without_a_store_says_what_is_missing() -> None:
    made = Router([make_profile("a", 0.3), make_profile("b", 0.6)], scorer=FakeScorer())
    with pytest.raises(ConfigurationError, match=r"Router\(\.\.\., feedback='feedback\.sqlite'\)"):
        made.feedback("x", 1.0)


async def test_feedback_from_an_event_loop(router: MakeRouter) -> None:
    made = router()
    decision = await made.aroute("Hello")
    await made.afeedback(decision.id, 1.0)
    assert made.learning is not None
    assert made.learning.counted == 1


def test_fallbacks_are_kept_and_teach_nothing(router: MakeRouter, tmp_path: Path) -> None:
    made = router(fallback="spare", scorer=FakeScorer(error=RuntimeError("broken")))
    decision = made.route("Hello")
    assert decision.fallback
    made.feedback(decision.id, 1.0)
    assert made.learning is not None
    assert (made.learning.written, made.learning.counted) == (2, 0)


def test_exploration_is_marked_and_repeats(router: MakeRouter, tmp_path: Path) -> None:
    decisions = [router(explore=0.5, seed=3).route(f"prompt {number}") for number in range(60)]
    again = [router(tmp_path / "b.sqlite", explore=0.5, seed=3).route(f"prompt {number}") for number in range(60)]
    explored = [decision for decision in decisions if decision.explored]
    assert 15 <= len(explored) <= 45
    assert len({decision.model for decision in explored}) > 1
    assert {decision.model for decision in decisions if not decision.explored} == {"strong"}
    assert [decision.model for decision in decisions] == [decision.model for decision in again]
    for decision in explored:
        assert decision.scores == pytest.approx({"strong": 0.9, "middling": 0.6, "weak": 0.3})
        assert decision.reason.startswith("explored, on a draw of the scores")


@pytest.mark.parametrize(
    "options",
    [
        {"explore": 5},
        {"explore": -1.0},
        {"half_life": 0},
        {"half_life_days": -2},
        {"queue_size": 0},
        {"keep_days": 0},
        {"keep_decisions": -1},
    ],
)
def test_settings_that_cannot_be_right_are_refused(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Feedback(tmp_path / "feedback.sqlite", **options)  # type: ignore[arg-type]


def test_old_decisions_are_dropped_in_the_background(router: MakeRouter, tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    store = open_store(path)
    store.add_decisions([DecisionRecord(f"old {number}", 1.0, "strong") for number in range(1200)])
    store.close()
    loop = Feedback(path, refresh_s=0.02)
    decision = router(loop).route("Hello")
    for _ in range(500):
        if loop.state.pruned == 1200:
            break
        time.sleep(0.02)
    assert loop.flush()
    assert loop.state.pruned == 1200
    assert [record.id for record, _ in open_store(path).decisions()] == [decision.id]


class _Gate:
    """A store that can be shut: then every call raises."""

    def __init__(self, store: FeedbackStore) -> None:
        self._store, self.shut = store, False
        self.calls = threading.Semaphore(0)

    def __getattr__(self, name: str) -> object:
        value = getattr(self._store, name)
        if name in ("add_decisions", "add_feedback", "observations") and self.shut:
            self.calls.release()
            raise FeedbackStoreError("the store is shut")
        return value

    name = property(lambda self: self._store.name)

    def decisions(self) -> object:
        return self._store.decisions()

    def add_decisions(self, records: object) -> None:
        self.__getattr__("add_decisions")(records)

    def add_feedback(self, record: object) -> None:
        self.__getattr__("add_feedback")(record)

    def observations(self, after: str = "", last: int | None = None) -> object:
        return self.__getattr__("observations")(after, last)

    def counts(self) -> object:
        return self._store.counts()

    def close(self) -> None:
        self._store.close()


def test_routing_goes_on_while_the_store_is_away_and_nothing_is_lost(
    router: MakeRouter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = _Gate(open_store(tmp_path / "feedback.sqlite"))
    made = router(Feedback(gate, refresh_s=0.01, wait_s=0.05))
    gate.shut = True
    decisions = [made.route(f"prompt {number}") for number in range(5)]
    gate.calls.acquire(timeout=10)
    made.feedback(decisions[0].id, 0.0)  # waits in memory
    state = made.learning
    assert state is not None
    assert state.problem == "the store is shut"
    assert state.waiting == 6
    gate.shut = False
    assert made._learning is not None
    assert made._learning.loop.flush()
    state = made.learning
    assert state is not None
    assert (state.problem, state.waiting, state.dropped, state.counted) == (None, 0, 0, 1)
    assert gate.counts().decisions == 5  # type: ignore[attr-defined]
    errors = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "prompt" not in caplog.text


def test_a_full_queue_drops_decisions_visibly_and_refuses_feedback(router: MakeRouter, tmp_path: Path) -> None:
    gate = _Gate(open_store(tmp_path / "feedback.sqlite"))
    gate.shut = True
    loop = Feedback(gate, queue_size=2, refresh_s=0.01, wait_s=0.01)
    made = router(loop)
    decisions = [made.route(f"prompt {number}") for number in range(300)]
    state = made.learning
    assert state is not None
    assert state.dropped > 0
    assert state.dropped + state.waiting == 300
    with pytest.raises(FeedbackStoreError, match="not recorded: give it again later"):
        made.feedback(decisions[0].id, 1.0)
    gate.shut = False
    loop.flush()


def test_a_damaged_store_is_reported_and_routing_goes_on(
    router: MakeRouter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "broken.sqlite"
    path.write_bytes(b"no database" * 500)
    made = router(path)
    assert made.route("Hello").model == "strong"
    assert made.learning is not None
    assert "is damaged" in str(made.learning.problem)
    assert "is damaged" in caplog.text
    assert path.read_bytes() == b"no database" * 500
    path.unlink()
    assert made._learning is not None
    assert made._learning.loop.flush()
    assert made.learning.problem is None
    assert open_store(path).counts().decisions == 1


def test_a_store_of_another_version_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    store = open_store(path)
    store.add_decisions([DecisionRecord("d", 0.0, "m")])
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(ConfigurationError, match="is of format 9"):
        Router([make_profile("a", 0.3), make_profile("b", 0.6)], scorer=FakeScorer(), feedback=path)
