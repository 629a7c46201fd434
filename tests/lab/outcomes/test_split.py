from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.errors import OutcomesError
from modelsat.lab.outcomes import OutcomeTable, Split, question_key, split_by_question


def table_of(prompts: list[str]) -> OutcomeTable:
    count = len(prompts)
    return OutcomeTable(
        item_ids=np.array([f"i{n}" for n in range(count)], dtype=object),
        datasets=np.array([("x", "y")[n % 2] for n in range(count)], dtype=object),
        tasks=np.array(["t"] * count, dtype=object),
        prompts=np.array(prompts, dtype=object),
        models=("a", "b", "c"),
        scores=np.tile(np.array([1.0, 0.0, np.nan], np.float32), (count, 1)),
        costs=np.full((count, 3), np.nan, np.float32),
    )


def test_a_question_is_itself_whatever_its_options_case_and_punctuation() -> None:
    asked = question_key("Which gas do plants take in?\nA. oxygen\nB. carbon dioxide")
    assert asked == question_key("which gas do plants  take in\nA) helium\nB) neon") == "whichgasdoplantstakein"
    assert asked != question_key("Which gas do animals take in?")


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=60))
def test_every_row_is_in_one_part_and_no_question_in_two(prompts: list[str]) -> None:
    table = table_of([*prompts, *(prompt.upper() for prompt in prompts)])
    split = split_by_question(table)
    parts = [split.train, split.validation, split.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(table)))
    keys = [{question_key(table.prompts[row]) for row in part} for part in parts]
    assert sum(map(len, keys)) == len(set().union(*keys))


def test_the_shares_are_kept_and_the_same_in_every_run() -> None:
    table = table_of([f"Question number {n}?" for n in range(4000)])
    split = split_by_question(table)
    assert len(split.test) / 4000 == pytest.approx(0.15, abs=0.02)
    assert len(split.validation) / 4000 == pytest.approx(0.07, abs=0.02)
    again = split_by_question(table)
    np.testing.assert_array_equal(split.test, again.test)
    split.check(table)


@pytest.mark.parametrize(("test", "validation"), [(0.0, 0.1), (0.1, 0.0), (0.6, 0.4), (-0.1, 0.2), (float("nan"), 0.1)])
def test_shares_that_leave_nothing(test: float, validation: float) -> None:
    with pytest.raises(OutcomesError, match="must be positive and add to less than 1"):
        split_by_question(table_of(["a?"]), test, validation)


def test_a_part_that_is_empty_or_shares_a_question_is_refused() -> None:
    table = table_of(["One?", "Two?", "Three?", "ONE !"])
    rows = [np.array([n]) for n in range(4)]
    Split(*rows[:3]).check(table)
    with pytest.raises(OutcomesError, match="the validation part of the split is empty"):
        Split(rows[0], np.array([], dtype=int), rows[2]).check(table)
    with pytest.raises(OutcomesError, match="item 'i3' of the test part asks a question that also stands in the train"):
        Split(rows[0], rows[1], rows[3]).check(table)


def test_within_keeps_the_parts_apart() -> None:
    split = Split(np.array([0, 1, 2]), np.array([3, 4]), np.array([5]))
    inner = split.within(np.array([1, 2, 3, 9]))
    assert [part.tolist() for part in (inner.train, inner.validation, inner.test)] == [[1, 2], [3], []]


def test_the_table_finds_models_and_data_sets() -> None:
    table = table_of(["One?", "Two?", "Three?"])
    assert table.columns(["c", "a"]).tolist() == [2, 0]
    with pytest.raises(OutcomesError, match="nothing of 'd'; their models: a, b, c"):
        table.column("d")
    assert table.answered(np.arange(3)).tolist() == [0, 1]
    assert table.answered(np.array([], dtype=int)).tolist() == []
    assert table.of_datasets("y").tolist() == [1]
    assert table.of_datasets(["x", "y"]).tolist() == [0, 1, 2]
    part = table.take(np.array([2, 0]), np.array([1]))
    assert part.models == ("b",)
    assert part.item_ids.tolist() == ["i2", "i0"]
    assert part.scores.shape == (2, 1)
    assert part.column("b") == 0


def test_a_group_falls_on_one_side_and_items_without_one_where_they_always_fell() -> None:
    table = table_of([f"Question number {n}?" for n in range(600)])
    groups = np.array([f"issue-{n // 6}" if n < 300 else "" for n in range(600)], dtype=object)
    split = split_by_question(replace(table, groups=groups))
    side = np.empty(600, dtype=int)
    for number, part in enumerate((split.train, split.validation, split.test)):
        side[part] = number
    assert all(len(set(side[start : start + 6])) == 1 for start in range(0, 300, 6))
    assert len(set(side[:300])) == 3
    plain = split_by_question(table)
    for part, without in ((split.train, plain.train), (split.validation, plain.validation), (split.test, plain.test)):
        np.testing.assert_array_equal(part[part >= 300], without[without >= 300])
