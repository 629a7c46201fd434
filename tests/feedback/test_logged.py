"""Logged outcomes as feedback: counted from the first request on, once, and only for what they belong to."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelsat import Router
from modelsat.errors import ConfigurationError, InvalidFeedbackError
from modelsat.feedback import Calibrator, Feedback, open_store
from modelsat.feedback.outcomes import import_outcomes
from modelsat.inference import load_scorer
from tests.fakes import FakeScorer, make_profile

PROFILES = {"weak": make_profile("weak", 0.3), "strong": make_profile("strong", 0.8)}
SCORED = {0.3: 0.4, 0.8: 0.7}


def logged(count: int = 400) -> list[tuple[str, dict[str, float]]]:
    """The weak model answers nine prompts in ten well, the strong one three."""
    return [(f"question {n}", {"weak": float(n % 10 < 9), "strong": float(n % 10 < 3)}) for n in range(count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feedback.sqlite"


def test_a_router_starts_with_what_was_logged(path: Path) -> None:
    scorer = FakeScorer(SCORED)
    assert Router(list(PROFILES.values()), scorer=scorer).route("a new question").model == "strong"
    store = open_store(path)
    done: list[int] = []
    found = import_outcomes(store, scorer, PROFILES, logged(), advance=done.append)
    store.close()
    assert (found.feedback, found.prompts, found.known, found.others) == (800, 400, 0, 0)
    assert sum(done) == 400
    decision = Router(list(PROFILES.values()), scorer=scorer, feedback=path).route("a new question")
    assert decision.model == "weak"
    assert decision.scores["weak"] == pytest.approx(0.9, abs=0.05)
    assert decision.scores["strong"] == pytest.approx(0.3, abs=0.05)


def test_a_second_import_changes_nothing(path: Path) -> None:
    store, scorer = open_store(path), FakeScorer(SCORED)
    import_outcomes(store, scorer, PROFILES, logged(50))
    again = import_outcomes(store, scorer, PROFILES, logged(60))
    assert (again.feedback, again.known) == (20, 100)
    assert store.counts().feedback == 120
    store.close()


def test_other_weights_start_anew(path: Path) -> None:
    store = open_store(path)
    import_outcomes(store, FakeScorer(SCORED), PROFILES, logged(100))
    store.close()
    loop = Feedback(path)
    other = Router(list(PROFILES.values()), scorer=FakeScorer(SCORED, version="fake@2"), feedback=loop)
    assert other.route("a new question").corrections == {}
    loop.close()


def test_imported_outcomes_count_alike_and_are_no_model_that_changes(path: Path) -> None:
    store = open_store(path)
    answered = [(f"easy {n}", {"weak": 1.0}) for n in range(300)] + [(f"hard {n}", {"weak": 0.0}) for n in range(300)]
    import_outcomes(store, FakeScorer({0.3: 0.5}), PROFILES, answered)
    observations = store.observations()
    store.close()
    calibrator = Calibrator(half_life=50, quiet=True)
    for observation in observations:
        calibrator.observe(observation)
    (state,) = calibrator.models.values()
    assert calibrator.drifts == ()
    assert abs(state.shift) < 0.2, "as many right as wrong"
    assert state.deviation < 0.12, "600 outcomes, none of them forgotten"


def test_prompts_are_kept_only_if_asked_for(path: Path) -> None:
    store = open_store(path)
    import_outcomes(store, FakeScorer(), PROFILES, [("a secret", {"weak": 1.0})])
    assert store.counts().prompts == 0
    import_outcomes(store, FakeScorer(version="fake@2"), PROFILES, [("a secret", {"weak": 1.0})], keep_prompts=True)
    assert store.counts().prompts == 1
    store.close()


def test_what_cannot_be_imported(path: Path) -> None:
    store, scorer = open_store(path), FakeScorer()
    with pytest.raises(ConfigurationError, match=r"no outcome belongs to a candidate \(weak, strong\)"):
        import_outcomes(store, scorer, PROFILES, [("a", {"gpt-4o": 1.0}), ("b", {})])
    with pytest.raises(InvalidFeedbackError, match="from 0"):
        import_outcomes(store, scorer, PROFILES, [("a", {"weak": 1.0}), ("b", {"weak": 80.0})])
    assert store.counts().decisions == 0
    found = import_outcomes(store, scorer, PROFILES, [("a", {"weak": 1.0, "gpt-4o": 1.0})])
    assert (found.feedback, found.others) == (1, 1)
    store.close()


def test_with_the_shipped_weights_and_their_fields(path: Path) -> None:
    models = ["gpt-4o", "gpt-4o-mini"]
    plain = Router(models)
    profiles = {candidate.name: candidate.profile for candidate in plain.candidates}
    store = open_store(path)
    asked = [(f"What is the integral of x^{n} from 0 to 1?", {"gpt-4o": 0.0, "gpt-4o-mini": 1.0}) for n in range(60)]
    import_outcomes(store, load_scorer("modelsat-nano"), profiles, asked)
    assert "mathematics" in store.observations()[0].decision.field
    store.close()
    loop = Feedback(path)
    learnt = Router(models, feedback=loop)
    prompt = "What is the integral of x^99 from 0 to 1?"
    assert plain.route(prompt).model == "gpt-4o"
    decision = learnt.route(prompt)
    assert decision.model == "gpt-4o-mini"
    assert decision.corrections["gpt-4o"] < -0.1 < 0.0 < decision.corrections["gpt-4o-mini"]
    loop.close()
