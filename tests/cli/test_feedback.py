"""``modelsat feedback`` as a user meets it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from modelsat.feedback import DecisionRecord, FeedbackRecord, open_store
from tests.cli.conftest import Run
from tests.fakes import FakeScorer


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A store in which ``large`` got worse half-way, and ``small`` did not."""
    path = tmp_path / "feedback.sqlite"
    store = open_store(path)
    records = [
        DecisionRecord(f"{model}{n}", n, model, 0.7, {model: 0.7}, {"law": 1.0}, prompt=f"{model} {n}")
        for n in range(600)
        for model in ("large", "small")
    ]
    store.add_decisions([*records, DecisionRecord("open", 700.0, "large", 0.7, {"large": 0.7})])
    with sqlite3.connect(path) as database:  # one transaction in place of 1,200
        database.executemany(
            "INSERT INTO feedback (decision, score, source, time) VALUES (?, ?, 'test', ?)",
            [
                (record.id, float(n // 2 % 10 < (4 if record.model == "large" and record.time > 300 else 7)), n)
                for n, record in enumerate(records)
            ],
        )
    database.close()
    store.close()
    return path


def test_status_shows_levels_and_changes(run: Run, filled: Path) -> None:
    result = run("feedback", "status", filled)
    assert result.exit_code == 0
    assert "1,201 decisions, 1,200 with their prompt; 1,200 with feedback (100%)" in result.stdout
    large = next(line for line in result.stdout.splitlines() if line.startswith("large"))
    small = next(line for line in result.stdout.splitlines() if line.startswith("small"))
    assert "worse by" in large
    assert "none" in small
    assert "600" in small


def test_status_as_json(run: Run, filled: Path) -> None:
    content = json.loads(run("feedback", "status", filled, "--json").stdout)
    assert (content["decisions"], content["feedback"]) == (1201, 1200)
    large, small = content["models"]
    assert large["offset"] < -0.5 < small["offset"]
    (drift,) = content["drifts"]
    assert (drift["model"], drift["direction"]) == ("large", "worse")


def test_export_writes_both_tables_and_does_not_overwrite(run: Run, filled: Path, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    from modelsat.lab.outcomes import read_outcomes

    outcomes, items = tmp_path / "outcomes.parquet", tmp_path / "items.parquet"
    result = run("feedback", "export", filled, "--output", outcomes, "--items", items)
    assert result.exit_code == 0
    assert "1,200 outcomes written" in result.stdout
    assert read_outcomes(items, outcomes).models == ("large", "small")
    again = run("feedback", "export", filled, "--output", outcomes)
    assert again.exit_code == 2
    assert "exists" in again.stderr
    assert run("feedback", "export", filled, "--output", outcomes, "--force").exit_code == 0


def test_feedback_is_given_from_the_shell(run: Run, filled: Path) -> None:
    assert run("feedback", "give", filled, "open", "1", "--source", "judge").exit_code == 0
    for arguments, message in (
        (("open", "0"), "already has feedback: 1 from judge"),
        (("nobody", "0"), "no decision 'nobody'"),
        (("open", "7"), "a score is a number from 0"),
        (("open", "nan"), "a score is a number from 0"),
    ):
        result = run("feedback", "give", filled, *arguments)
        assert result.exit_code == 2
        assert message in result.stderr


def test_stores_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"nonsense" * 200)
    for store, message in (
        (tmp_path / "missing.sqlite", "there is no feedback store"),
        (damaged, "is damaged"),
        ("mysql://host", "no feedback store is reached by mysql://"),
    ):
        result = run("feedback", "status", store)
        assert result.exit_code == 2
        assert message in result.stderr
    assert not (tmp_path / "missing.sqlite").exists()


def test_an_empty_store_says_what_to_do(run: Run, tmp_path: Path) -> None:
    store = open_store(tmp_path / "feedback.sqlite")
    store.add_decisions([DecisionRecord("a", 0.0, "m")])
    store.close()
    assert "router.feedback(decision.id, score)" in run("feedback", "status", tmp_path / "feedback.sqlite").stdout


def test_feedback_records_are_plain() -> None:
    assert FeedbackRecord("d", 1.0, time=3.0) == FeedbackRecord("d", 1.0, "user", 3.0)


def test_import_of_logged_outcomes(run: Run, scorer: FakeScorer, profiles_file: Path, tmp_path: Path) -> None:
    store, prompts = tmp_path / "feedback.sqlite", tmp_path / "answered.jsonl"
    rows = [{"prompt": f"question {n}", "outcomes": {"weak": 1, "strong": 0, "other": 1}} for n in range(30)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"prompt": "  "}]))
    arguments = ("feedback", "import", store, prompts, "--profiles", profiles_file, "--models", "weak,strong")
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "60 outcomes of 30 prompts are feedback now" in result.stdout
    assert "30 left out: of models that are not candidates: other (30)" in result.stdout
    assert "30  read: prompts" in result.stdout
    assert " 1  left out: without prompt" in result.stdout
    assert "60 had been imported before" in run(*arguments).stdout
    weak = next(line for line in run("feedback", "status", store).stdout.splitlines() if line.startswith("weak"))
    assert "30" in weak


def test_import_with_a_table_of_outcomes(run: Run, scorer: FakeScorer, profiles_file: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    store, prompts, table = tmp_path / "f.sqlite", tmp_path / "prompts.jsonl", tmp_path / "outcomes.csv"
    prompts.write_text("".join(json.dumps({"item_id": f"i{n}", "prompt": f"question {n}"}) + "\n" for n in range(5)))
    arguments = ("feedback", "import", store, prompts, "--profiles", profiles_file)
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert "no outcome belongs to a candidate" in refused.stderr
    pandas.DataFrame({"item_id": ["i0", "i1"], "model": ["weak", "strong"], "score": [1, 0]}).to_csv(table, index=False)
    assert "2 outcomes of 2 prompts" in run(*arguments, "--outcomes", table).stdout


def test_import_matches_names_as_logs_spell_them(run: Run, scorer: FakeScorer, tmp_path: Path) -> None:
    store, prompts = tmp_path / "feedback.sqlite", tmp_path / "answered.jsonl"
    spellings = ("openai/gpt-4o", "GPT-4o-2024-08-06", "azure/gpt-4o", "gpt-4o")
    prompts.write_text(
        "".join(json.dumps({"prompt": f"q {n}", "model": name, "score": 1}) + "\n" for n, name in enumerate(spellings))
    )
    result = run("feedback", "import", store, prompts, "--models", "gpt-4o,gpt-4o-mini")
    assert result.exit_code == 0, result.stderr
    assert "4 outcomes of 4 prompts are feedback now" in result.stdout
    refused = run("feedback", "import", store, prompts, "--models", "gpt-4o-mini,claude-3-haiku")
    assert refused.exit_code == 2
    assert "the outcomes are of" in refused.stderr
    assert "azure/gpt-4o (1)" in refused.stderr
