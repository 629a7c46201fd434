"""The evaluation on real outcomes; skipped where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelsat.lab.evaluation import Kind, Plan, Role, evaluate
from modelsat.lab.outcomes import read_outcomes

DATA = Path(os.environ.get("MODELSAT_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not (DATA / "outcomes.parquet").is_file(), reason=f"no outcomes in {DATA}: set MODELSAT_DATA to their folder"
)


def test_the_anchors_stand_in_order_on_real_outcomes() -> None:
    table = read_outcomes(DATA / "items.parquet", DATA / "outcomes.parquet")
    unseen = ("gpt-4o-2024-05-13", "Qwen2-72B-Instruct", "claude-3-haiku-20240307", "gemma-2-27b-it")
    plan = Plan(unseen, ("rdc_humaneval",), ("crux", "math_l5", "rdc_humaneval"))
    found = evaluate(table, plan=plan)
    assert [result.kind for result in found.settings].count(Kind.UNSEEN_MODELS) == 2
    for result in found.settings:
        accuracy = {row.name: row.metrics["accuracy"] for row in result.rows if row.role is Role.ANCHOR}
        single = accuracy.get("best single", accuracy.get("best single (hindsight)"))
        assert single is not None
        assert 0 < accuracy["random"] < single <= accuracy["oracle"] <= 1
        assert result.prompts > 50
