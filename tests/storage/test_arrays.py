"""Arrays come back from a file as they went in, whatever their order in memory."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from modelsat.inference.local import FieldHead
from modelsat.storage.arrays import save_arrays
from modelsat.storage.checkpoint import open_checkpoint, shipped_folders, write_manifest


@pytest.mark.parametrize("kind", ["rows", "columns", "transposed", "every second"])
def test_an_array_keeps_its_values(tmp_path: Path, kind: str) -> None:
    rows = np.arange(24, dtype=np.float16).reshape(4, 6)
    arrays = {
        "rows": rows,
        "columns": np.asfortranarray(rows),
        "transposed": rows.T,
        "every second": rows[:, ::2],
    }
    save_arrays({"a": arrays[kind]}, tmp_path / "a.safetensors", {"kind": kind})
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as stored:
        assert stored.metadata() == {"kind": kind}
        np.testing.assert_array_equal(stored.get_tensor("a"), arrays[kind])


def test_a_field_classifier_keeps_its_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = np.asfortranarray(rng.normal(size=(3, 8)).astype(np.float32))  # as scikit-learn's coef_ is
    FieldHead(("a", "b", "c"), weight, rng.normal(size=3).astype(np.float32)).save(tmp_path / "fields.safetensors")
    write_manifest(tmp_path)
    read = FieldHead.of(open_checkpoint(tmp_path))
    assert read is not None
    np.testing.assert_allclose(read.weight, weight, atol=2e-3)


@pytest.mark.parametrize("folder", shipped_folders(), ids=lambda folder: folder.name)
def test_the_shipped_classifier_is_a_softmax_fit(folder: Path) -> None:
    head = FieldHead.of(open_checkpoint(folder))
    assert head is not None
    assert np.abs(head.weight.sum(axis=0)).mean() < 0.01, "the classes' weights of a softmax fit sum to zero"


def test_a_file_of_arrays_is_readable_by_all(tmp_path: Path) -> None:
    save_arrays({"a": np.zeros(3)}, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o644
