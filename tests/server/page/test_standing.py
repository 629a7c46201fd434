"""Whether a model is getting worse, as the page says it."""

from __future__ import annotations

from random import Random

from modelsat.feedback import DecisionRecord, FeedbackRecord, Observation
from modelsat.feedback.calibration import Calibrator
from modelsat.server.page.tab_watch import Standing, headline, standings


def after(*outcomes: float, model: str = "m", calibrator: Calibrator | None = None) -> list[Standing]:
    """What is said once a model has got this feedback, where 0.7 was expected."""
    found = calibrator or Calibrator(quiet=True)
    for number, outcome in enumerate(outcomes):
        record = DecisionRecord(f"{model}{number}", float(number), model, 0.7, {model: 0.7})
        given = FeedbackRecord(record.id, outcome, time=float(number))
        found.observe(Observation(str(number), record, given))
    return standings(found)


def drawn(count: int, share: float, seed: int) -> list[float]:
    rng = Random(seed)
    return [float(rng.random() < share) for _ in range(count)]


def test_nobody_is_called_worse_without_feedback_or_by_chance() -> None:
    assert after() == []
    assert headline([]) == ""
    (early,) = after(*drawn(10, 0.7, 1))
    assert (early.said, early.lately, early.worse) == ("too early to say", None, False)
    assert headline([early]).startswith("Too early to say")
    steady = [one for seed in range(8) for one in after(*drawn(400, 0.7, seed))]
    assert sum(one.said != "no change" for one in steady) <= 4, "one false alarm in 2,500 feedbacks: 1.3 are expected"
    quiet = next(one for one in steady if one.said == "no change")
    assert headline([quiet]).startswith("None that was noticed")
    assert headline([early, quiet]) == "Too early to say of m; no change was noticed in the others."


def test_a_model_that_got_worse_comes_first_and_is_named() -> None:
    calibrator = Calibrator(quiet=True)
    after(*drawn(400, 0.7, 1), model="steady", calibrator=calibrator)
    found = after(*drawn(400, 0.7, 2), *drawn(60, 0.3, 3), model="fallen", calibrator=calibrator)
    assert [one.model for one in found] == ["fallen", "steady"]
    assert found[0].said.startswith("worse by ")
    assert headline(found) == "Yes: fallen."


def test_a_fall_shows_before_the_test_knows_the_model_well_enough() -> None:
    (fallen,) = after(*[1.0] * 60, *[0.0] * 40)
    assert not fallen.tested
    assert fallen.said == "lower than before"
    assert headline([fallen]) == "Yes: m."


def test_a_change_of_long_ago_is_no_longer_told() -> None:
    (told,) = after(*drawn(400, 0.7, 2), *drawn(60, 0.3, 3))
    assert told.drift is not None
    (one,) = after(*drawn(400, 0.7, 2), *drawn(60, 0.3, 3), *drawn(700, 0.3, 4))
    assert one.drift is None or one.drift.seen > told.drift.seen + 500
