"""Suites of one's own: tasks with questions and checkers in a YAML file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelsat._files import read_yaml
from modelsat.errors import QuestionsError
from modelsat.lab.aptitude.checkers import (
    ExactChecker,
    FunctionChecker,
    JudgeChecker,
    NumericChecker,
    RegexChecker,
    accepted_texts,
)
from modelsat.lab.aptitude.functions import locate_function
from modelsat.lab.aptitude.questions import LETTERS, Checker, ChoiceChecker, Question
from modelsat.lab.aptitude.subjects import Subject
from modelsat.validation import faults

Kind = Literal["choice", "exact", "numeric", "regex", "function", "judge"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckerSpec(_Part):
    """How replies are checked.

    Attributes:
        type: Kind of checker.
        case_sensitive: ``exact``: whether case matters.
        absolute: ``numeric``: allowed distance.
        relative: ``numeric``: allowed distance as a share.
        pattern: ``regex``: the expression; the question's ``answer`` if omitted.
        whole: ``regex``: the answer as a whole must match.
        function: ``function``: ``package.module:function``.
        model: ``judge``: the judge, as LiteLLM names it.
        api_base: ``judge``: base URL of an OpenAI-compatible server.
        api_key_env: ``judge``: variable that holds its key.
        rubric: ``judge``: what makes a reply good.
    """

    type: Kind
    case_sensitive: bool = False
    absolute: float = Field(default=0.0, ge=0)
    relative: float = Field(default=1e-6, ge=0)
    pattern: str = ""
    whole: bool = False
    function: str = ""
    model: str = ""
    api_base: str = ""
    api_key_env: str = ""
    rubric: str = ""


class QuestionSpec(_Part):
    """One question of a suite."""

    question: str = Field(min_length=1)
    id: str = ""
    options: tuple[str, ...] = ()
    answer: str | int | float | bool | list[str] | None = None
    checker: CheckerSpec | None = None


class TaskSpec(_Part):
    """One task of a suite: one capability statement.

    Attributes:
        name: Name of the statement.
        keywords: About five keywords that describe the task; the network reads them.
        instruction: What stands before each question, in place of the standard words.
        checker: Checker of its questions; by default ``choice`` for questions with options, else ``exact``.
        questions: The questions.
    """

    name: str = Field(min_length=1)
    keywords: tuple[str, ...] = ()
    instruction: str = ""
    checker: CheckerSpec | None = None
    questions: tuple[QuestionSpec, ...] = Field(min_length=1)


class SuiteSpec(_Part):
    """A suite."""

    name: str = Field(min_length=1)
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Suite:
    """A suite, ready to be asked.

    Attributes:
        name: Its name.
        questions: All questions, task by task.
        descriptions: Keywords of each task as one phrase, by task.
        functions: Python functions that check replies, ``"package.module:function"``.
        judges: Judge models.
    """

    name: str
    questions: tuple[Question, ...]
    descriptions: dict[str, str]
    functions: tuple[str, ...]
    judges: tuple[str, ...]

    def prepare(self) -> None:
        """Import the functions that check replies.

        Raises:
            QuestionsError: One of them cannot be imported.
        """
        for question in self.questions:
            if isinstance(question.checker, FunctionChecker):
                question.checker.prepare()


def read_suite(path: str | os.PathLike[str], judge: Callable[[CheckerSpec], Subject] | None = None) -> Suite:
    """Read a suite.

    Args:
        path: YAML file.
        judge: Makes the judge of a checker; a LiteLLM model if omitted.

    Raises:
        QuestionsError: The file is missing, is not YAML, or describes something that cannot be asked.
        MissingDependencyError: PyYAML is not installed.
    """
    spec = _spec(Path(path))
    questions: list[Question] = []
    descriptions, functions, judges = {}, [], []
    for task in spec.tasks:
        if task.name in descriptions:
            raise QuestionsError(f"{path}: two tasks are named {task.name!r}")
        descriptions[task.name] = ", ".join(task.keywords) or task.name
        for number, entry in enumerate(task.questions, start=1):
            where = f"{path}, task {task.name!r}, question {entry.id or number}"
            if isinstance(entry.answer, bool):
                raise QuestionsError(f'{where}: YAML reads this answer as true or false: put it in quotes, "yes"')
            kind = entry.checker or task.checker or CheckerSpec(type="choice" if entry.options else "exact")
            functions += [kind.function] if kind.type == "function" else []
            judges += [kind.model] if kind.type == "judge" else []
            identifier = f"{spec.name}/{task.name}/{entry.id or number}"
            letter = _letter(entry, where) if kind.type == "choice" else _text(entry.answer)
            checker = _checker(kind, entry, Path(path).parent, where, judge or _judge)
            text = entry.question.strip()
            questions.append(
                Question(identifier, task.name, text, entry.options, letter, checker, task.instruction.strip())
            )
    twice = {q.id for q in questions if sum(other.id == q.id for other in questions) > 1} if questions else set()
    if twice:
        raise QuestionsError(f"{path}: two questions have the id {min(twice)}")
    return Suite(
        spec.name, tuple(questions), descriptions, tuple(dict.fromkeys(functions)), tuple(dict.fromkeys(judges))
    )


def _spec(path: Path) -> SuiteSpec:
    hint = "'name' and 'tasks' (docs/aptitude-test.md has an example)"
    content = read_yaml(path, "a suite", error=QuestionsError, hint=hint)
    try:
        return SuiteSpec(**content)
    except ValidationError as error:
        raise QuestionsError(f"{path}: {'; '.join(faults(error, SuiteSpec)[:3])}") from error


def _letter(entry: QuestionSpec, where: str) -> str:
    """Return the letter of the right option, given as the letter or as the option's text."""
    letters = LETTERS[: len(entry.options)]
    if len(letters) < 2 or len(entry.options) > len(LETTERS):
        raise QuestionsError(f"{where}: a choice needs 2 to {len(LETTERS)} options")
    answer = _text(entry.answer)
    same = [letter for letter, option in zip(letters, entry.options, strict=True) if option == answer]
    if len(same) == 1:
        return same[0]
    if len(answer) == 1 and answer in letters:
        return answer
    raise QuestionsError(f"{where}: the answer must be the letter or the text of one option, not {answer!r}")


def _checker(
    kind: CheckerSpec, entry: QuestionSpec, folder: Path, where: str, judge: Callable[[CheckerSpec], Subject]
) -> Checker:
    if kind.type == "choice":
        return ChoiceChecker()
    if kind.type == "function":
        source = locate_function(kind.function, folder)
        return FunctionChecker(source, kind.function, entry.model_dump(exclude={"checker"}))
    if kind.type == "judge":
        if not kind.model or not kind.rubric:
            raise QuestionsError(f"{where}: a judge needs 'model' and 'rubric'")
        return JudgeChecker(judge(kind), kind.rubric)
    if kind.type == "regex":
        return RegexChecker(_pattern(kind.pattern or _text(entry.answer), where), kind.whole)
    if entry.answer is None:
        raise QuestionsError(f"{where}: 'answer' is missing")
    if kind.type == "exact":
        return ExactChecker(accepted_texts(entry.answer), kind.case_sensitive)
    try:
        return NumericChecker(float(_text(entry.answer)), kind.absolute, kind.relative)
    except ValueError:
        raise QuestionsError(f"{where}: the answer must be a number, not {entry.answer!r}") from None


def _pattern(text: str, where: str) -> re.Pattern[str]:
    if not text:
        raise QuestionsError(f"{where}: a regex needs 'pattern'")
    try:
        return re.compile(text)
    except re.error as error:
        raise QuestionsError(f"{where}: {text!r} is not a regular expression: {error}") from error


def _text(answer: object) -> str:
    return "" if answer is None else ", ".join(answer) if isinstance(answer, list) else str(answer)


def _judge(kind: CheckerSpec) -> Subject:
    from modelsat.lab.aptitude.subjects import EndpointSubject, LiteLLMSubject

    key = os.environ.get(kind.api_key_env) if kind.api_key_env else None
    if kind.api_base:
        return EndpointSubject(kind.model, kind.api_base, api_key=key, max_tokens=1024)
    return LiteLLMSubject(kind.model, api_key=key, max_tokens=1024)
