"""Shadow, canary and experiment: who answers, what is recorded, and that a conversation stays where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from modelsat.cli import app
from modelsat.errors import ConfigurationError
from modelsat.feedback.sqlite import SQLiteStore
from modelsat.request import RequestContext
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile

PRICES = {
    "strong": {"input_usd_per_mtok": 10.0, "output_usd_per_mtok": 30.0},
    "weak": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.3},
}


def router(**options: Any) -> Router:
    made = [make_profile("strong", 0.9), make_profile("weak", 0.6)]
    return Router(made, scorer=FakeScorer({0.9: 0.9, 0.6: 0.7}), facts=PRICES, **options)


def thread(number: int) -> RequestContext:
    return RequestContext(thread=f"thread {number}")


def test_a_shadow_decides_and_its_model_answers() -> None:
    decision = router(policy="cheapest(target=0.6)", shadow="strong").route("hello", context=thread(1))
    assert (decision.model, decision.routed, decision.arm) == ("strong", "weak", "shadow")
    assert decision.reason.startswith("shadow, routed would be weak: cheapest")
    same = router(policy="best", shadow="strong").route("hello", context=thread(1))
    assert (same.model, same.routed) == ("strong", None)
    forbidden = router(policy="cheapest(target=0.6)", shadow="strong", constraints={"deny_models": ["strong"]})
    routed = forbidden.route("hello", context=thread(1))
    assert (routed.model, routed.routed) == ("weak", None)
    assert "the shadow's model strong may not answer this request: routed" in routed.notes


def test_a_canary_answers_its_share_of_conversations_and_keeps_them() -> None:
    made = router(policy="cheapest(target=0.6)", shadow="strong", canary=0.2)
    arms = [made.route("hello", context=thread(number)).arm for number in range(1000)]
    assert set(arms) == {"shadow", "canary"}
    assert abs(arms.count("canary") - 200) < 4 * (1000 * 0.2 * 0.8) ** 0.5
    again = router(policy="cheapest(target=0.6)", shadow="strong", canary=0.2)
    assert [again.route("other words", context=thread(number)).arm for number in range(100)] == arms[:100]
    decided = {arm: made.route("hello", context=thread(arms.index(arm))).model for arm in ("shadow", "canary")}
    assert decided == {"shadow": "strong", "canary": "weak"}
    wider = router(policy="best", shadow="strong", canary=0.5)
    assert all(wider.route("x", context=thread(n)).arm == "canary" for n in range(100) if arms[n] == "canary")


def test_an_experiment_decides_each_conversation_by_one_of_its_policies() -> None:
    made = router(experiment={"a": "best", "b": "cheapest(target=0.6)"})
    decisions = [made.route("hello", context=thread(number)) for number in range(300)]
    assert {(d.arm, d.policy, d.model) for d in decisions} == {("a", "best", "strong"), ("b", "cheapest", "weak")}
    assert abs(sum(d.arm == "a" for d in decisions) - 150) < 4 * (300 / 4) ** 0.5


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"shadow": "other"}, "shadow: 'other' is none of the candidates"),
        ({"canary": 0.1}, "canary needs shadow="),
        ({"shadow": "weak", "canary": 5}, "write 0.05 for 5 %"),
        ({"experiment": {"a": "best"}}, "name two policies or more"),
        ({"experiment": {"a": "best", "b": "luck"}}, "experiment, arm 'b': unknown policy"),
        ({"experiment": {"a": "best", "shadow": "best"}}, "an arm cannot be called 'shadow'"),
        ({"experiment": {"a": "best", "b": "best"}, "shadow": "weak"}, "give either an experiment, or a shadow"),
    ],
)
def test_what_makes_no_sense_is_refused_at_start(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        router(**options)


def test_the_report_says_what_routing_would_save_and_what_the_canary_did(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    made = router(policy="cheapest(target=0.6)", shadow="strong", canary=0.5, feedback=str(path))
    decisions = [made.route(f"hello {number % 7}", context=thread(number)) for number in range(200)]
    assert made._learning is not None
    made._learning.loop.flush()
    for number, decision in enumerate(decisions):
        made.feedback(decision.id, float(number % 5 > 0))
    made._learning.loop.close()
    kept = {record.id: record for record, _ in SQLiteStore(path).decisions()}
    assert all(kept[d.id].arm == d.arm and kept[d.id].routed == (d.routed or "") for d in decisions)
    run = CliRunner().invoke(app, ["report", str(path), "--json"])
    assert run.exit_code == 0, run.output
    content = json.loads(run.output)
    shadow, canary = content["arms"]["shadow"], content["arms"]["canary"]
    assert shadow["saved"]["value"] == pytest.approx(shadow["cost"]["value"] - canary["cost"]["value"], rel=0.05)
    assert shadow["risked"]["value"] == pytest.approx(0.2, abs=1e-6)
    settled = {entry["measure"]: entry["settled"] for entry in content["differences"]}
    assert settled["cost"]
    assert not settled["feedback"]
    said = CliRunner().invoke(app, ["report", str(path)]).output
    assert "routing would have saved" in said
    assert "not settled, go on" in said
    nothing = CliRunner().invoke(app, ["report", str(path), "--days", "0"])
    assert (nothing.exit_code, "holds no trial" in nothing.output) == (2, True)
