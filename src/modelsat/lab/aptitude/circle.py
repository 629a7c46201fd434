"""The circle test of hard items: asked again with the options moved on, and right only if every time.

A guess among ten options survives one question in ten, three rotations once in a thousand. Figures stay on the scale
on which all others are measured, that of a single question: a hard item that fails the circle counts as its chance
level, which is what its guesses would have won.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelsat.capability.core import CoreTask
from modelsat.lab.aptitude.questions import Question
from modelsat.lab.aptitude.store import Answer

HARD = 0.4
"""Difficulty (ability units) from which an item is hard: half-way from chance for a model of gpt-4o-mini's level."""


def hard_items(tasks: tuple[CoreTask, ...]) -> frozenset[int]:
    """Ids of the hard items."""
    return frozenset(item.id for task in tasks for item in task.items if item.difficulty >= HARD)


def rotations(question: Question, times: int) -> list[int]:
    """By how many letters the options are moved on: the original first, evenly spread, fewer for few options."""
    size = len(question.options)
    return sorted({round(turn * size / times) % size for turn in range(times)}) if size else [0]


def passed(question: Question, times: int, answers: Mapping[tuple[str, int], Answer]) -> float | None:
    """1 if the question was answered rightly in every rotation, 0 if not in one, ``None`` if answers are missing."""
    found = [answers.get((question.id, places)) for places in rotations(question, times)]
    if any(answer is not None and answer.score < 1.0 for answer in found):
        return 0.0
    return None if any(answer is None for answer in found) else 1.0
