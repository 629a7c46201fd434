"""``modelsat test`` and ``modelsat compare`` as commands, and models called by LiteLLM."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelsat.capability.registry import Registry
from modelsat.cli import app
from modelsat.lab.aptitude import AptitudeTest, LiteLLMSubject
from tests.lab.aptitude.conftest import TASKS
from tests.lab.aptitude.server import ExamServer


def invoke(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), input=stdin, env={"COLUMNS": "200"})
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


@pytest.fixture
def command(server: ExamServer, questions: Path) -> list[str]:
    options = ["--questions", str(questions), "--tasks", ",".join(TASKS), "--full"]
    return ["test", "half", "--api-base", server.url, *options]


def test_three_commands_from_a_new_model_to_its_profile(command: list[str], tmp_path: Path) -> None:
    code, said, plan = invoke(*command, "--yes", "--output", str(tmp_path / "profile.json"))
    assert code == 0, plan
    assert "40 questions, full" in plan
    assert "40 of 40 questions asked" in said
    assert "modelsat show half" in said
    assert "half" in Registry.default()
    assert invoke("show", "half")[0] == 0
    code, said, _ = invoke("compare", "half", "gpt-4o-mini")
    assert (code, "ability level" in said) == (0, True)


def test_a_test_of_some_tasks_leaves_the_other_figures(command: list[str]) -> None:
    assert invoke(*command, "--yes")[0] == 0
    command[command.index("--tasks") + 1] = "ori_mmlu-nutrition"
    assert invoke(*command, "--yes")[0] == 0
    tasks = {statement.task for statement in Registry.default().find("half").statements}
    assert tasks == {*TASKS, "ori_mmlu-nutrition"}


def test_it_asks_before_it_starts(command: list[str], server: ExamServer) -> None:
    code, _, said = invoke(*command, stdin="n\n")
    assert (code, server.calls("half"), "Start?" in said) == (1, 0, True)
    assert invoke(*command, "--dry-run")[0] == 0
    assert server.calls("half") == 0


def test_json_and_the_exit_code_of_a_stopped_test(command: list[str]) -> None:
    prices = ["--input-price", "1", "--output-price", "1000"]
    code, said, _ = invoke(*command, "--yes", "--json", *prices, "--budget", "0.3", "--concurrency", "2")
    assert (code, json.loads(said)["profile"]) == (3, None)
    assert "budget" in json.loads(said)["stopped"]
    code, said, _ = invoke(*command, "--yes", "--json", *prices)
    found = json.loads(said)
    assert (code, found["accuracy"], len(found["profile"]["statements"])) == (0, 0.5, 2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--api-key-env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE"),
        (["--output", "profile.txt"], ".json"),
        (["--plot", "nowhere/at/all.png"], "no folder"),
        (["--option", "reasoning"], "KEY=VALUE"),
        (["--input-price", "1"], "give both"),
        (["--questions", "missing.parquet"], "no file missing.parquet"),
    ],
)
def test_bad_options_are_named_before_anything_is_asked(command: list[str], options: list[str], says: str) -> None:
    code, _, said = invoke(*command, *options, "--yes")
    assert code == 2
    assert says in said


@pytest.mark.filterwarnings("ignore")  # LiteLLM's own, as it imports parts of itself in the first call
def test_a_model_of_litellm(server: ExamServer, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("litellm")
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    server.failures = [(429, {"Retry-After": "0.01"}, "{}")]
    subject = LiteLLMSubject("openai/half")
    result = AptitudeTest(subject, questions=questions, tasks=TASKS[:1], adaptive=False).run()
    assert (result.asked, result.accuracy) == (20, 0.5)
    assert sum(result.retries.values()) == 1
