from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelsat import ProfileStore, Registry
from tests.cli.conftest import Run


def stored(model: str) -> dict[str, float]:
    profile = next(profile for profile in ProfileStore.default().load() if profile.model == model)
    return {statement.task: statement.accuracy for statement in profile.statements}


def test_figures_are_kept_and_the_model_is_known_by_name(run: Run) -> None:
    result = run(
        *("profile", "add", "my-model", "--benchmarks", "GPQA=71.2, LiveCodeBench=62", "--tested-by", "ana"),
        *("--source", "https://example.com", "--alias", "prod,chat", "--date", "2026-01-02"),
    )
    assert result.exit_code == 0, result.stderr
    assert "GPQA 71.2%, LiveCodeBench 62.0%" in result.stdout
    profile = Registry.default().find("openai/prod")
    assert (profile.model, profile.tested_by, profile.date) == ("my-model", "ana", "2026-01-02")
    assert {statement.source for statement in profile.statements} == {"https://example.com"}
    assert "my-model" in run("models", "my-model").stdout
    shown = run("show", "my-model").stdout
    assert "tested by ana; 2026-01-02; with modelsat " in shown
    assert "; published figures" in shown
    listed = run("profile", "list").stdout
    assert all(part in listed for part in ("my-model", "2026-01-02", "ana", "published figures"))
    assert json.loads(run("profile", "list", "--json").stdout)[0]["aliases"] == ["prod", "chat"]


def test_what_is_there_is_updated_or_replaced_by_word_alone(run: Run) -> None:
    assert run("profile", "add", "mine", "-b", "GPQA=50, MMLU=60").exit_code == 0
    again = run("profile", "add", "mine", "-b", "GPQA=55, AIME=20")
    assert again.exit_code == 2
    assert "--update" in again.stderr
    assert stored("mine") == {"GPQA": 0.5, "MMLU": 0.6}
    assert run("profile", "add", "mine", "-b", "GPQA=55, AIME=20", "--update").exit_code == 0
    assert stored("mine") == {"MMLU": 0.6, "GPQA": 0.55, "AIME": 0.2}
    assert run("profile", "add", "mine", "-b", "GPQA=40", "--force").exit_code == 0
    assert stored("mine") == {"GPQA": 0.4}


def test_a_shipped_model_is_overridden_and_comes_back(run: Run) -> None:
    result = run("profile", "add", "gpt-5", "-b", "GPQA=12")
    assert "before the shipped profile of gpt-5" in result.stderr
    assert Registry.default().find("gpt-5").statements[0].accuracy == 0.12
    assert run("profile", "remove", "gpt-5").stdout == "removed: gpt-5\n"
    assert Registry.default() is Registry.shipped()


def test_a_table_of_many(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "figures.csv"
    path.write_text("model,GPQA,MMLU\na,50,60\nb,,0.7%\n", "utf-8")
    result = run("profile", "add", "--csv", path)
    assert result.exit_code == 0, result.stderr
    assert "2 profiles saved in" in result.stdout
    assert stored("b") == {"MMLU": 0.007}


def test_a_benchmark_of_unknown_difficulty_is_told(run: Run) -> None:
    told = run("profile", "add", "mine", "-b", "OlympiadBench=60, Tickets=50, HMMT=40", "--allow-unknown")
    assert told.exit_code == 0, told.stderr
    assert "OlympiadBench, Tickets: its difficulty is not known, so the figure counts little" in told.stderr
    assert "not known" not in run("profile", "add", "other", "-b", "HMMT=40").stderr


def test_nothing_is_saved_if_one_of_many_is_wrong(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "figures.csv"
    path.write_text("model,GPQA\na,50\nb,500\n", "utf-8")
    assert run("profile", "add", "--csv", path).exit_code == 2
    assert ProfileStore.default().load() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mine", "-b", "GPQA=71.2, MMLU=0.8"), "percent and shares are mixed"),
        (("mine", "-b", "LiveCodBench=40"), "the closest are LiveCodeBench"),
        (("mine",), "give a model and its figures"),
        (("-b", "GPQA=40"), "give a model and its figures"),
        (("  ", "-b", "GPQA=40"), "give a model and its figures"),
        (("mine", "--csv", "x.csv"), "leave MODEL"),
        (("--csv", "no-such.csv"), "cannot read no-such.csv"),
        (("mine", "-b", "GPQA=40", "--date", "yesterday"), "--date takes YYYY-MM-DD"),
        (("x\x1b[2J", "-b", "GPQA=40"), "control character"),
    ],
)
def test_mistakes_are_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("profile", "add", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert ProfileStore.default().load() == []


def test_own_benchmarks_by_word(run: Run) -> None:
    assert run("profile", "add", "mine", "-b", "Help desk=81", "--allow-unknown").exit_code == 0
    assert stored("mine") == {"Help desk": 0.81}


def test_removing_what_is_not_there(run: Run) -> None:
    assert "No profiles in" in run("profile", "list").stdout
    run("profile", "add", "my-model", "-b", "GPQA=40")
    result = run("profile", "remove", "my-modle")
    assert result.exit_code == 2
    assert "the closest are my-model" in result.stderr
    assert "modelsat profile list" in run("profile", "remove", "zzz").stderr


def test_benchmarks_are_listed(run: Run) -> None:
    result = run("profile", "benchmarks", "code")
    assert "LiveCodeBench" in result.stdout
    assert "GPQA" not in result.stdout
    assert run("profile", "benchmarks", "zzz").exit_code == 2


@pytest.mark.parametrize("command", ["add", "list", "remove", "benchmarks", "push", "pull"])
def test_help_has_examples(run: Run, command: str) -> None:
    result = run("profile", command, "--help")
    assert result.exit_code == 0
    assert f"modelsat profile {command}" in result.stdout
