from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelsat.capability.core import CoreItem, CoreTask, core_tasks
from modelsat.errors import OutcomesError
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.profiles import core_rows, profiles_from_outcomes, read_core_outcomes

TASKS = (
    CoreTask("stemez-Physics", ("a", "b", "c", "d", "e"), tuple(CoreItem(i, 0.0, 1.0, 0.1) for i in (1, 2, 3))),
    CoreTask("stemez-Biology", ("a", "b", "c", "d", "e"), tuple(CoreItem(i, 0.0, 1.0, 0.1) for i in (4, 5))),
)


def make(ids: list[str], scores: list[list[float]], dataset: str = "mmlu_pro") -> OutcomeTable:
    values = np.array(scores, dtype=np.float32)
    names = np.full(len(ids), dataset, dtype=object)
    return OutcomeTable(
        item_ids=np.array(ids, dtype=object),
        datasets=names,
        tasks=names,
        prompts=names,
        models=tuple("abc"[: values.shape[1]]),
        scores=values,
        costs=np.full_like(values, np.nan),
    )


@pytest.fixture
def table() -> OutcomeTable:
    nan = float("nan")
    return make(
        ["mmlu_pro/1", "mmlu_pro/2", "mmlu_pro/3", "mmlu_pro/4", "mmlu_pro/9"],
        [[1, 1, nan], [0, nan, nan], [1, nan, nan], [0.5, nan, nan], [0, 0, 1]],
    )


def test_accuracies_count_the_core_items_that_were_answered(table: OutcomeTable) -> None:
    first, second = profiles_from_outcomes(table, ["a", "b"], TASKS)
    assert [(s.task, s.accuracy, s.items) for s in first.statements] == [
        ("stemez-Physics", pytest.approx(2 / 3, abs=1e-6), 3),
        ("stemez-Biology", 0.5, 1),
    ]
    assert [(s.task, s.accuracy, s.items) for s in second.statements] == [("stemez-Physics", 1.0, 1)]
    assert all(s.source and s.description != s.task for s in first.statements)


def test_all_models_that_answered_a_core_item_by_default(table: OutcomeTable) -> None:
    assert [profile.model for profile in profiles_from_outcomes(table, tasks=TASKS)] == ["a", "b"]
    assert [profile.model for profile in profiles_from_outcomes(table, ["b", "a"], TASKS)] == ["b", "a"]


def test_a_model_without_an_outcome_is_named(table: OutcomeTable) -> None:
    with pytest.raises(OutcomesError, match="no outcome of c on the core items"):
        profiles_from_outcomes(table, ["a", "c"], TASKS)
    with pytest.raises(OutcomesError, match="'nobody'"):
        profiles_from_outcomes(table, ["nobody"], TASKS)
    with pytest.raises(OutcomesError, match="any model"):
        profiles_from_outcomes(table.take(np.array([4])), tasks=TASKS)


@pytest.mark.parametrize(
    ("identifier", "dataset", "core"),
    [
        ("mmlu_pro/1", "mmlu_pro", True),
        ("mmlu_pro/1", "", True),
        ("1", "", True),
        ("1", "MMLU-Pro", True),
        ("1", "TIGER-Lab/MMLU-Pro", True),
        ("1", "gsm8k", False),
        ("gsm8k/1", "mmlu_pro", False),
        ("mmlu_pro/1x", "mmlu_pro", False),
        ("mmlu_pro/11", "mmlu_pro", False),
    ],
)
def test_an_item_is_core_by_its_id_and_data_set(identifier: str, dataset: str, core: bool) -> None:
    assert bool(core_rows(make([identifier], [[1.0, 0.0]], dataset), TASKS)) is core


def test_one_item_under_two_ids_is_refused() -> None:
    with pytest.raises(OutcomesError, match="core item 1 stands in the table twice, as 'mmlu_pro/1' and '1'"):
        profiles_from_outcomes(make(["mmlu_pro/1", "1"], [[1.0, 0.0], [0.0, 1.0]]), tasks=TASKS)


def test_the_shipped_tasks_are_the_default() -> None:
    task = core_tasks()[0]
    (profile,) = profiles_from_outcomes(make([f"mmlu_pro/{item.id}" for item in task.items], [[1.0]] * 20))
    (statement,) = profile.statements
    assert (statement.task, statement.accuracy, statement.items) == (task.name, 1.0, 20)
    assert statement.description == ", ".join(task.keywords)


def test_one_model_and_no_prompts_are_enough(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    path = tmp_path / "outcomes.csv"
    path.write_text("item_id,model,score\n1,a,1\nmmlu_pro/2,a,0\n", "utf-8")
    (profile,) = profiles_from_outcomes(read_core_outcomes(path), tasks=TASKS)
    assert [(s.accuracy, s.items) for s in profile.statements] == [(0.5, 2)]


def test_items_say_which_data_set_an_item_is_of(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    outcomes, items = tmp_path / "outcomes.csv", tmp_path / "items.csv"
    outcomes.write_text("item_id,model,score\n1,a,1\n2,a,0\n", "utf-8")
    items.write_text("item_id,dataset,prompt\n1,mmlu_pro,Why?\n2,gsm8k,How many?\n", "utf-8")
    (profile,) = profiles_from_outcomes(read_core_outcomes(outcomes, items), tasks=TASKS)
    assert [(s.accuracy, s.items) for s in profile.statements] == [(1.0, 1)]
    items.write_text("item_id,dataset,prompt\n1,mmlu_pro,Why?\n", "utf-8")
    with pytest.raises(OutcomesError, match="item_id: does not stand in the items table in 1 of 2 rows: row 2"):
        read_core_outcomes(outcomes, items)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("item_id,model\n1,a\n", "lacks the column score"),
        ("item_id,model,score\n1,a,1.5\n", "must lie in 0..1"),
        ("item_id,model,score\n1,a,\n", "must lie in 0..1"),
        ("item_id,model,score\n1,a,yes\n", "score: is not a number"),
        ("item_id,model,score\n1,a,1\n1,a,0\n", r"item_id \+ model: appears twice"),
        ("item_id,model,score\n1,,1\n", "model: must be text"),
    ],
)
def test_bad_outcomes_are_named_by_row_and_column(tmp_path: Path, content: str, message: str) -> None:
    pytest.importorskip("pandas")
    path = tmp_path / "outcomes.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(OutcomesError, match=message):
        read_core_outcomes(path)
