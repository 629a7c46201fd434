from __future__ import annotations

from pathlib import Path

import pytest

from modelsat.capability import load_profiles
from modelsat.capability.core import core_tasks
from tests.cli.conftest import Run

pytest.importorskip("pandas")


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    path = tmp_path / "outcomes.csv"
    lines = [
        f"mmlu_pro/{item.id},{model},{score}"
        for task in core_tasks()[:3]
        for number, item in enumerate(task.items)
        for model, score in (("good", int(number % 4 > 0)), ("bad", int(number % 4 == 0)))
    ]
    path.write_text("\n".join(["item_id,model,score", *lines, "gsm8k/1,other,1"]) + "\n", "utf-8")
    return path


def test_profiles_are_written_and_summed_up(run: Run, outcomes: Path, tmp_path: Path) -> None:
    output = tmp_path / "profiles.json"
    result = run("profile", "from-outcomes", outcomes, "--output", output)
    assert result.exit_code == 0, result.stderr
    assert "2 profiles in" in result.stdout
    assert "left out: 1 models without an outcome on a core item" in result.stdout
    row = next(line for line in result.stdout.splitlines() if line.startswith("good"))
    assert row.split()[1:4] == ["3", "60", "75.0%"]
    bad, good = load_profiles(output)
    assert (bad.model, good.model) == ("bad", "good")
    assert [(s.task, s.accuracy, s.items) for s in good.statements] == [(t.name, 0.75, 20) for t in core_tasks()[:3]]


def test_models_by_name(run: Run, outcomes: Path, tmp_path: Path) -> None:
    output = tmp_path / "profiles.json"
    result = run("profile", "from-outcomes", outcomes, "-o", output, "--models", "good,bad")
    assert result.exit_code == 0
    assert [profile.model for profile in load_profiles(output)] == ["good", "bad"]
    assert "left out" not in result.stdout
    for names, message in (("other", "no outcome of other"), ("nobody", "nothing of 'nobody'")):
        result = run("profile", "from-outcomes", outcomes, "-o", tmp_path / "new.json", "-m", names)
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "new.json").exists()


def test_items_name_the_data_set(run: Run, outcomes: Path, tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    ids = dict.fromkeys(line.partition(",")[0] for line in outcomes.read_text("utf-8").splitlines()[1:])
    rows = [f"{identifier},{identifier.partition('/')[0]},Why?" for identifier in ids]
    items.write_text("\n".join(["item_id,dataset,prompt", *rows]) + "\n", "utf-8")
    output = tmp_path / "profiles.json"
    result = run("profile", "from-outcomes", outcomes, "--items", items, "-o", output)
    assert result.exit_code == 0, result.stderr
    assert [profile.model for profile in load_profiles(output)] == ["bad", "good"]


def test_an_existing_output_needs_force(run: Run, outcomes: Path, tmp_path: Path) -> None:
    output = tmp_path / "profiles.json"
    output.write_text("precious", "utf-8")
    result = run("profile", "from-outcomes", outcomes, "-o", output)
    assert (result.exit_code, output.read_text("utf-8")) == (2, "precious")
    assert "--force" in result.stderr
    assert run("profile", "from-outcomes", outcomes, "-o", output, "--force").exit_code == 0
    assert len(load_profiles(output)) == 2


def test_outputs_that_cannot_be_written(run: Run, outcomes: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    for name, message in (
        ("profiles.csv", "must end in .json"),
        ("nowhere/profiles.json", "there is no folder"),
        ("folder.json", "it is a folder"),
    ):
        result = run("profile", "from-outcomes", outcomes, "-o", tmp_path / name, "--force")
        assert result.exit_code == 2
        assert message in result.stderr
    same = outcomes.rename(tmp_path / "same.json")
    assert "is the input" in run("profile", "from-outcomes", same, "-o", same, "--force").stderr


def test_help_has_examples(run: Run) -> None:
    for arguments in (("profile", "--help"), ("profile", "from-outcomes", "--help")):
        result = run(*arguments)
        assert result.exit_code == 0
        assert "modelsat profile from-outcomes" in result.stdout
