from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelsat.router import RoutingDecision
from tests.cli.conftest import Run
from tests.fakes import FakeScorer

pytestmark = pytest.mark.usefixtures("scorer")


def test_the_table_shows_probabilities_choice_and_reason(run: Run, profiles_file: Path) -> None:
    result = run("route", "What is 2 + 2?", "--profiles", profiles_file)
    assert result.exit_code == 0
    assert result.stderr == ""
    for name, score in (("weak", "0.300"), ("middling", "0.600"), ("strong", "0.900")):
        assert any(name in line and score in line for line in result.stdout.splitlines())
    assert "strong: highest P(success)" in result.stdout
    assert "━" in result.stdout


def test_json_is_the_decision_and_nothing_else(run: Run, profiles_file: Path) -> None:
    result = run("route", "What is 2 + 2?", "--profiles", profiles_file, "--models", "weak, middling", "--json")
    decision = RoutingDecision.model_validate_json(result.stdout)
    assert decision.model == "middling"
    assert list(decision.scores) == ["middling", "weak"]


def test_models_of_the_registry_and_own_ones_together(run: Run, profiles_file: Path) -> None:
    result = run(
        "route", "Hi there", "-m", "openai/gpt-5", "-m", "strong,gpt-4o", "--profiles", profiles_file, "--json"
    )
    assert set(RoutingDecision.model_validate_json(result.stdout).scores) == {"openai/gpt-5", "strong", "gpt-4o"}


def test_the_prompt_from_standard_input(run: Run, profiles_file: Path, scorer: FakeScorer) -> None:
    result = run("route", "-", "--profiles", profiles_file, input="Was ist 2 + 2?\nBitte erklären.")
    assert result.exit_code == 0
    assert scorer.calls[-1] == ["Was ist 2 + 2?\nBitte erklären."]


def test_without_candidates_an_example_is_given(run: Run) -> None:
    result = run("route", "Hi there")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "--models gpt-5,claude-sonnet-4" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Hi", "--models", "gpt-5", "--policy", "luck"], "unknown policy 'luck'"),
        (["", "--models", "gpt-5"], "no text to score"),
        (["   ", "--models", "gpt-5"], "no text to score"),
        (["Hi", "--models", " , "], "there are no candidates"),
        (["Hi", "--profiles", "missing.json"], "cannot read profiles from missing.json"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_code_2(run: Run, arguments: list[str], message: str) -> None:
    result = run("route", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_unknown_model_ends_in_three_lines_that_say_what_to_do(run: Run) -> None:
    result = run("route", "Hi", "--models", "gpt-5,no-such-model")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "no capability profile is known for 'no-such-model'" in result.stderr
    assert "--like no-such-model=" in result.stderr
    assert result.stderr.count("\n") == 3


def test_a_model_that_nobody_has_measured_is_estimated_and_marked(run: Run) -> None:
    result = run("route", "Hi", "--models", "gpt-5,gpt-6.7")
    assert result.exit_code == 0
    assert "~gpt-6.7" in result.stdout
    assert "estimated, as nobody has measured it: gpt-6.7 (from gpt-" in " ".join(result.stdout.split())


def test_a_model_may_be_said_to_be_like_a_known_one(run: Run) -> None:
    result = run("route", "Hi", "--models", "gpt-4o,mine", "--like", "mine=gpt-5", "--json")
    decision = RoutingDecision.model_validate_json(result.stdout)
    assert "mine" in decision.scores
    assert "mine" not in decision.costs  # what a profile is borrowed from lends no price
    assert "--like NAME=KNOWN" in run("route", "Hi", "--models", "gpt-4o", "--like", "mine").stderr


def test_effort_is_part_of_a_candidate(run: Run) -> None:
    result = run("route", "Hi", "--models", "gpt-5.6@low,gpt-5.6@high", "--json")
    decision = RoutingDecision.model_validate_json(result.stdout)
    assert set(decision.scores) == {"gpt-5.6@low", "gpt-5.6@high"}
    assert decision.effort == decision.model.partition("@")[2]
    assert decision.costs["gpt-5.6@low"] < decision.costs["gpt-5.6@high"]


def test_an_empty_standard_input(run: Run) -> None:
    result = run("route", "-", "-m", "gpt-5", input="")
    assert result.exit_code == 2
    assert "no text to score" in result.stderr


def test_markup_in_names_is_shown_as_it_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"[red]tricky[/]": {"MMLU": 0.9}}', "utf-8")
    result = run("route", "[bold]Hi", "--profiles", tmp_path / "p.json")
    assert result.exit_code == 0
    assert "[red]tricky[/]" in result.stdout


def test_missing_weights_are_one_clear_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelsat.errors import CheckpointError

    def load(*_args: object, **_options: object) -> None:
        raise CheckpointError("no checkpoint at nowhere")

    monkeypatch.setattr("modelsat.inference.load_scorer", load)
    result = run("route", "Hi", "-m", "gpt-5", "--weights", "nowhere")
    assert (result.exit_code, result.stderr) == (2, "Error: no checkpoint at nowhere\n")


# -- policies, facts, constraints ----------------------------------------------------------------------------------

PRICES = {
    "weak": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.2, "abilities": {"tools": False}, "region": "eu"},
    "middling": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "abilities": {"tools": True}},
    "strong": {"input_usd_per_mtok": 10, "output_usd_per_mtok": 20, "provider": "acme", "region": "us"},
}


@pytest.fixture
def priced(profiles_file: Path, tmp_path: Path) -> list[object]:
    """The options that give three candidates their profiles and prices."""
    (tmp_path / "facts.json").write_text(json.dumps(PRICES), "utf-8")
    return ["--profiles", profiles_file, "--facts", tmp_path / "facts.json"]


@pytest.mark.parametrize(
    ("options", "model"),
    [
        (["--policy", "cheapest(target=0.5)"], "middling"),
        (["--policy", "cheapest(target=0.2)"], "weak"),
        (["--policy", "tradeoff(value_per_success=10)"], "strong"),
        (["--policy", "tradeoff(value_per_success=0.0001)"], "weak"),
        (["--needs", "tools"], "middling"),
        (["--max-usd", "0.0003"], "middling"),
        (["--deny", "strong,middling"], "weak"),
        (["--allow", "m*"], "middling"),
        (["--providers", "acme"], "strong"),
        (["--regions", "eu"], "weak"),
        (["--policy", "sticky(best)", "--thread", "7"], "strong"),
    ],
)
def test_policies_and_constraints(run: Run, priced: list[object], options: list[str], model: str) -> None:
    decision = RoutingDecision.model_validate_json(run("route", "Hi there", *priced, *options, "--json").stdout)
    assert decision.model == model


def test_the_table_shows_costs_and_why_candidates_are_left_out(run: Run, priced: list[object]) -> None:
    lines = run("route", "Hi there", *priced, "--policy", "cascade(start=0.5)", "--needs", "tools").stdout.splitlines()
    assert any("middling" in line and " 0.00" in line for line in lines)
    assert any("weak" in line and "cannot do tools (asked for)" in line for line in lines)
    assert any("strong" in line and "not known to do tools, while middling surely can" in line for line in lines)


def test_constraints_from_a_file_hold_beside_the_options(run: Run, priced: list[object], tmp_path: Path) -> None:
    rules = {"deny_models": ["strong"], "residency": [{"key": "tenant", "value": "bank", "regions": ["eu"]}]}
    (tmp_path / "rules.json").write_text(json.dumps(rules), "utf-8")
    options = [*priced, "--constraints", tmp_path / "rules.json", "--json"]
    assert json.loads(run("route", "Hi", *options).stdout)["model"] == "middling"
    assert json.loads(run("route", "Hi", *options, "--metadata", "tenant=bank").stdout)["model"] == "weak"
    nobody = run("route", "Hi", *options, "--metadata", "tenant=bank", "--deny", "weak")
    assert nobody.exit_code == 2
    assert "weak: model is denied" in nobody.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--policy", "cheapest(target=80)"], "write 0.8 for 80 %"),
        (["--needs", "flight"], "needs: unknown 'flight'"),
        (["--metadata", "tenant"], "--metadata takes KEY=VALUE"),
        (["--facts", "nowhere.json"], "cannot read facts from nowhere.json"),
        (["--max-usd", "-1"], "max_usd_per_request must be 0 or more"),
        (["--allow", "weak", "--deny", "weak"], "models both allowed and denied: weak"),
        (["--answer-tokens", "0"], "answer_tokens is a whole number"),
        (["--policy", "nowhere.json"], "cannot read the policy file from nowhere.json"),
    ],
)
def test_faulty_options_are_one_line(run: Run, priced: list[object], options: list[str], message: str) -> None:
    result = run("route", "Hi there", *priced, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_policy_that_needs_prices_names_who_has_none(run: Run, profiles_file: Path) -> None:
    result = run("route", "Hi there", "--profiles", profiles_file, "--policy", "cheapest")
    assert result.exit_code == 2
    assert "no price is known for weak, middling, strong" in result.stderr
    assert "--facts FILE.json" in result.stderr
