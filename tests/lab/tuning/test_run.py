"""From prompts and a router to a policy file that decides alike everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modelsat.errors import ConfigurationError
from modelsat.lab.tuning import Aim, Measure, Tuning, read_prompts, tune
from modelsat.lab.tuning.run import check_plot, plot
from modelsat.policies.resolve import PolicyFile
from modelsat.request import Constraints
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile

PRICES = {
    "small": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.4},
    "large": {"input_usd_per_mtok": 5.0, "output_usd_per_mtok": 20.0},
}


def make_router(**options: object) -> Router:
    profiles = [make_profile("small", 0.4), make_profile("large", 0.8)]
    return Router(profiles, scorer=FakeScorer(), facts=options.pop("facts", PRICES), **options)  # type: ignore[arg-type]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"What is {n} times {n + 1}?", "outcomes": {"small": n % 2, "large": 1}} for n in range(120)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def test_a_policy_file_decides_as_it_was_fitted(prompts: Path, tmp_path: Path) -> None:
    router, read, seen = make_router(), read_prompts(prompts), []
    found = tune(router, read, Aim(Measure.STRONG_SHARE, 0.3), strong="large", progress=seen.append)
    assert sum(seen) == 120
    assert found.evidence.measured == 1.0
    path = tmp_path / "policy.json"
    file = found.policy_file(router)
    file.save(path)
    again = make_router(policy=path)
    decisions = again.route_batch([record.messages for record in read.records])
    chosen = found.evidence.pool.choose(found.fit.family, found.fit.knob)
    assert [decision.model for decision in decisions] == [router.names[column] for column in chosen]
    share = np.mean([decision.model == "large" for decision in decisions])
    assert share == pytest.approx(found.fit.reached)
    assert 0.25 <= share <= 0.3
    fitted = json.loads(path.read_text("utf-8"))["fitted"]
    assert fitted["aim"] == {"strong-share": 0.3}
    assert fitted["prompts"] == 120
    assert fitted["weights"] == "fake@1"


def test_other_weights_than_a_policy_was_fitted_to_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "policy.json"
    for weights, warnings in (("fake@1", 0), ("other@2", 1), ("fake@0", 1), (7, 0)):
        PolicyFile(policy="cheapest(target=0.7)", fitted={"weights": weights}).save(path)
        caplog.clear()
        router = make_router(policy=path)
        for prompt in ("Why?", "Why not?"):
            router.route(prompt)
        told = [record.getMessage() for record in caplog.records if "was fitted to" in record.getMessage()]
        assert len(told) == warnings
        assert all(f"{weights}, and here fake@1 scores: " in text and "tune it again" in text for text in told)
        assert all(("give weights='other'" in text) == (weights == "other@2") for text in told)


def test_outcomes_of_a_table_count_besides_those_in_the_prompts(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(json.dumps({"item_id": n, "prompt": f"Question {n}?"}) for n in range(80)), "utf-8")
    known = {(str(n), "large"): 1.0 for n in range(40)}
    found = tune(make_router(), read_prompts(path), Aim(Measure.KEEP_QUALITY, 0.5), outcomes=known)
    assert found.evidence.measured == pytest.approx(0.25)
    assert any("25% of the outcomes are known" in note for note in found.notes)
    blind = tune(make_router(), read_prompts(path), Aim(Measure.KEEP_QUALITY, 0.5))
    assert any("no outcomes are known" in note for note in blind.notes)
    assert any("80 prompts are few" in note for note in blind.notes)


def test_constraints_are_kept_and_leave_prompts_out(prompts: Path) -> None:
    router = make_router(constraints=Constraints(max_usd_per_request=1.0))
    found = tune(router, read_prompts(prompts), Aim(Measure.KEEP_QUALITY, 0.5))
    assert found.policy_file(router).constraints == Constraints(max_usd_per_request=1.0)


def test_a_missing_price_is_named(prompts: Path) -> None:
    router = make_router(facts={"small": PRICES["small"]})
    with pytest.raises(ConfigurationError, match="no price is known for large"):
        tune(router, read_prompts(prompts), Aim(Measure.KEEP_QUALITY, 0.5))


@pytest.mark.parametrize("name", ["curve.png", "curve.svg", "curve.html"])
def test_the_curve_is_drawn(prompts: Path, tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    found = tune(make_router(), read_prompts(prompts), Aim(Measure.KEEP_QUALITY, 0.5))
    path = tmp_path / name
    check_plot(path)
    plot(found, path)
    assert path.stat().st_size > 1000
    if name.endswith("svg"):
        assert "USD per 1,000 requests" in path.read_text("utf-8") or "<svg" in path.read_text("utf-8")


def test_plots_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must end in"):
        check_plot(tmp_path / "curve.gif")
    with pytest.raises(ConfigurationError, match="no folder"):
        check_plot(tmp_path / "none" / "curve.png")


def test_notes_say_where_an_aim_holds_nothing_back_and_where_logged_answers_are_longer(tmp_path: Path) -> None:
    path = tmp_path / "logs.jsonl"
    rows = [
        {"request_id": n, "call_type": "acompletion", "model": "small",
         "messages": [{"role": "user", "content": f"{n}?"}],
         "completion_tokens": 9000}
        for n in range(60)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    found = tune(make_router(), read_prompts(path), Aim(Measure.KEEP_QUALITY, 0.05))
    assert any("even the cheapest setting keeps" in note for note in found.notes)
    assert any("answers of small are logged with 9000 tokens" in note for note in found.notes)
    idle = tune(make_router(), read_prompts(path), Aim(Measure.MAX_USD_PER_1K, 1e6))
    assert any("the best setting takes no more than" in note for note in idle.notes)
    assert not any("of large" in note for note in idle.notes)


def test_outcomes_are_known_however_logs_spell_the_model(tmp_path: Path) -> None:
    candidates = {"gpt-4o": PRICES["large"], "gpt-4o-mini": PRICES["small"]}
    path = tmp_path / "p.jsonl"

    def tuned(*spellings: str) -> Tuning:
        rows = [{"prompt": f"q {n}", "model": m, "score": n % (k + 2) > 0} for n in range(80) for k, m in
                enumerate(spellings)]  # fmt: skip
        path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
        router = Router(list(candidates), scorer=FakeScorer(), facts=candidates)
        return tune(router, read_prompts(path), Aim(Measure.KEEP_QUALITY, 0.9))

    bare = tuned("gpt-4o", "gpt-4o-mini")
    assert (bare.prompts, bare.evidence.measured) == (80, 1.0)
    for spellings in (("openai/gpt-4o", "azure/gpt-4o-mini"), ("GPT-4o-2024-08-06", "gpt-4o-mini-2024-07-18")):
        logged = tuned(*spellings)
        assert logged.evidence.measured == 1.0
        assert logged.fit.expected == bare.fit.expected
    part = tuned("gpt-4o", "another-model")
    assert part.evidence.measured == 0.5
    assert any("80 outcomes left out" in note and "another-model (80)" in note for note in part.notes)
    with pytest.raises(ConfigurationError, match=r"no outcome belongs to a candidate: .*another-model \(80\)"):
        tuned("another-model")


def test_too_few_prompts_say_why_rows_were_left_out(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": "hi" if n < 3 else ""}) for n in range(90)), "utf-8")
    with pytest.raises(ConfigurationError, match=r"there are 3 prompts: .* Left out: 87 without prompt"):
        tune(make_router(), read_prompts(path), Aim(Measure.KEEP_QUALITY, 0.9))


def test_outcomes_of_other_items_stop(prompts: Path) -> None:
    with pytest.raises(ConfigurationError, match="no outcome belongs to a prompt: the outcomes are of item_id 'x'"):
        tune(make_router(), read_prompts(prompts), Aim(Measure.KEEP_QUALITY, 0.9), outcomes={("x", "large"): 1.0})
