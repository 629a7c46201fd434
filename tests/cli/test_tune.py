"""``modelsat tune``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.fakes import FakeScorer

PRICES = "model,input_usd_per_mtok,output_usd_per_mtok\nweak,0.1,0.4\nmiddling,1,4\nstrong,5,20\n"


@pytest.fixture
def world(tmp_path: Path, profiles_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    scorer = FakeScorer()
    monkeypatch.setattr("modelsat.inference.load_scorer", lambda *_args, **_options: scorer)
    rows = [{"item_id": f"q{n}", "prompt": f"What is {n} times {n + 1}?"} for n in range(100)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (tmp_path / "prices.csv").write_text(PRICES, "utf-8")
    lines = [f"q{n},{model},{int(n % (2 + k) > 0)}" for n in range(100) for k, model in enumerate(("weak", "strong"))]
    (tmp_path / "outcomes.csv").write_text("\n".join(["item_id,model,score", *lines]), "utf-8")
    return tmp_path


def arguments(world: Path, *more: object) -> list[object]:
    return [
        "tune", world / "prompts.jsonl", "--profiles", world / "profiles.json", "--prices", world / "prices.csv",
        "--output", world / "policy.json", *more,
    ]  # fmt: skip


def test_a_policy_is_fitted_saved_drawn_and_used(run: Run, world: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run(*arguments(world, "--max-usd-per-1k", 0.5, "--plot", world / "curve.png"))
    assert result.exit_code == 0, result.stderr
    assert "→" in result.stdout
    assert "90 % interval" in result.stdout
    assert "no outcomes are known" in result.stdout
    assert (world / "curve.png").stat().st_size > 1000
    policy = json.loads((world / "policy.json").read_text("utf-8"))
    assert policy["policy"]["name"] == "tradeoff"
    assert policy["fitted"]["usd_per_1k"] <= 0.5
    again = run(*arguments(world, "--max-usd-per-1k", 0.5))
    assert again.exit_code == 2
    assert "exists" in again.stderr


def test_outcomes_and_json(run: Run, world: Path) -> None:
    more = ("--strong-share", 0.3, "--strong", "strong", "--outcomes", world / "outcomes.csv", "--json")
    result = run(*arguments(world, *more))
    assert result.exit_code == 0, result.stderr
    fitted = json.loads(result.stdout)["fitted"]
    assert fitted["strong"] == "strong"
    assert fitted["strong_share"] <= 0.3
    assert fitted["measured_outcomes"] == pytest.approx(0.6667)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "give an aim: --keep-quality or --max-usd-per-1k or --strong-share"),
        (("--keep-quality", 0.9, "--strong-share", 0.3), "there are 2 aims"),
        (("--keep-quality", 95), "write 0.95 for 95 %"),
        (("--keep-quality", 0.9, "--policy", "best"), "no knob to fit"),
        (("--keep-quality", 0.9, "--models", "weak"), "one candidate"),
        (("--keep-quality", 0.9, "--plot", "curve.gif"), "must end in .png"),
        (("--keep-quality", 0.9, "--output", "policy.txt"), "must end in .json"),
        (("--max-usd-per-1k", 1e-9), "out of reach"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run: Run, world: Path, more: tuple[object, ...], message: str) -> None:
    result = run(*arguments(world, *more))
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (world / "policy.json").exists()
