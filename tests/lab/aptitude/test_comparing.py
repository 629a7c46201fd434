"""Comparing profiles, drawing them, and keeping them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelsat.capability.core import core_tasks
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.lab.aptitude import compare, keep


def profile(model: str, accuracy: float, items: int = 20, **other: float) -> CapabilityProfile:
    rows = [
        {"task": task.name, "accuracy": other.get(task.name.replace("-", "_"), accuracy), "items": items}
        for task in core_tasks()
    ]
    return CapabilityProfile(model=model, statements=rows)


def test_equal_profiles_differ_in_nothing() -> None:
    found = compare(profile("a", 0.5), profile("b", 0.5))
    assert not any(line.significant for line in (*found.tasks, *found.fields))
    assert found.level_p > 0.9


def test_a_large_difference_is_marked_and_a_small_one_is_not() -> None:
    found = compare(profile("a", 0.5, stemez_Optics=1.0), profile("b", 0.5, stemez_Optics=0.1))
    assert [line.name for line in found.tasks if line.significant] == ["stemez-Optics"]
    assert found.tasks[0].name == "stemez-Optics"


def test_levels_compare_where_no_task_is_shared() -> None:
    found = compare(profile("a", 0.9), CapabilityProfile.from_benchmarks("b", {"MMLU": 0.3, "GSM8K": 0.2}))
    assert not found.tasks
    assert found.levels[0] > found.levels[1]
    assert found.level_p < 0.01
    assert found.only[1] == ("MMLU", "GSM8K")


def test_profiles_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from modelsat.lab.aptitude.compare import draw

    draw([profile("a", 0.5)], tmp_path / "one.png")
    draw([profile("a", 0.5), CapabilityProfile.from_benchmarks("b", {"MMLU": 0.7})], tmp_path / "two.svg")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "two.svg").read_text()


def test_a_suite_is_laid_beside_what_was_known() -> None:
    keep(profile("mine", 0.5))
    own = CapabilityProfile(model="mine", statements=[{"task": "triage", "accuracy": 0.7, "items": 9}])
    merged, path = keep(own, merge=True)
    assert path.is_file()
    assert len(merged.statements) == 51
    assert len(Registry.default().find("mine").statements) == 51
