"""Export: tables that training and evaluation read."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelsat.errors import ConfigurationError
from modelsat.feedback import FeedbackRecord, FeedbackStore
from modelsat.feedback.outcomes import Exported, export_outcomes
from modelsat.lab.outcomes import read_outcomes
from tests.feedback.conftest import decision


def _fill(store: FeedbackStore) -> None:
    store.add_decisions(
        [
            decision("a", "strong", prompt="What is a tort?", field={"law": 0.8, "humanities": 0.1}),
            decision("b", "weak", prompt="What is a tort?", field={"law": 0.8}),
            decision("c", "strong", prompt="What is a tort?", field={"law": 0.8}),
            decision("d", "weak", prompt="What is 2 + 2?"),
            decision("e", "strong"),
            decision("f", "strong", prompt="Never answered"),
        ]
    )
    for identifier, score in (("a", 1.0), ("b", 0.0), ("c", 0.5), ("d", 1.0), ("e", 1.0)):
        store.add_feedback(FeedbackRecord(identifier, score))


def test_the_tables_are_read_as_outcomes(store: FeedbackStore, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    _fill(store)
    written = export_outcomes(store, tmp_path / "outcomes.parquet", tmp_path / "items.parquet")
    assert written == Exported(outcomes=3, items=2, merged=1, without_prompt=1)
    table = read_outcomes(tmp_path / "items.parquet", tmp_path / "outcomes.parquet")
    assert table.models == ("strong", "weak")
    found = {prompt: table.scores[row].tolist() for row, prompt in enumerate(table.prompts)}
    assert found["What is a tort?"] == [0.75, 0.0]
    assert found["What is 2 + 2?"][1] == 1.0
    assert dict(zip(table.prompts, table.tasks, strict=True)) == {
        "What is a tort?": "law",
        "What is 2 + 2?": "feedback",
    }


def test_outcomes_alone_name_decisions_whose_prompt_is_not_kept(store: FeedbackStore, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    _fill(store)
    written = export_outcomes(store, tmp_path / "outcomes.parquet")
    assert (written.outcomes, written.items) == (4, 0)
    rows = pq.read_table(tmp_path / "outcomes.parquet").to_pylist()
    (plain,) = [row for row in rows if row["decision_id"] == "e"]
    assert plain["item_id"] == "e"
    assert plain["p"] == pytest.approx(0.8)


def test_nothing_to_export_is_an_error_and_writes_nothing(store: FeedbackStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no feedback yet"):
        export_outcomes(store, tmp_path / "outcomes.parquet")
    store.add_decisions([decision()])
    store.add_feedback(FeedbackRecord("d1", 1.0))
    with pytest.raises(ConfigurationError, match=r"holds no prompts.*keep_prompts=True"):
        export_outcomes(store, tmp_path / "outcomes.parquet", tmp_path / "items.parquet")
    with pytest.raises(ConfigurationError, match=r"must end in \.parquet"):
        export_outcomes(store, tmp_path / "outcomes.csv")
    with pytest.raises(ConfigurationError, match="cannot write"):
        export_outcomes(store, tmp_path / "no folder" / "outcomes.parquet")
    assert not list(tmp_path.glob("*.parquet"))
