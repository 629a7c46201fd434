from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelsat.errors import OutcomesError
from modelsat.lab.outcomes import read_outcomes

ITEMS = [
    {"item_id": "a", "dataset": "exam", "task": "sums", "prompt": "What is 2 + 2?"},
    {"item_id": "b", "dataset": "exam", "task": None, "prompt": "What is 3 + 3?"},
]
OUTCOMES = [
    {"item_id": "a", "model": "strong", "score": 1.0, "cost_usd": 0.01},
    {"item_id": "b", "model": "strong", "score": 0.25, "cost_usd": None},
    {"item_id": "a", "model": "weak", "score": 0.0, "cost_usd": None},
]
WRITERS = {
    "parquet": lambda rows, path: pd.DataFrame(rows).to_parquet(path),
    "csv": lambda rows, path: pd.DataFrame(rows).to_csv(path, index=False),
    "jsonl": lambda rows, path: path.write_text("\n".join(map(json.dumps, rows)), "utf-8"),
}


def write(folder: Path, name: str, rows: list[dict[str, Any]], kind: str = "jsonl") -> Path:
    path = folder / f"{name}.{kind}"
    WRITERS[kind](rows, path)
    return path


def changed(rows: list[dict[str, Any]], row: int, **cells: Any) -> list[dict[str, Any]]:
    return [{**old, **cells} if number == row else old for number, old in enumerate(rows)]


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_reads_alike(tmp_path: Path, kind: str) -> None:
    table = read_outcomes(write(tmp_path, "items", ITEMS, kind), write(tmp_path, "outcomes", OUTCOMES, kind))
    assert table.models == ("strong", "weak")
    assert table.tasks.tolist() == ["sums", "exam"]
    np.testing.assert_array_equal(table.scores, np.array([[1, 0], [0.25, np.nan]], np.float32))
    np.testing.assert_allclose(table.costs, [[0.01, np.nan], [np.nan, np.nan]], rtol=1e-6)


def test_task_and_cost_may_be_absent(tmp_path: Path) -> None:
    items = [{key: row[key] for key in ("item_id", "dataset", "prompt")} for row in ITEMS]
    outcomes = [{key: row[key] for key in ("item_id", "model", "score")} for row in OUTCOMES]
    table = read_outcomes(write(tmp_path, "items", items), write(tmp_path, "outcomes", outcomes))
    assert table.tasks.tolist() == ["exam", "exam"]
    assert np.isnan(table.costs).all()


def test_whole_numbers_are_ids_in_every_format(tmp_path: Path) -> None:
    items = [{**row, "item_id": number} for number, row in enumerate(ITEMS)]
    outcomes = [{**row, "item_id": "ab".index(row["item_id"])} for row in OUTCOMES]
    table = read_outcomes(write(tmp_path, "items", items, "parquet"), write(tmp_path, "outcomes", outcomes, "csv"))
    assert table.item_ids.tolist() == ["0", "1"]


def test_csv_cells_that_look_like_numbers_or_gaps_stay_text(tmp_path: Path) -> None:
    items, outcomes = tmp_path / "items.csv", tmp_path / "outcomes.csv"
    items.write_text("item_id,dataset,task,prompt\n007,2024,,42\n008,2024,NA,null\n", "utf-8")
    outcomes.write_text("item_id,model,score,cost_usd\n007,1,1,\n008,NA,0,nan\n", "utf-8")
    table = read_outcomes(items, outcomes)
    assert table.item_ids.tolist() == ["007", "008"]
    assert table.prompts.tolist() == ["42", "null"]
    assert table.datasets.tolist() == ["2024", "2024"]
    assert table.tasks.tolist() == ["2024", "NA"]
    assert table.models == ("1", "NA")


@pytest.mark.parametrize(
    ("items", "outcomes", "message"),
    [
        (ITEMS, changed(OUTCOMES, 1, item_id="z"), r"column item_id: does not stand in .* row 2 \(item_id='z'"),
        (ITEMS, changed(OUTCOMES, 1, score=1.5), r"column score: must lie in 0..1 .* row 2 \(item_id='b', model='s"),
        (ITEMS, changed(OUTCOMES, 0, score=-0.1), r"column score: must lie in 0..1 .* row 1"),
        (ITEMS, changed(OUTCOMES, 0, score=None), r"column score: must lie in 0..1 .* row 1"),
        (ITEMS, changed(OUTCOMES, 2, score="good"), r"column score: is not a number in 1 of 3 rows: row 3"),
        (ITEMS, changed(OUTCOMES, 2, score="0.5"), r"column score: is text, not a number in 1 of 3 rows: row 3"),
        (ITEMS, changed(OUTCOMES, 0, cost_usd=-1.0), r"column cost_usd: must be a number of 0 or more .* row 1"),
        (ITEMS, changed(OUTCOMES, 0, cost_usd="dear"), r"column cost_usd: is not a number in 1 of 3 rows: row 1"),
        (ITEMS, [*OUTCOMES, OUTCOMES[0]], r"column item_id \+ model: appears twice in 1 of 4 rows: row 4"),
        (ITEMS, OUTCOMES[:2], r"outcomes of one model only"),
        (ITEMS, changed(OUTCOMES, 0, model=7), r"column model: must be text that is not empty in 1 of 3 rows: row 1"),
        ([*ITEMS, ITEMS[1]], OUTCOMES, r"items.jsonl, column item_id: appears twice in 1 of 3 rows: row 3"),
        (changed(ITEMS, 1, prompt="  "), OUTCOMES, r"column prompt: must be text that is not empty .* row 2"),
        (changed(ITEMS, 1, prompt=None), OUTCOMES, r"column prompt: must be text that is not empty .* row 2"),
        (changed(ITEMS, 0, dataset=3), OUTCOMES, r"column dataset: must be text that is not empty .* row 1"),
        (changed(ITEMS, 0, item_id=["a"]), OUTCOMES, r"column item_id: must be text that is not empty .* row 1"),
    ],
)  # fmt: skip
def test_faults_name_rows_and_columns(
    tmp_path: Path, items: list[dict[str, Any]], outcomes: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(OutcomesError, match=message):
        read_outcomes(write(tmp_path, "items", items), write(tmp_path, "outcomes", outcomes))


def test_a_bad_cell_of_a_csv_file_is_named_alone(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text("item_id,model,score\na,strong,1\na,weak,good\nb,weak,0\n", "utf-8")
    with pytest.raises(
        OutcomesError, match=r"column score: is not a number in 1 of 3 rows: row 2 \(item_id='a', model='weak'"
    ):
        read_outcomes(write(tmp_path, "items", ITEMS), path)


def test_many_faults_are_counted_and_prompts_never_repeated(tmp_path: Path) -> None:
    outcomes = [{"item_id": "a", "model": f"m{number}", "score": 2.0} for number in range(9)]
    with pytest.raises(OutcomesError, match=r"in 9 of 9 rows: row 1 .* and 4 more$") as caught:
        read_outcomes(write(tmp_path, "items", ITEMS), write(tmp_path, "outcomes", outcomes))
    assert "What is" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    items = write(tmp_path, "items", ITEMS)
    with pytest.raises(OutcomesError, match="there is no file"):
        read_outcomes(items, tmp_path / "none.csv")
    odd = tmp_path / "outcomes.xlsx"
    odd.write_bytes(b"x")
    with pytest.raises(OutcomesError, match=r"its name must end in \.parquet, \.csv"):
        read_outcomes(items, odd)
    broken = tmp_path / "outcomes.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(OutcomesError, match="cannot read"):
        read_outcomes(items, broken)
    short = write(tmp_path, "short", [{"item_id": "a", "model": "m"}])
    with pytest.raises(OutcomesError, match="lacks the column score; it has: item_id, model"):
        read_outcomes(items, short)
    empty = tmp_path / "outcomes.csv"
    empty.write_text("item_id,model,score\n", "utf-8")
    with pytest.raises(OutcomesError, match="has no rows"):
        read_outcomes(items, empty)
