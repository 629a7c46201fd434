"""The questions of the core tasks, read from the public data set; the package itself holds ids alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from modelsat._tables import open_table
from modelsat.capability.core import CoreTask, core_dataset, core_tasks
from modelsat.errors import HubError, QuestionsError
from modelsat.lab.aptitude.extraction import read_choice
from modelsat.lab.aptitude.replies import Reply, Verdict

REVISION = "3373e0b32277875b8db2aa555a333b78a08477ea"
"""Commit of the data set on the Hub whose questions are asked."""
FILE = "data/test-00000-of-00001.parquet"
COLUMNS = ("question_id", "question", "options", "answer")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NAMED = 5


class Checker(Protocol):
    """Decides what a reply to a question is worth. Called from several threads at once."""

    def check(self, question: Question, reply: Reply) -> Verdict:
        """The worth of ``reply``; the score is 0 where no answer can be read, never a guess."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the test.

    Attributes:
        id: Its id, e.g. ``"mmlu_pro/71"``.
        task: The task it belongs to.
        text: The question.
        options: Options to choose from, A first; empty for an open question.
        answer: The right letter, or the expected answer of an open question.
        checker: What decides about replies.
        instruction: What stands before the question; the standard words if empty.
    """

    id: str
    task: str
    text: str
    options: tuple[str, ...]
    answer: str
    checker: Checker
    instruction: str = ""

    def rotated(self, places: int) -> Question:
        """The same question with its options moved on by ``places`` letters (the circle test)."""
        if not places or len(self.options) < 2:
            return self
        size = len(self.options)
        options = tuple(self.options[(at - places) % size] for at in range(size))
        answer = LETTERS[(LETTERS.index(self.answer) + places) % size]
        return replace(self, options=options, answer=answer)

    @property
    def digest(self) -> str:
        """Hash of what is asked, hex."""
        content = repr((self.instruction, self.text, self.options, self.answer))
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ChoiceChecker:
    """Right if the letter that the reply states is the right one."""

    def check(self, question: Question, reply: Reply) -> Verdict:
        """Read the letter and compare it."""
        reading = read_choice(reply, question.options)
        return Verdict(float(reading.answer == question.answer), reading.answer, reading.problem)


def core_questions(
    path: str | os.PathLike[str] | None = None, tasks: Sequence[CoreTask] | None = None
) -> list[Question]:
    """The questions of the core tasks, in the order of the manifest.

    Args:
        path: Parquet file in the columns of the public data set; the data set on the Hub, at a pinned commit, if left
            out (downloaded once).
        tasks: Which tasks; all core tasks if left out.

    Raises:
        QuestionsError: The file is missing, is no Parquet, lacks a column or a question of the manifest, or holds a
            question that cannot be asked.
        HubError: The data set cannot be had from the Hub.
    """
    chosen = core_tasks() if tasks is None else tuple(tasks)
    source = Path(path) if path is not None else _from_hub()
    wanted = {item.id: task.name for task in chosen for item in task.items}
    rows = _read(source, wanted)
    missing = sorted(set(wanted) - set(rows))
    if missing:
        named = ", ".join(map(str, missing[:_NAMED])) + (", ..." if len(missing) > _NAMED else "")
        raise QuestionsError(
            f"{source} lacks {len(missing)} of the {len(wanted)} questions of the core tasks, question_id {named}: "
            f"give the "
            f"test split of {core_dataset()} (revision {REVISION[:8]}), or only some tasks with --tasks"
        )
    checker = ChoiceChecker()
    return [_question(source, number, task, rows[number], checker) for number, task in wanted.items()]


def _from_hub() -> Path:
    from modelsat.storage.hub import dataset_file

    try:
        return dataset_file(core_dataset(), FILE, REVISION)
    except HubError as error:
        raise HubError(f"{error}. Or give the questions as a file: --questions FILE.parquet") from error


def _read(path: Path, wanted: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    if not path.is_file():
        raise QuestionsError(f"there is no file {path}: give the questions of {core_dataset()} as Parquet")
    rows = open_table(path, COLUMNS, suffixes=(".parquet",), error=QuestionsError).rows(COLUMNS)
    return {row["question_id"]: row for row in rows if row["question_id"] in wanted}


def _question(path: Path, number: int, task: str, row: Mapping[str, Any], checker: Checker) -> Question:
    text, options, answer = row["question"], row["options"], row["answer"]
    usable = isinstance(text, str) and text.strip() and isinstance(options, list) and 2 <= len(options) <= len(LETTERS)
    if not usable or not isinstance(answer, str) or answer not in LETTERS[: len(options)]:
        raise QuestionsError(
            f"{path}: question {number} cannot be asked: it needs a text, options, and the letter of one"
        )
    return Question(f"mmlu_pro/{number}", task, text.strip(), tuple(map(str, options)), answer, checker)
