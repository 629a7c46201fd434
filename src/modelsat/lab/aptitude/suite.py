"""Suites of one's own: tasks with questions and checkers in a YAML file."""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelsat._files import read_yaml
from modelsat.errors import QuestionsError
from modelsat.lab.aptitude.checkers import (
    ExactChecker,
    FunctionChecker,
    Grade,
    JudgeChecker,
    NumericChecker,
    RegexChecker,
)
from modelsat.lab.aptitude.questions import Checker, ChoiceChecker, Question
from modelsat.lab.aptitude.replies import LETTERS
from modelsat.lab.aptitude.subjects import subject_named
from modelsat.validation import faults


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckerSpec(_Part):
    """How replies are checked; beside a field stands the kind of checker that it is for."""

    type: Literal["choice", "exact", "numeric", "regex", "function", "judge"]
    case_sensitive: bool = False  # exact
    absolute: float = Field(default=0.0, ge=0)  # numeric: allowed distance
    relative: float = Field(default=1e-6, ge=0)  # numeric: allowed distance as a share
    pattern: str = ""  # regex; the question's answer if omitted
    whole: bool = False  # regex: the answer as a whole must match
    function: str = ""  # function: package.module:function
    model: str = ""  # judge: as LiteLLM names it
    api_base: str = ""  # judge: base URL of an OpenAI-compatible server
    api_key_env: str = ""  # judge: variable that holds its key
    rubric: str = ""  # judge: what makes a reply good


class QuestionSpec(_Part):
    """One question of a suite."""

    question: str = Field(min_length=1)
    id: str = ""
    options: tuple[str, ...] = ()
    answer: str | int | float | bool | list[str] | None = None
    checker: CheckerSpec | None = None

    @property
    def text(self) -> str:
        """The answer as text; several are joined."""
        if self.answer is None:
            return ""
        return ", ".join(self.answer) if isinstance(self.answer, list) else str(self.answer)


class TaskSpec(_Part):
    """One task of a suite: one capability statement."""

    name: str = Field(min_length=1)
    keywords: tuple[str, ...] = ()  # about five that describe the task; the network reads them
    instruction: str = ""  # stands before each question, in place of the standard words
    checker: CheckerSpec | None = None  # by default choice for questions with options, else exact
    questions: tuple[QuestionSpec, ...] = Field(min_length=1)


class SuiteSpec(_Part):
    """A suite."""

    name: str = Field(min_length=1)
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Suite:
    """A suite, ready to be asked."""

    name: str
    questions: tuple[Question, ...]
    descriptions: dict[str, str]  # keywords of each task as one phrase, by task

    @property
    def functions(self) -> tuple[str, ...]:
        """Python functions that check replies, ``"package.module:function"``."""
        checkers = (question.checker for question in self.questions)
        return tuple(dict.fromkeys(checker.name for checker in checkers if isinstance(checker, FunctionChecker)))

    @property
    def judges(self) -> tuple[str, ...]:
        """Judge models."""
        checkers = (question.checker for question in self.questions)
        return tuple(dict.fromkeys(checker.judge.name for checker in checkers if isinstance(checker, JudgeChecker)))

    def prepare(self) -> None:
        """Import the functions that check replies.

        Raises:
            QuestionsError: One of them cannot be imported.
        """
        for question in self.questions:
            if isinstance(question.checker, FunctionChecker):
                question.checker.source()


def read_suite(path: str | os.PathLike[str]) -> Suite:
    """Read a suite.

    Raises:
        QuestionsError: The file is missing, is not YAML, or describes something that cannot be asked.
        MissingDependencyError: A judge needs LiteLLM, which is not installed.
    """
    hint = "'name' and 'tasks' (docs/aptitude-test.md has an example)"
    content = read_yaml(path, "a suite", error=QuestionsError, hint=hint)
    try:
        spec = SuiteSpec(**content)
    except ValidationError as error:
        raise QuestionsError(f"{path}: {'; '.join(faults(error, SuiteSpec)[:3])}") from error
    questions: list[Question] = []
    descriptions: dict[str, str] = {}
    for task in spec.tasks:
        if task.name in descriptions:
            raise QuestionsError(f"{path}: two tasks are named {task.name!r}")
        descriptions[task.name] = ", ".join(task.keywords) or task.name
        for number, entry in enumerate(task.questions, start=1):
            name = entry.id or str(number)
            try:
                checker = _checker(task, entry, Path(path).parent)
                answer = _letter(entry) if isinstance(checker, ChoiceChecker) else entry.text
            except QuestionsError as error:
                raise QuestionsError(f"{path}, task {task.name!r}, question {name}: {error}") from error
            identifier, text = f"{spec.name}/{task.name}/{name}", entry.question.strip()
            questions.append(
                Question(identifier, task.name, text, entry.options, answer, checker, task.instruction.strip())
            )
    twice = [identifier for identifier, count in Counter(q.id for q in questions).items() if count > 1]
    if twice:
        raise QuestionsError(f"{path}: two questions have the id {min(twice)}")
    return Suite(spec.name, tuple(questions), descriptions)


def _letter(entry: QuestionSpec) -> str:
    """Return the letter of the right option, given as the letter or as the option's text."""
    letters = LETTERS[: len(entry.options)]
    if len(letters) < 2 or len(entry.options) > len(LETTERS):
        raise QuestionsError(f"a choice needs 2 to {len(LETTERS)} options")
    if entry.options.count(entry.text) == 1:
        return letters[entry.options.index(entry.text)]
    if len(entry.text) == 1 and entry.text in letters:
        return entry.text
    raise QuestionsError(f"the answer must be the letter or the text of one option, not {entry.text!r}")


def _checker(task: TaskSpec, entry: QuestionSpec, folder: Path) -> Checker:
    if isinstance(entry.answer, bool):
        raise QuestionsError('YAML reads this answer as true or false: put it in quotes, "yes"')
    kind = entry.checker or task.checker or CheckerSpec(type="choice" if entry.options else "exact")
    if kind.type == "choice":
        return ChoiceChecker()
    if kind.type == "function":
        fields = entry.model_dump(exclude={"checker"})
        return FunctionChecker(_locate(kind.function, folder), kind.function, fields)
    if kind.type == "judge":
        if not kind.model or not kind.rubric:
            raise QuestionsError("a judge needs 'model' and 'rubric'")
        key = os.environ.get(kind.api_key_env) if kind.api_key_env else None
        return JudgeChecker(subject_named(kind.model, kind.api_base, api_key=key, max_tokens=1024), kind.rubric)
    if kind.type == "regex":
        return RegexChecker(_pattern(kind.pattern or entry.text), kind.whole)
    if entry.answer is None:
        raise QuestionsError("'answer' is missing")
    if kind.type == "exact":
        accepted = entry.answer if isinstance(entry.answer, list) else [entry.text]
        return ExactChecker(tuple(accepted), kind.case_sensitive)
    try:
        return NumericChecker(float(entry.text), kind.absolute, kind.relative)
    except ValueError:
        raise QuestionsError(f"the answer must be a number, not {entry.answer!r}") from None


def _pattern(text: str) -> re.Pattern[str]:
    if not text:
        raise QuestionsError("a regex needs 'pattern'")
    try:
        return re.compile(text)
    except re.error as error:
        raise QuestionsError(f"{text!r} is not a regular expression: {error}") from error


def _locate(path: str, folder: Path) -> Callable[[], Grade]:
    """Find the function ``"package.module:function"`` without importing anything; return what imports it.

    A suite may come from somebody else, so reading it runs none of its code. What it names must lie in its own folder,
    in an installed package, or in a folder of ``$PYTHONPATH``; the standard library offers nothing that grades.
    """
    module, _, name = path.partition(":")
    parts = module.split(".")
    if not module or not name or not all(part.isidentifier() for part in [*parts, name]):
        raise QuestionsError(f"function {path!r}: write package.module:function")
    installed = sysconfig.get_paths()
    places: list[str | Path] = [folder, installed["purelib"], installed["platlib"], *site.getsitepackages()]
    places += [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    home = next((place for place in map(Path, places) if _file(place, parts) is not None), None)
    if parts[0] in sys.stdlib_module_names or home is None:
        raise QuestionsError(
            f"function {path!r}: there is no module {module} beside the suite, in an installed package or in a folder "
            "on PYTHONPATH; the standard library is not searched"
        )

    @cache
    def load() -> Grade:
        try:
            found = getattr(_imported(home, parts, inside=home == folder), name)
        except (Exception, SystemExit) as error:
            raise QuestionsError(f"function {path!r} cannot be imported ({type(error).__name__}: {error})") from error
        if not callable(found):
            raise QuestionsError(f"{path} is not a function")
        return found  # type: ignore[no-any-return]

    return load


def _imported(home: Path, parts: list[str], inside: bool) -> ModuleType:
    """Import a module and its packages from ``home``, whatever else has their names; checked before any of it runs.

    With ``inside``, links that lead out of ``home`` are refused.
    """
    for depth, part in enumerate(parts):
        name = ".".join(parts[: depth + 1])
        spec = PathFinder.find_spec(name, [str(home.joinpath(*parts[:depth]))])
        if spec is None:
            raise ImportError(f"there is no module {name} in {home}")
        if inside and spec.origin and not Path(spec.origin).resolve().is_relative_to(home.resolve()):
            raise ImportError(f"{spec.origin} is a link that leads out of the suite's folder")
        if name in sys.modules:
            if getattr(sys.modules[name].__spec__, "origin", None) != spec.origin:
                raise ImportError(f"another module of the name {name} is imported already")
            continue
        module = sys.modules[name] = module_from_spec(spec)
        try:
            if spec.loader is not None:
                spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        if depth:
            setattr(sys.modules[".".join(parts[:depth])], part, module)
    return sys.modules[".".join(parts)]


def _file(place: Path, parts: list[str]) -> Path | None:
    """Return the file of a module in a folder of modules."""
    base = place.joinpath(*parts)
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)
