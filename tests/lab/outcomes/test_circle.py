from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelsat.errors import OutcomesError
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.table import circle_test, read_rotations

pytest.importorskip("pandas")


@pytest.fixture
def table() -> OutcomeTable:
    """``a`` with two rotations, ``b`` with one that nobody of the second model answered, ``c`` with none."""
    ids = np.array(["a", "a1", "a2", "b", "b1", "c"], dtype=object)
    scores = np.array([[1, 1], [1, 0], [1, 1], [1, 1], [0, np.nan], [0.5, 1]], dtype=np.float32)
    costs = np.arange(12, dtype=np.float32).reshape(6, 2)
    return OutcomeTable(ids, ids, ids, ids, ("m", "n"), scores, costs)


def test_an_item_is_right_only_if_every_rotation_is(table: OutcomeTable) -> None:
    found = circle_test(table, {"a1": "a", "a2": "a", "b1": "b"})
    assert found.item_ids.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(found.scores, np.array([[1, 0], [0, np.nan], [0.5, 1]], dtype=np.float32))
    assert found.costs.tolist() == [[0, 1], [6, 7], [10, 11]]
    assert table.scores[0, 1] == 1.0, "the table given stays as it is"


def test_without_rotations_nothing_changes(table: OutcomeTable) -> None:
    found = circle_test(table, {"a": "a"})
    assert len(found) == 6
    np.testing.assert_array_equal(found.scores, table.scores)


def test_groups_stay_with_their_items(table: OutcomeTable) -> None:
    groups = np.array(["g", "g", "g", "", "", "h"], dtype=object)
    found = circle_test(replace(table, groups=groups), {"a1": "a", "a2": "a", "b1": "b"})
    assert found.groups is not None
    assert found.groups.tolist() == ["g", "", "h"]


def test_rotations_must_name_an_original_item(table: OutcomeTable) -> None:
    with pytest.raises(OutcomesError, match="'a1' is a rotation of 'z', but there is no item 'z'"):
        circle_test(table, {"a1": "z"})
    with pytest.raises(OutcomesError, match="'a2' is a rotation of 'a1', itself a rotation of 'a'"):
        circle_test(table, {"a1": "a", "a2": "a1"})


def test_the_column_is_read(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,dataset,prompt,rotation_of\n7,d,x,\n8,d,y,7\n9,d,z,\n", "utf-8")
    assert read_rotations(path) == {"8": "7"}
    path.write_text("item_id,dataset,prompt\n7,d,x\n", "utf-8")
    with pytest.raises(OutcomesError, match="lacks the column rotation_of"):
        read_rotations(path)
