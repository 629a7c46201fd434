from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelsat.capability import save_profiles
from tests.cli.conftest import Run
from tests.fakes import FakeScorer, make_profile
from tests.lab.evaluation.conftest import MODELS, make_embeddings, make_table

ACCURACY = dict(zip(MODELS, (0.5, 0.45, 0.4, 0.35, 0.3), strict=True))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Items, outcomes, vectors, profiles, prices and an outside router's scores in one folder."""
    table = make_table(300)
    pd.DataFrame(
        {"item_id": table.item_ids, "dataset": table.datasets, "task": table.tasks, "prompt": table.prompts}
    ).to_parquet(tmp_path / "items.parquet")
    rows, columns = np.nonzero(table.known)
    pairs = {"item_id": table.item_ids[rows], "model": [MODELS[column] for column in columns]}
    values = table.scores[rows, columns]
    pd.DataFrame({**pairs, "score": values, "completion_tokens": 50}).to_csv(tmp_path / "outcomes.csv", index=False)
    pd.DataFrame({**pairs, "p": 0.1 + 0.8 * values}).to_parquet(tmp_path / "seer.parquet")
    np.save(tmp_path / "vectors.npy", make_embeddings(table))
    save_profiles([make_profile(model, value) for model, value in ACCURACY.items()], tmp_path / "profiles.json")
    (tmp_path / "prices.csv").write_text(
        "model,input_usd_per_mtok,output_usd_per_mtok\n" + "".join(f"{m},1,{n}\n" for n, m in enumerate(MODELS)),
        "utf-8",
    )
    (tmp_path / "core.txt").write_text("\n".join(table.item_ids[:40]), "utf-8")
    scorer = FakeScorer({value: value for value in ACCURACY.values()}, version="fake@1")
    monkeypatch.setattr("modelsat.inference.load_scorer", lambda *_args, **_options: scorer)
    return tmp_path


def arguments(world: Path, *more: object) -> list[object]:
    return ["evaluate", world / "items.parquet", world / "outcomes.csv", "--output", world / "out", *more]


def test_the_whole_table_and_the_report(run: Run, world: Path) -> None:
    result = run(
        *arguments(world, "--embeddings", world / "vectors.npy", "--profiles", world / "profiles.json"),
        *("--router", "modelsat-nano", "--router", f"seer={world / 'seer.parquet'}", "--seeds", 1),
        *("--unseen-models", "newcomer,veteran", "--prices", world / "prices.csv", "--core-items", world / "core.txt"),
        *("--policy", "cheapest(target=0.6)"),
    )
    assert result.exit_code == 0, result.stderr
    for word in (
        "cheapest(target=0.6)",
        "tradeoff, swept",
        "exam: seen models, new prompts",
        "exam: unseen models",
        "kNN",
        "MLP",
        "matrix factorisation",
        "oracle",
    ):
        assert word in result.stdout
    for word in ("AUC", "Brier", "APGR", "CPT(80)", "AIQ", "saved at 95 %", "seer − best single"):
        assert word in result.stdout
    raw = json.loads((world / "out" / "metrics.json").read_text("utf-8"))
    assert raw["about"]["routers"]["modelsat-nano"] == "fake@1"
    rows = {row["name"]: row["metrics"] for row in raw["settings"][0]["rows"]}
    assert rows["seer"]["accuracy"] == rows["oracle"]["accuracy"] > rows["kNN"]["accuracy"] > rows["random"]["accuracy"]
    assert rows["modelsat-nano"]["auc"] == 0.5
    core = {row["name"] for row in raw["settings"][1]["rows"]}
    assert {"kNN (core items)", "UniRoute clusters (core items)", "kNN (all outcomes)"} <= core
    assert "<svg" in (world / "out" / "report.html").read_text("utf-8")


def test_results_are_not_overwritten_unasked(run: Run, world: Path) -> None:
    call = arguments(world, "--no-embedding-baselines", "-r", world / "seer.parquet")
    assert run(*call).exit_code == 0
    again = run(*call)
    assert again.exit_code == 2
    assert "metrics.json, report.html: choose another folder with --output, or overwrite with --force" in again.stderr
    assert run(*call, "--force").exit_code == 0


def test_models_without_profile_are_named_or_left_out(run: Run, world: Path) -> None:
    save_profiles([make_profile(model, ACCURACY[model]) for model in MODELS[:3]], world / "few.json")
    call = arguments(world, "--no-embedding-baselines", "--profiles", world / "few.json")
    result = run(*call)
    assert result.exit_code == 2
    assert "no capability profile for newcomer, veteran" in result.stderr
    assert run(*call, "--known-only").exit_code == 0
    raw = json.loads((world / "out" / "metrics.json").read_text("utf-8"))
    assert raw["settings"][0]["models"] == list(MODELS[:3])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "give --embeddings, the folder of a sentence encoder"),
        (("--embeddings", "nowhere.npy"), "nothing at --embeddings nowhere.npy"),
        (("--no-embedding-baselines", "--models", "coin"), "only coin is left to choose among"),
        (("--no-embedding-baselines", "--datasets", "quiz"), "the items have no data set quiz; theirs: exam"),
        (("--no-embedding-baselines", "--unseen-models", "gpt-9"), "the outcomes hold nothing of 'gpt-9'"),
        (("--no-embedding-baselines", "--pair", "coin"), "write STRONG,WEAK"),
        (("--no-embedding-baselines", "--router", "x="), "write NAME=PATH"),
        (("--no-embedding-baselines", "--prices", "none.csv"), "cannot read prices from none.csv"),
        (("--no-embedding-baselines", "--core-items", "none.txt"), "cannot read core items from none.txt"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run: Run, world: Path, more: tuple[str, ...], message: str) -> None:
    result = run(*arguments(world, "--profiles", world / "profiles.json", *more))
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (world / "out").exists()


def test_help_shows_examples(run: Run) -> None:
    result = run("evaluate", "--help")
    assert "--unseen-datasets" in result.stdout
    assert "modelsat evaluate items.parquet outcomes.parquet" in result.stdout
