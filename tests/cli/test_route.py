from __future__ import annotations

from pathlib import Path

import pytest

from modelsat.routing import RoutingDecision
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
        (["Hi", "--models", "gpt-5,no-such-model"], "no capability profile is known for 'no-such-model'"),
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

    monkeypatch.setattr("modelsat.scoring.load_scorer", load)
    result = run("route", "Hi", "-m", "gpt-5", "--weights", "nowhere")
    assert (result.exit_code, result.stderr) == (2, "Error: no checkpoint at nowhere\n")
