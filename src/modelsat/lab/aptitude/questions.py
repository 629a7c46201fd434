"""The questions of the core tasks, read from the public data set; how they are worded, and the circle test."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from modelsat._tables import open_table
from modelsat.capability.core import CoreTask, core_dataset
from modelsat.errors import HubError, QuestionsError
from modelsat.lab.aptitude.replies import LETTERS, Reply, Verdict, read_choice

REVISION = "3373e0b32277875b8db2aa555a333b78a08477ea"
"""Commit of the data set on the Hub whose questions are asked."""
FILE = "data/test-00000-of-00001.parquet"
COLUMNS = ("question_id", "question", "options", "answer")
PREFIX = "mmlu_pro/"
WORDING_VERSION = 1
"""Raised whenever the words change: answers to other words are not mixed."""
HARD = 0.4
"""Difficulty (ability units) from which an item is hard: half-way from chance for a model of gpt-4o-mini's level."""
_NAMED = 5
_CHOICE = (
    "Answer the multiple-choice question below. If it needs working out, work it out first, as briefly as you can. "
    "End with a line that holds your answer alone, in the form\n\nAnswer: (X)\n\nwhere X is the letter of the best "
    "option."
)
_OPEN = "Answer the question below. End with a line that holds your answer alone, in the form\n\nAnswer: ..."

Message = dict[str, str]


class Checker(Protocol):
    """Decides what a reply to a question is worth. Called from several threads at once."""

    def check(self, question: Question, reply: Reply) -> Verdict:
        """Return the worth of ``reply``; the score is 0 where no answer can be read, never a guess."""
        ...


@dataclass(frozen=True, slots=True)
class ChoiceChecker:
    """Right if the letter that the reply states is the right one."""

    def check(self, question: Question, reply: Reply) -> Verdict:
        """Read the letter and compare it."""
        answer, problem = read_choice(reply, question.options)
        return Verdict(float(answer == question.answer), answer, problem)


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the test."""

    id: str  # e.g. "mmlu_pro/71"
    task: str
    text: str
    options: tuple[str, ...]  # A first; empty for an open question
    answer: str  # the right letter, or the expected answer of an open question
    checker: Checker
    instruction: str = ""  # stands before the question, in place of the standard words

    @property
    def number(self) -> int:
        """The public id of a core item."""
        return int(self.id.removeprefix(PREFIX))

    @property
    def digest(self) -> str:
        """Hash of what is asked, hex."""
        content = repr((self.instruction, self.text, self.options, self.answer))
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def messages(self) -> list[Message]:
        """The conversation that asks it."""
        parts = [self.instruction or (_CHOICE if self.options else _OPEN), f"Question:\n{self.text}"]
        if self.options:
            options = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, self.options, strict=False))
            parts.append(f"Options:\n{options}")
        return [{"role": "user", "content": "\n\n".join(parts)}]

    def rotated(self, places: int) -> Question:
        """Return the same question with its options moved on by ``places`` letters (the circle test)."""
        if not places or len(self.options) < 2:
            return self
        size = len(self.options)
        options = tuple(self.options[(at - places) % size] for at in range(size))
        answer = LETTERS[(LETTERS.index(self.answer) + places) % size]
        return replace(self, options=options, answer=answer)

    def rotations(self, times: int) -> list[int]:
        """By how many letters the options are moved on: the original first, evenly spread, fewer for few options."""
        size = len(self.options)
        return sorted({round(turn * size / times) % size for turn in range(times)}) if size else [0]


def core_questions(path: str | os.PathLike[str] | None, tasks: Sequence[CoreTask]) -> list[Question]:
    """Return the questions of some core tasks, in the order of the manifest.

    Args:
        path: Parquet file in the columns of the public data set; the data set on the Hub, at a pinned commit, if
            ``None`` (downloaded once).
        tasks: Which tasks.

    Raises:
        QuestionsError: The file is missing, is not Parquet, lacks a column or a question of the manifest, or holds a
            question that cannot be asked.
        HubError: The data set cannot be downloaded from the Hub.
    """
    source = Path(path) if path is not None else _from_hub()
    if not source.is_file():
        raise QuestionsError(f"there is no file {source}: give the questions of {core_dataset()} as Parquet")
    wanted = {item.id: task.name for task in tasks for item in task.items}
    table = open_table(source, COLUMNS, suffixes=(".parquet",), error=QuestionsError)
    rows = {row["question_id"]: row for row in table.rows(COLUMNS) if row["question_id"] in wanted}
    missing = sorted(set(wanted) - set(rows))
    if missing:
        named = ", ".join(map(str, missing[:_NAMED])) + (", ..." if len(missing) > _NAMED else "")
        raise QuestionsError(
            f"{source} lacks {len(missing)} of the {len(wanted)} questions of the core tasks, question_id {named}: "
            f"give the test split of {core_dataset()} (revision {REVISION[:8]}), or only some tasks with --tasks"
        )
    return [_question(source, number, task, rows[number]) for number, task in wanted.items()]


def _from_hub() -> Path:
    from modelsat.storage.hub import dataset_file

    try:
        return dataset_file(core_dataset(), FILE, REVISION)
    except HubError as error:
        raise HubError(f"{error}. Or give the questions as a file: --questions FILE.parquet") from error


def _question(path: Path, number: int, task: str, row: Mapping[str, Any]) -> Question:
    text, options, answer = row["question"], row["options"], row["answer"]
    usable = isinstance(text, str) and text.strip() and isinstance(options, list) and 2 <= len(options) <= len(LETTERS)
    if not usable or not isinstance(answer, str) or answer not in list(LETTERS[: len(options)]):
        raise QuestionsError(
            f"{path}: question {number} cannot be asked: it needs a text, options, and the letter of one"
        )
    return Question(f"{PREFIX}{number}", task, text.strip(), tuple(map(str, options)), answer, ChoiceChecker())
