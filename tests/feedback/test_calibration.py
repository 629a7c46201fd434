"""What is learnt from feedback: offsets by field, forgetting, and changes that are noticed; on simulated answers."""

from __future__ import annotations

import importlib
import logging
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.feedback import Calibrator, DecisionRecord, FeedbackRecord, Observation, Subject
from modelsat.feedback.offsets import (
    FIELD_DEVIATION,
    MODEL_DEVIATION,
    SETTLED,
    Offset,
    chance,
    draw,
    explored,
    logit,
    sigmoid,
)
from tests.feedback.conftest import observation

M = Subject("m")
share = st.floats(0.0, 1.0)


def _learn(calibrator: Calibrator, count: int, score: float, accuracy: float, seed: int = 0, **field: float) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        calibrator.observe(observation(score, float(rng.random() < accuracy), **field))


def test_without_feedback_nothing_changes() -> None:
    scores = [0.0, 0.1, 1 / 3, 0.999999, 1.0]
    assert Calibrator().correct([M] * 5, scores, {"law": 1.0}) == scores


def test_a_wrong_level_is_learnt() -> None:
    calibrator = Calibrator(quiet=True)
    _learn(calibrator, 600, 0.8, 0.6)
    assert calibrator.correct([M], [0.8], {})[0] == pytest.approx(0.6, abs=0.05)
    assert calibrator.correct([Subject("other")], [0.8], {}) == [0.8]


def test_fields_are_told_apart_and_share_what_is_common() -> None:
    calibrator = Calibrator(quiet=True)
    for step in range(8):
        _learn(calibrator, 60, 0.7, 0.35, seed=step, law=1.0)
        _learn(calibrator, 60, 0.7, 0.65, seed=100 + step, chemistry=1.0)
    law, chemistry, new = (
        calibrator.correct([M], [0.7], {name: 1.0})[0] for name in ("law", "chemistry", "never seen")
    )
    assert law < new < 1.05 * chemistry
    assert law == pytest.approx(0.35, abs=0.1)
    assert chemistry == pytest.approx(0.65, abs=0.1)
    mixed = calibrator.correct([M], [0.7], {"law": 0.5, "chemistry": 0.5})[0]
    assert law < mixed < chemistry


def test_old_feedback_fades_by_count_and_by_time() -> None:
    steady = Calibrator(half_life=math.inf, quiet=True, threshold=math.inf)
    quick = Calibrator(half_life=50, quiet=True, threshold=math.inf)
    daily = Calibrator(half_life=math.inf, half_life_days=1.0, quiet=True)
    for calibrator in (steady, quick):
        _learn(calibrator, 400, 0.5, 0.2)
        _learn(calibrator, 100, 0.5, 0.8, seed=1)
    assert steady.correct([M], [0.5], {})[0] < 0.4
    assert quick.correct([M], [0.5], {})[0] > 0.55
    _learn(daily, 100, 0.5, 0.1)
    assert daily.correct([M], [0.5], {})[0] < 0.2
    daily.observe(observation(0.5, 0.5, time=60 * 86400.0))
    assert daily.correct([M], [0.5], {})[0] == pytest.approx(0.5, abs=0.03)


@given(score=share, outcome=share, start=st.floats(-3, 3), field=st.floats(0.0, 1.0))
def test_better_feedback_never_lowers_a_score(score: float, outcome: float, start: float, field: float) -> None:
    prior = Offset((), np.array([start]), np.array([[0.3]]))
    shares = {"law": field}
    worse, better = (prior.updated(score, value, shares) for value in (outcome * 0.5, outcome))
    assert worse.shift(shares) <= better.shift(shares) + 1e-9
    assert np.isfinite(better.mean).all()
    assert (np.linalg.eigvalsh(better.covariance) > 0).all()


def test_doubt_shrinks_with_feedback_and_returns_to_the_prior() -> None:
    offset = Offset()
    for step in range(200):
        offset = offset.updated(0.5, float(step % 3 > 0), {"law": 1.0}, keep=0.99)
    assert offset.deviation({"law": 1.0}) < 0.3
    forgotten = offset
    for _ in range(3):
        forgotten = forgotten.updated(0.5, 0.5, {}, keep=1e-9)
    assert forgotten.deviation({"law": 1.0}) == pytest.approx(math.hypot(MODEL_DEVIATION, FIELD_DEVIATION), rel=0.2)
    assert abs(forgotten.mean[1]) < 0.01


@pytest.mark.parametrize(("accuracy", "direction"), [(0.45, "worse"), (0.75, "better")])
def test_a_change_is_noticed_logged_once_and_learnt(
    accuracy: float, direction: str, caplog: pytest.LogCaptureFixture
) -> None:
    calibrator = Calibrator()
    _learn(calibrator, 400, 0.6, 0.6)
    assert calibrator.drifts == ()
    with caplog.at_level(logging.WARNING, "modelsat"):
        _learn(calibrator, 300, 0.6, accuracy, seed=1)
    (drift,) = calibrator.drifts
    assert (drift.model, drift.direction) == ("m", direction)
    assert drift.seen - 400 <= 300
    assert drift.points == pytest.approx(100 * (accuracy - 0.6), abs=9)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"m got {direction}" in caplog.text
    assert calibrator.correct([M], [0.6], {})[0] == pytest.approx(accuracy, abs=0.07)


def test_shares_of_success_are_learnt_as_such() -> None:
    calibrator = Calibrator(quiet=True)
    for _ in range(500):
        calibrator.observe(observation(0.5, 0.7))
    assert calibrator.correct([M], [0.5], {})[0] == pytest.approx(0.7, abs=0.03)


def test_a_decision_without_a_score_teaches_nothing() -> None:
    calibrator = Calibrator()
    record = DecisionRecord("d", 0.0, "spare")
    assert calibrator.observe(Observation("1", record, FeedbackRecord("d", 1.0))) is None
    assert calibrator.counted == 0


def test_a_draw_moves_unknown_candidates_more() -> None:
    known = Offset()
    for _ in range(400):
        known = known.updated(0.6, 0.6, {"law": 1.0})
    drawn = np.array([draw([known, Offset()], [0.6, 0.6], {"law": 1.0}, chance(0, str(n), 0)) for n in range(400)])
    assert drawn[:, 0].std() < 0.06
    assert drawn[:, 1].std() > 0.15
    assert drawn.mean(axis=0) == pytest.approx([0.6, 0.6], abs=0.05)
    assert chance(1, "x", 2).random() == chance(1, "x", 2).random() != chance(2, "x", 2).random()


def test_a_rise_is_acted_on_sooner_than_a_fall_and_what_is_known_counts_in_full() -> None:
    up, down, known = Offset(), Offset(), Offset()
    for _ in range(6):
        up, down = up.updated(0.5, 1.0, {}), down.updated(0.5, 0.0, {})
    assert down.shift({}) == pytest.approx(-up.shift({}))
    assert 0.0 < up.correction({}) < up.shift({})
    assert down.correction({}) == 0.0
    for _ in range(30):
        down = down.updated(0.5, 0.0, {})
    assert down.shift({}) < down.correction({}) < 0.6 * down.shift({})
    for number in range(400):
        known = known.updated(0.5, float(number % 20 < 9), {})
    assert known.deviation({}) < SETTLED
    assert known.correction({}) == known.shift({}) < -0.05


@given(mean=st.floats(-40, 40), variance=st.floats(1e-12, 10.0))
def test_a_correction_lies_between_nothing_and_the_mean(mean: float, variance: float) -> None:
    moved = Offset((), np.array([mean]), np.array([[variance]])).correction({})
    assert min(0.0, mean) <= moved <= max(0.0, mean)


def test_who_is_explored_is_who_may_overtake_the_leader() -> None:
    known = Offset()
    for number in range(400):
        known = known.updated(0.5, float(number % 2), {})
    offsets, row = [known, known, Offset(), Offset()], [0.7, 0.5, 0.5, 0.3]
    leads = [np.argmax(draw(offsets, row, {}, chance(0, str(n), 0), leader=0)) for n in range(300)]
    first, known_to_be_worse, unknown, unlikely = np.bincount(leads, minlength=4)
    assert unknown > unlikely > known_to_be_worse
    assert unknown + unlikely > 280
    assert first < 10 > known_to_be_worse


def test_where_the_leader_is_settled_it_stays() -> None:
    settled = Offset((), np.zeros(1), np.array([[1e-6]]))
    drawn = draw([settled, settled], [0.9, 0.1], {}, chance(0, "x", 0), leader=0)
    assert drawn == pytest.approx([0.9, 0.1], abs=0.01)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
def test_exploration_keeps_its_rate(rate: float) -> None:
    row = [0.6, 0.5]
    drawn = [explored(rate, [Offset(), Offset()], row, row, {}, chance(0, str(n), 0)) for n in range(2000)]
    made = [scores for scores in drawn if scores is not None]
    assert len(made) / 2000 == pytest.approx(rate, abs=0.02)
    if rate == 1.0:  # nothing but exploration: plain Thompson sampling, the leader leads most
        assert sum(first > second for first, second in made) > 1000


def test_log_odds_and_back() -> None:
    for p in (0.001, 0.5, 0.99):
        assert sigmoid(logit(p)) == pytest.approx(p)
    assert sigmoid(logit(0.0)) < 0.001
    assert sigmoid(logit(1.0)) > 0.999


@pytest.fixture
def simulation() -> Iterator[ModuleType]:
    """``benchmarks/feedback.py``."""
    folder = Path(__file__).parents[2] / "benchmarks"
    if not (folder / "feedback.py").is_file():
        pytest.skip("the benchmarks are not part of this installation")
    spec = importlib.util.spec_from_file_location("feedback_simulation", folder / "feedback.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def world(simulation: ModuleType) -> object:
    """600 prompts, two strong models and a weak one, with calibrated scores and one field."""
    rng = np.random.default_rng(0)
    scores = np.clip(rng.normal([0.68, 0.62, 0.4], 0.06, size=(600, 3)), 0.05, 0.95)
    fields: list[dict[str, float]] = [{} for _ in range(600)]
    outcomes = (rng.random((600, 3)) < scores).astype(float)
    return simulation.World(("first", "second", "weak"), scores, outcomes, fields)


def test_a_drop_is_noticed_and_routing_recovers(simulation: ModuleType, world: object) -> None:
    found = [simulation.alarms(world, "first", 700, seed, after=400, drop=0.2) for seed in range(3)]
    assert sum(any(at >= 400 and direction == "worse" for at, direction, _ in own) for own in found) >= 2
    drop = {"worse": "first", "after": 500, "drop": 0.2}
    static, *_ = simulation.route(world, 2000, 0, learn=False, **drop)
    learnt, chosen, _ = simulation.route(world, 2000, 0, explore=0.05, **drop)
    assert learnt[1000:].mean() > static[1000:].mean() + 0.03
    assert chosen[:500].count("first") > chosen[1500:].count("first")


def test_a_wrong_profile_heals(simulation: ModuleType, world: object) -> None:
    wrong = world.with_scores("weak", np.clip(world.scores[:, 2] + 0.35, 0.05, 0.95))  # type: ignore[attr-defined]
    before = simulation.route(wrong, 2000, 0, learn=False)[0][1000:].mean()
    after = simulation.route(wrong, 2000, 0)[0][1000:].mean()
    right = simulation.route(world, 2000, 0, learn=False)[0][1000:].mean()
    assert before < right - 0.1
    assert after > right - 0.06


def test_a_profile_that_is_too_modest_heals(simulation: ModuleType, world: object) -> None:
    pair = world.take(["first", "weak"])  # type: ignore[attr-defined]
    wrong = pair.with_scores("first", np.clip(pair.scores[:, 0] - 0.35, 0.05, 0.95))
    before, _, _ = simulation.route(wrong, 2500, 0, learn=False)
    after, chosen, _ = simulation.route(wrong, 2500, 0)
    assert before[1500:].mean() < 0.5
    assert after[1500:].mean() > 0.6
    assert chosen[:100].count("first") < 50
    assert chosen[1500:].count("first") > 900


def test_steady_models_raise_few_alarms(simulation: ModuleType, world: object) -> None:
    assert sum(len(simulation.alarms(world, "first", 1000, seed)) for seed in range(3)) <= 1
