from __future__ import annotations

import pytest

from modelsat.candidates import Candidate, resolve_candidates
from modelsat.capability import CapabilityProfile
from modelsat.capability.efforts import EFFORTS, effort_of, project, split_effort
from modelsat.errors import InvalidProfileError


def test_an_effort_is_read_off_a_name_and_nothing_else_is() -> None:
    assert split_effort("gpt-5.6@High ") == ("gpt-5.6", "high")
    assert split_effort("claude-3-5-sonnet@20240620") == ("claude-3-5-sonnet@20240620", "")
    assert split_effort("org/model@main") == ("org/model@main", "")
    assert split_effort("@low") == ("@low", "")


@pytest.mark.parametrize("task", ["GPQA", "OTIS Mock AIME", "SciCode", "quilting"])
def test_more_effort_is_worth_no_less(task: str) -> None:
    moved = [project(0.5, task, "medium", effort)[0] for effort in EFFORTS]
    assert moved == sorted(moved)
    assert moved[0] < 0.5 < moved[-1]
    assert project(0.5, task, "high", "high") == (0.5, 0.0)
    assert project(0.5, task, "", "high") == (0.5, 0.0)  # a figure without an effort is read as one of thinking
    far, near = (project(0.2, task, effort, "high") for effort in ("none", "low"))
    assert far[1] / (far[0] * (1 - far[0])) > near[1] / (near[0] * (1 - near[0])) > 0.0


def test_contests_gain_more_than_science_code() -> None:
    gains = [project(0.5, task, "low", "high")[0] for task in ("SciCode", "GPQA", "OTIS Mock AIME")]
    assert gains == sorted(gains)


def made(**figures: tuple[str, float]) -> CapabilityProfile:
    statements = [{"task": task, "effort": effort, "accuracy": value} for task, (effort, value) in figures.items()]
    return CapabilityProfile(model="m", statements=statements)


def test_a_profile_at_an_effort_takes_what_was_measured_nearest() -> None:
    whole = CapabilityProfile(
        model="m",
        statements=[
            {"task": "GPQA", "accuracy": 0.6, "effort": "low"},
            {"task": "GPQA", "accuracy": 0.8, "effort": "max"},
            {"task": "AIME", "accuracy": 0.9, "effort": "max"},
        ],
    )
    low, top = whole.at_effort("low"), whole.at_effort("max")
    assert [(s.task, s.accuracy, s.doubt) for s in top.statements] == [("GPQA", 0.8, 0.0), ("AIME", 0.9, 0.0)]
    assert low.statements[0].accuracy == 0.6
    assert low.statements[1].accuracy < 0.85
    assert low.statements[1].doubt > 0.01
    assert (low.effort, whole.at_effort().effort) == ("low", "")
    assert whole.at_effort().statements == whole.at_effort("high").statements
    assert made(GPQA=("none", 0.5)).at_effort().statements[0].doubt == 0.0
    with pytest.raises(InvalidProfileError, match="not a reasoning effort"):
        whole.at_effort("enormous")


def test_efforts_of_one_model_are_candidates_of_their_own() -> None:
    low, high, plain = resolve_candidates(["gpt-5.6@low", "gpt-5.6@high", "gpt-5.6"])
    assert [c.effort for c in (low, high, plain)] == ["low", "high", ""]
    assert low.profile.digest != high.profile.digest == plain.profile.digest
    assert low.facts.input_usd_per_mtok == high.facts.input_usd_per_mtok
    assert Candidate("mine", made(GPQA=("high", 0.8)).at_effort("low")).effort == "low"


@pytest.mark.parametrize(
    ("parameters", "effort"),
    [
        ({"reasoning_effort": "low"}, "low"),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, "high"),
        ({"output_config": {"effort": "max"}, "thinking": {"type": "adaptive"}}, "max"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 16_000}}, "high"),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking_level": "LOW"}, "low"),
        ({"thinking_budget": 0}, "none"),
        ({"thinking_budget": -1}, ""),
        ({"model_kwargs": {"reasoning_effort": "minimal"}}, "minimal"),
        ({"extra_body": {"thinking": {"type": "enabled", "budget_tokens": 64_000}}}, "max"),
        ({"reasoning_effort": "default", "thinking": None, "temperature": 0.2}, ""),
    ],
)
def test_the_effort_is_read_off_the_parameters_of_any_provider(parameters: dict[str, object], effort: str) -> None:
    assert effort_of(parameters) == effort
