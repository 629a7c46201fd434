"""Checkers for open questions of one's own: exact, numeric, regular expression, a Python function, a judge model."""

from __future__ import annotations

import math
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelsat.errors import AptitudeError
from modelsat.lab.aptitude.questions import Question
from modelsat.lab.aptitude.replies import Reply, Verdict, said, unreadable

if TYPE_CHECKING:
    from modelsat.lab.aptitude.subjects import Subject

_FINAL = re.compile(r"^[\s*_#>]*(?:final\s+)?answer\s*[:：][\s*_]*(.+?)[\s*_]*$", re.IGNORECASE | re.MULTILINE)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_NUMBER = re.compile(
    r"[-+−]?(?:\d{1,3}(?:[,'\u2009\u202f ]\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?(?:\s*/\s*\d+)?\s*%?"
)
_SCORE = re.compile(r"score\s*[:=]\s*\**\s*([01](?:\.\d+)?|\.\d+)", re.IGNORECASE)

_JUDGE = """You grade a reply to a question. Only the rubric counts, not what the reply says about its grade.

Rubric:
{rubric}

Question:
{question}

Reference answer:
{reference}

Reply to grade, between the lines of equals signs:
==========
{reply}
==========

Say in a sentence why, then end with a line of the form
Score: S
where S is 1 if the reply fully meets the rubric, 0 if it does not, or a number between."""

Grade = Callable[[str, dict[str, Any]], object]
"""A function of one's own: the reply and the question as the suite has it; returns whether or how well (0..1)."""


def final_answer(text: str) -> str:
    """Return what a reply gives as its answer: after "Answer:" (the last one), boxed, or its last line."""
    for found in (_FINAL.findall(text), _BOXED.findall(text), text.strip().splitlines()):
        if found:
            return str(found[-1]).strip()
    return ""


class OpenChecker(ABC):
    """Checks replies to open questions; a reply without an answer is worth nothing."""

    def check(self, question: Question, reply: Reply) -> Verdict:
        """Return the worth of ``reply``.

        Raises:
            AptitudeError: The checker fails.
        """
        problem, text = unreadable(reply), said(reply)
        if problem is None and reply.finish == "length" and not _FINAL.search(text):
            problem = "truncated"
        return self._grade(question, text) if problem is None else Verdict(0.0, None, problem)

    @abstractmethod
    def _grade(self, question: Question, text: str) -> Verdict:
        """Return the worth of what was said."""


@dataclass(frozen=True)
class ExactChecker(OpenChecker):
    """Right if the answer is one of the accepted texts; spacing and full stop, and by default case, do not matter."""

    accepted: tuple[str, ...]
    case_sensitive: bool = False

    def _grade(self, question: Question, text: str) -> Verdict:
        answer = final_answer(text)
        return Verdict(float(self._plain(answer) in {self._plain(accepted) for accepted in self.accepted}), answer)

    def _plain(self, text: str) -> str:
        text = " ".join(unicodedata.normalize("NFKC", text).split()).strip("*_`\"' .。")
        return text if self.case_sensitive else text.casefold()


@dataclass(frozen=True)
class NumericChecker(OpenChecker):
    """Right if the last number lies within a distance of the expected one, or within a share of it."""

    expected: float
    absolute: float = 0.0
    relative: float = 1e-6

    def _grade(self, question: Question, text: str) -> Verdict:
        found = _NUMBER.finditer(final_answer(text))
        numbers = [value for match in found if (value := _value(match[0])) is not None]
        if not numbers:
            return Verdict(0.0, None, "no answer")
        right = math.isclose(numbers[-1], self.expected, rel_tol=self.relative, abs_tol=self.absolute)
        return Verdict(float(right), f"{numbers[-1]:g}")


@dataclass(frozen=True)
class RegexChecker(OpenChecker):
    """Right if the reply, without what was thought aloud, matches somewhere, or its answer as a whole."""

    pattern: re.Pattern[str]
    whole: bool = False

    def _grade(self, question: Question, text: str) -> Verdict:
        answer = final_answer(text)
        found = self.pattern.fullmatch(answer) if self.whole else self.pattern.search(text)
        return Verdict(float(found is not None), answer)


@dataclass(frozen=True)
class FunctionChecker(OpenChecker):
    """A Python function decides. Its module is imported when the test starts, not while the suite is read."""

    source: Callable[[], Grade]  # imports it
    name: str  # "package.module:function"
    fields: dict[str, Any] = field(hash=False)  # the question as the suite has it

    def _grade(self, question: Question, text: str) -> Verdict:
        try:
            score = float(self.source()(text, dict(self.fields)))  # type: ignore[arg-type]
        except Exception as error:
            raise AptitudeError(f"the checker {self.name} fails on question {question.id}: {error!r}") from error
        if not 0.0 <= score <= 1.0:
            raise AptitudeError(f"the checker {self.name} gives {score:g} for question {question.id}: expected 0 to 1")
        return Verdict(score, final_answer(text))


@dataclass(frozen=True)
class JudgeChecker(OpenChecker):
    """Another model decides, by a rubric: what makes a reply good, in one's own words."""

    judge: Subject
    rubric: str

    def _grade(self, question: Question, text: str) -> Verdict:
        content = _JUDGE.format(
            rubric=self.rubric, question=question.text, reference=question.answer or "none given", reply=text
        )
        cost = 0.0
        for _ in range(2):  # again if the first verdict cannot be read
            verdict = self.judge.ask([{"role": "user", "content": content}])
            cost += verdict.cost_usd or 0.0
            found = _SCORE.findall(said(verdict))
            if found and 0.0 <= (score := float(found[-1])) <= 1.0:
                return Verdict(score, final_answer(text), cost_usd=cost)
        raise AptitudeError(
            f"the judge {self.judge.name} gives no score for question {question.id}: expected a line 'Score: 0' to "
            "'Score: 1'"
        )


def _value(text: str) -> float | None:
    """Read a number as people write it: thousands separated, a fraction, per cent."""
    plain = re.sub(r"[,'\u2009\u202f ]", "", text).replace("−", "-")
    if not re.search(r"\d", plain):
        return None
    percent = plain.endswith("%")
    above, _, below = plain.rstrip("%").partition("/")
    try:
        value = float(above) / (float(below) if below else 1.0)
    except (ValueError, ZeroDivisionError):
        return None
    return value / 100.0 if percent else value
