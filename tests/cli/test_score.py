from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelsat.errors import ScoringError
from tests.cli.conftest import Run
from tests.fakes import FakeScorer

pytestmark = pytest.mark.usefixtures("scorer")


def write(path: Path, identifiers: list[object], prompts: list[object]) -> Path:
    pq.write_table(pa.table({"item_id": identifiers, "prompt": prompts, "extra": [0] * len(prompts)}), path)
    return path


@pytest.fixture
def items(tmp_path: Path) -> Path:
    return write(tmp_path / "items.parquet", ["a", "b", "c"], ["What is 2 + 2?", "Translate 'cat'.", "안녕하세요?"])


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "scores.parquet"


def test_scores_have_the_agreed_columns_in_order(run: Run, items: Path, output: Path, profiles_file: Path) -> None:
    result = run("score", items, "--profiles", profiles_file, "--output", output)
    assert result.exit_code == 0, result.stderr
    assert "3 prompts × 3 candidates = 9 scores" in result.stdout
    table = pq.read_table(output)
    assert table.schema == pa.schema([("item_id", pa.string()), ("model", pa.string()), ("p", pa.float32())])
    assert table.column("item_id").to_pylist() == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    assert table.column("model").to_pylist() == ["weak", "middling", "strong"] * 3
    np.testing.assert_allclose(table.column("p").to_numpy(), [0.3, 0.6, 0.9] * 3, rtol=1e-6)


def test_models_add_to_profiles_under_the_name_given(run: Run, items: Path, output: Path, profiles_file: Path) -> None:
    result = run("score", items, "--profiles", profiles_file, "--models", "openai/gpt-5,strong", "-o", output)
    assert result.exit_code == 0, result.stderr
    assert set(pq.read_table(output).column("model").to_pylist()) == {"weak", "middling", "strong", "openai/gpt-5"}


def test_batches_and_parts_do_not_change_the_result(
    run: Run, tmp_path: Path, scorer: FakeScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelsat._tables._ROWS_IN_MEMORY", 7)
    monkeypatch.setattr("modelsat.cli.score._ROW_GROUP", 5)
    many = write(tmp_path / "many.parquet", list(range(23)), [f"Question {i}?" for i in range(23)])
    for name, size in (("one", 1), ("three", 3), ("all", 1000)):
        scorer.calls.clear()
        result = run("score", many, "-m", "gpt-5,gpt-4o", "-o", tmp_path / f"{name}.parquet", "--batch-size", size)
        assert result.exit_code == 0, result.stderr
        assert max(map(len, scorer.calls)) == min(size, 23)
    first = pq.read_table(tmp_path / "one.parquet")
    assert first.num_rows == 46
    assert first.schema.field("item_id").type == pa.int64()
    assert first.equals(pq.read_table(tmp_path / "three.parquet"))
    assert first.equals(pq.read_table(tmp_path / "all.parquet"))


def test_csv_keeps_identifiers_as_text_and_line_breaks(
    run: Run, tmp_path: Path, output: Path, scorer: FakeScorer
) -> None:
    (tmp_path / "items.csv").write_text('item_id,other,prompt\n007,x,"two\nlines, one comma"\n8,y,42\n', "utf-8")
    assert run("score", tmp_path / "items.csv", "-m", "gpt-5", "-o", output).exit_code == 0
    assert pq.read_table(output).column("item_id").to_pylist() == ["007", "8"]
    assert scorer.calls == [["two\nlines, one comma", "42"]]


@pytest.mark.parametrize(("identifiers", "kind"), [(["a", "b"], pa.string()), ([1, 2], pa.int64())])
def test_json_lines(run: Run, tmp_path: Path, output: Path, identifiers: list[object], kind: pa.DataType) -> None:
    lines = [json.dumps({"prompt": f"Hi {i}", "item_id": i, "more": [1]}) for i in identifiers]
    (tmp_path / "items.jsonl").write_text("\ufeff" + "\n\n".join(lines) + "\n", "utf-8")
    assert run("score", tmp_path / "items.jsonl", "-m", "gpt-5", "-o", output).exit_code == 0
    table = pq.read_table(output)
    assert table.column("item_id").to_pylist() == identifiers
    assert table.schema.field("item_id").type == kind


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_other_kinds_of_text_columns(run: Run, tmp_path: Path, output: Path, kind: pa.DataType) -> None:
    columns = {"item_id": pa.array(["a", "a"]).cast(kind), "prompt": pa.array(["Hi", "Ho"]).cast(kind)}
    pq.write_table(pa.table(columns), tmp_path / "items.parquet")
    assert run("score", tmp_path / "items.parquet", "-m", "gpt-5", "-o", output).exit_code == 0
    assert pq.read_table(output).num_rows == 2


def test_blank_prompts_are_named_before_any_work(run: Run, tmp_path: Path, output: Path, scorer: FakeScorer) -> None:
    blank = ["", None, "  \n\t", "\x00\x01", " ", "\u3000", ""]
    names = [f"id{i}" for i in range(len(blank) + 1)]
    result = run("score", write(tmp_path / "i.parquet", names, ["fine", *blank]), "-m", "gpt-5", "-o", output)
    assert result.exit_code == 2
    assert "7 of 8 prompts have no text, item_id 'id1', 'id2', 'id3', 'id4', 'id5', ...;" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not scorer.calls
    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.parquet", None, "there is no file"),
        ("items.xlsx", b"x", "cannot tell what"),
        ("items.parquet", b"not parquet", "cannot read"),
        ("items.csv", b"", "cannot read"),
        ("items.csv", b"id,text\n1,x\n", "lacks the columns item_id and prompt; it has: id, text"),
        ("items.csv", b"item_id,prompt\n", "has no rows"),
        ("items.csv", b"item_id,prompt\n1,\n", "1 of 1 prompts have no text, item_id '1'"),
        ("items.csv", b"item_id,prompt\n,Hi\n", "1 of 1 rows have no item_id"),
        ("items.csv", b"item_id,prompt\n1,\xff\xfe\n", "cannot read"),
        ("items.jsonl", b"", "has no rows"),
        ("items.jsonl", b'{"item_id": 1}\n', "lacks the column prompt"),
        ("items.jsonl", b'{"item_id": 1, "prompt": "x"}\n{"item_id"\n', "line 2 is not JSON"),
        ("items.jsonl", b'{"item_id": 1, "prompt": "x"}\n[1]\n', "line 2 is not a JSON object"),
        ("items.jsonl", b'{"item_id": 1, "prompt": "x"}\n{"item_id": "b", "prompt": "x"}\n', "cannot read"),
        ("items.jsonl", b'{"item_id": 1, "prompt": 5}\n', "cannot read"),
        ("items.jsonl", b'{"item_id": 1, "prompt": "x"}\n{"item_id": 2}\n', "prompts have no text, item_id 2"),
    ],
)
def test_bad_tables(run: Run, tmp_path: Path, output: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = run("score", tmp_path / name, "-m", "gpt-5", "-o", output)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not output.exists()


def test_bad_parquet_columns(run: Run, tmp_path: Path, output: Path) -> None:
    pq.write_table(pa.table({"item_id": [1]}), tmp_path / "a.parquet")
    assert (
        "lacks the column prompt; it has: item_id"
        in run("score", tmp_path / "a.parquet", "-o", output, "-m", "gpt-5").stderr
    )
    pq.write_table(pa.table({"item_id": [1], "prompt": [2]}), tmp_path / "b.parquet")
    assert "must hold text, not int" in run("score", tmp_path / "b.parquet", "-o", output, "-m", "gpt-5").stderr
    write(tmp_path / "c.parquet", [], [])
    assert run("score", tmp_path / "c.parquet", "-o", output, "-m", "gpt-5").exit_code == 2


def test_half_a_surrogate_pair_is_no_reason_to_fail(run: Run, tmp_path: Path, output: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"item_id": 1, "prompt": "half \\ud83d of one"}\n', "utf-8")
    assert run("score", tmp_path / "items.jsonl", "-m", "gpt-5", "-o", output).exit_code == 0


def test_an_existing_output_needs_force(run: Run, items: Path, output: Path) -> None:
    output.write_bytes(b"precious")
    result = run("score", items, "-m", "gpt-5", "-o", output)
    assert (result.exit_code, output.read_bytes()) == (2, b"precious")
    assert "--force" in result.stderr
    assert run("score", items, "-m", "gpt-5", "-o", output, "--force").exit_code == 0
    assert pq.read_table(output).num_rows == 3


def test_outputs_that_cannot_be_written(run: Run, items: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    for name, message in (
        ("scores.csv", "must end in .parquet"),
        ("nowhere/scores.parquet", "there is no folder"),
        ("folder.parquet", "it is a folder"),
        ("items.parquet", "is the input"),
    ):
        result = run("score", items, "-m", "gpt-5", "-o", tmp_path / name, "--force")
        assert result.exit_code == 2
        assert message in result.stderr


def test_candidates_are_needed_and_must_be_known(run: Run, items: Path, output: Path) -> None:
    assert "there are no candidates" in run("score", items, "-o", output).stderr
    assert "no-such-model" in run("score", items, "-o", output, "-m", "no-such-model").stderr
    assert run("score", items, "-o", output, "-m", "gpt-5", "--batch-size", 0).exit_code == 2


def test_a_failure_half_way_leaves_nothing_behind(
    run: Run, items: Path, output: Path, scorer: FakeScorer, tmp_path: Path
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    scorer.error = ScoringError("the network broke")
    result = run("score", items, "-m", "gpt-5", "-o", output)
    assert result.exit_code == 2
    assert "the network broke" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1])
def test_values_that_are_no_probabilities_are_refused(
    run: Run, items: Path, output: Path, scorer: FakeScorer, value: float
) -> None:
    scorer.transform = lambda scores: np.full_like(scores, value)
    result = run("score", items, "-m", "gpt-5", "-o", output)
    assert result.exit_code == 2
    assert "not probabilities" in result.stderr
    assert not output.exists()
