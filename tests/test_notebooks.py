"""The notebooks run as they stand, and what they show comes from the weights that ship."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelsat.storage.checkpoint import open_checkpoint

pytest.importorskip("nbclient")
from tests.notebooks import FOLDER, execute

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path) -> None:
    kept, now = json.loads(path.read_text("utf-8")), execute(path)
    shown = [bool(cell.get("outputs")) for cell in kept["cells"]]
    assert shown == [bool(cell.get("outputs")) for cell in now.cells], "run scripts/notebooks"
    assert kept["metadata"]["modelsat"]["weights"] == open_checkpoint("modelsat-nano").version, "run scripts/notebooks"


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["chain", "logs-to-policy", "own-model"]
