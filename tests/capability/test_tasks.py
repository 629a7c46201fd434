from __future__ import annotations

import pytest

from modelsat.capability import catalogue, find_task
from modelsat.capability.equating import FACTORS
from modelsat.capability.tasks import correlations, reference


def test_every_task_has_five_different_keywords_and_a_chance_level() -> None:
    for task in catalogue().values():
        assert len(task.keywords) == 5, task.name
        assert len(set(task.keywords)) == 5, task.name
        assert all(word.strip() == word and word and "," not in word for word in task.keywords), task.name
        assert 0.0 <= task.chance < 1.0, task.name
        assert task.discrimination > 0.0, task.name


def test_reference_statistics_are_bounded() -> None:
    for task in catalogue().values():
        assert task.factor in FACTORS, task.name
        assert 0.1 < task.discrimination <= 4.0, task.name
        assert abs(task.difficulty) < 7.0, task.name
        assert 0.0 < task.scatter <= 0.5, task.name
    assert list(correlations()) == list(FACTORS[1:])
    assert all(0.0 < value < 1.0 for value in correlations().values())


@pytest.mark.parametrize("name", ["GSM8K", "MMLU-Pro", "GPQA", "HumanEval", "MBPP", "MELD", "EmoryNLP", "SWE-bench"])
def test_benchmarks_with_published_figures_have_fitted_references(name: str) -> None:
    assert reference(name).known
    assert reference(name).scatter < 0.1


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
        ("SWE bench verified", "SWE-bench Verified"),
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
    assert (task.known, task.chance, task.factor, task.description) == (False, 0.0, "general", "quilting")
    assert task.scatter > 10 * reference("MMLU").scatter


def test_the_description_is_the_keywords_in_one_phrase() -> None:
    task = find_task("CRUXEval-O")
    assert task is not None
    assert task.description == ", ".join(task.keywords)
