from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("accelerate", reason="training needs the extra 'train'")
pytest.importorskip("peft", reason="training needs the extra 'train'")

from tests.lab.training.conftest import QUICK, write_bases, write_recipe, write_world


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_world(tmp_path, 120)
    return write_recipe(tmp_path, write_bases(tmp_path)["bert"], stages=[{**QUICK, "name": "only"}])


def test_a_run_ends_with_where_how_good_and_what_next(run: Run, recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = run(
        "train", recipe, "--output", folder, "--no-export", "--set", "max_steps=2", "--set", "learning_rate=1e-4"
    )
    assert result.exit_code == 0, result.stderr
    for part in (
        f"Checkpoint: {folder / 'checkpoint'}",
        "modelsat evaluate",
        "--unseen-models sums-new",
        "backend='torch'",
    ):
        assert part in result.stdout
    head = next(line for line in result.stdout.splitlines() if line.startswith("stage"))
    assert head.split() == ["stage", "epoch", "group", "models", "AUC", "Brier", "gain"]
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("only")]
    assert [row[2:4] for row in rows] == [["both", "seen"], ["both", "unseen"]]
    assert "LOAD REPORT" not in result.stdout + result.stderr
    card = (folder / "checkpoint" / "README.md").read_text("utf-8")
    assert "learning_rate 1e-4" in card
    assert "max_steps 2" in card
    again = run("train", recipe, "--output", folder)
    assert again.exit_code == 2
    assert "go on with --resume" in again.stderr
    assert again.stderr.count("\n") == 1
    same = run(
        "train", recipe, "-o", folder, "--no-export", "--resume", "--set", "max_steps=2", "--set", "learning_rate=1e-4"
    )
    assert same.exit_code == 0


def test_a_run_of_adapters_says_how_large_they_are_and_over_what(run: Run, tmp_path: Path) -> None:
    write_world(tmp_path, 120)
    base = f"org/base@{'5' * 40}"
    network = {"causal": True, "lora_rank": 4, "layers": 2, "adapter_of": base}
    recipe = write_recipe(tmp_path, write_bases(tmp_path)["llama"], network=network, stages=[QUICK])
    result = run("train", recipe, "--output", tmp_path / "run", "--set", "max_steps=2")
    assert result.exit_code == 0, result.stderr
    size = (tmp_path / "run" / "checkpoint" / "adapter.safetensors").stat().st_size / 1e6
    assert f"Adapters:   {size:,.1f} MB" in result.stdout
    assert f"Base:       {base}, model.safetensors with the SHA-256" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "learning_rat=1"), "unknown setting learning_rat; did you mean learning_rate?"),
        (("--set", "learning_rate"), "--set takes KEY=VALUE"),
        (("--set", "shots=[1"), "cannot read the value"),
    ],
)
def test_bad_settings(run: Run, recipe: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run("train", recipe, "--output", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_is_not_there(run: Run, tmp_path: Path) -> None:
    result = run("train", tmp_path / "none.yaml", "--output", tmp_path / "run")
    assert result.exit_code == 2
    assert "cannot read the recipe" in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_is_not_installed_is_named(
    run: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "modelsat.lab.training.find_spec", lambda name: None if name in ("peft", "accelerate") else object()
    )
    result = run("train", recipe, "--output", tmp_path / "run")
    assert result.exit_code == 2
    assert "accelerate, peft" in result.stderr
    assert 'pip install "modelsat[train]"' in result.stderr


def test_help_has_examples(run: Run) -> None:
    result = run("train", "--help")
    assert result.exit_code == 0
    assert "modelsat train recipe.yaml --output runs/mine" in result.stdout
    assert "torchrun" in result.stdout


def test_launchers_start_it_as_a_module() -> None:
    command = [sys.executable, "-m", "modelsat", "train", "no-such.yaml"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "--output" in ended.stderr


def test_importing_the_training_package_loads_no_torch() -> None:
    script = "import modelsat.cli, modelsat.lab.training as t, sys; t.require(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert {"torch", "transformers", "accelerate", "peft", "pandas"}.isdisjoint(loaded.stdout.split())
