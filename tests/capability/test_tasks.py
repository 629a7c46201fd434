from __future__ import annotations

import pytest

from modelsat.capability import catalogue, find_task
from modelsat.capability.tasks import reference


def test_every_task_has_five_different_keywords_and_a_chance_level() -> None:
    for task in catalogue().values():
        assert len(task.keywords) == 5, task.name
        assert len(set(task.keywords)) == 5, task.name
        assert all(word.strip() == word and word and "," not in word for word in task.keywords), task.name
        assert 0.0 <= task.chance < 1.0, task.name
        assert task.discrimination > 0.0, task.name


def test_no_two_tasks_share_a_name_or_alias() -> None:
    for task in catalogue().values():
        for name in (task.name, *task.aliases):
            assert find_task(name) is task, name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("gsm8k", "GSM8K"),
        ("mmlu_pro", "MMLU-Pro"),
        ("Human Eval", "HumanEval"),
        ("HumanEval+", "HumanEval+"),
        ("GPQA Diamond", "GPQA"),
        ("SWE-bench Verified", "SWE-bench"),
        ("alpaca_eval", "AlpacaEval"),
    ],
)
def test_case_and_punctuation_do_not_matter(written: str, name: str) -> None:
    task = find_task(written)
    assert task is not None
    assert task.name == name


def test_an_unknown_task_gets_cautious_defaults() -> None:
    assert find_task("quilting") is None
    task = reference("quilting")
    assert (task.known, task.chance, task.description) == (False, 0.0, "quilting")


def test_the_description_is_the_keywords_in_one_phrase() -> None:
    task = find_task("CRUXEval-O")
    assert task is not None
    assert task.description == ", ".join(task.keywords)
