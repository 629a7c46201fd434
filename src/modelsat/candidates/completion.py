"""Expected completion length: how many tokens a model is likely to answer a prompt with.

Costs are known only after the call; before it, they are expected costs. The length of an answer depends most on what
is asked: a length that the prompt names, or else a table of mean lengths by kind of answer, times a factor for each
model that is known to be terse or wordy. Both were fitted to published mean answer lengths by
``recipes/fit_completion.py``, which prints the error. Where nothing is known of a model, its factor is 1; hidden
reasoning, small talk, facts and calls of tools, of which nothing was published, are assumptions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal, Protocol

from modelsat.candidates.candidate import Candidate
from modelsat.candidates.wishes import wished_tokens
from modelsat.capability.naming import forms

AnswerKind = Literal["arithmetic", "mathematics", "choice", "code reading", "fact", "courtesy", "call", "open"]
"""What an answer looks like: a sum, a derivation, an option with its reasons, the output of a program, a fact, small
talk, a call of a tool, or free text."""

ASSUMED_TOKENS: Mapping[AnswerKind, float] = {"fact": 60.0, "courtesy": 25.0, "call": 100.0}
"""Kinds of which nothing was published: a sentence or two, a line, and a name with a few arguments."""

CHARACTERS_PER_TOKEN = 4.0
"""Of answers; the published lengths are in characters."""
REASONING_TOKENS = 1500.0
"""Assumed for the hidden reasoning of models that always reason: providers bill it, and no log at hand shows it."""
REASONING_BY_EFFORT: Mapping[str, float] = {
    "none": 0.0,
    "minimal": 0.25,
    "low": 0.5,
    "medium": 1.0,
    "high": 2.0,
    "xhigh": 4.0,
    "max": 8.0,
}
"""Hidden reasoning by effort, in units of :data:`REASONING_TOKENS`: an assumption as well, that a step doubles it, as
LiteLLM's thinking budgets for low, medium and high do."""

_WINDOW = 1500
"""Characters looked at, at either end of the prompt: the time of a decision must not grow with it."""
_OPTION_A = re.compile(r"^[ \t]*\(?A[ \t]?[).:][ \t]", re.MULTILINE | re.IGNORECASE)
_OPTION_B = re.compile(r"^[ \t]*\(?B[ \t]?[).:][ \t]", re.MULTILINE | re.IGNORECASE)
_OUTPUT_OF_CODE = re.compile(
    r"==\s?\?\?|output (?:when|of)[^.\n]{0,60}(?:code|execut|program|function|snippet)", re.IGNORECASE
)
_CODE = re.compile(r"^[ \t]*(?:def |class |function |return |print\()", re.MULTILINE)
_NOTATION = re.compile(
    r"\$[^$\n]{0,120}[\\^=_][^$\n]{0,120}\$|\$[^$\s]{0,30}[a-zA-Z][^$\s]{0,30}\$|\\(?:frac|sqrt|sum|int|begin|cdot|le|ge)\b"
    r"|\b[a-z]\^\{?\d",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"\bhow (?:many|much|old|long|far|tall|fast)\b"
    r"|\bwhat is the (?:total|average|probability|sum|difference|percentage)"
    r"|\b(?:calculate|compute|what percent(?:age)?)\b",
    re.IGNORECASE,
)
_AMOUNT_WORDS = ("how ", "what is the", "what percent", "calculate", "compute")
"""One of these stands in whatever :data:`_AMOUNT` finds."""
_NUMBER = re.compile(r"\d")
_SHORT = 120
"""Characters of a prompt that may be small talk or ask for a fact alone."""
_COURTESY = re.compile(
    r"\W*(?:hi|hello|hey|hallo|good (?:morning|afternoon|evening|night)|guten (?:morgen|tag|abend)|bonjour|salut|hola"
    r"|ciao|ol[áa]|thanks?|thank you|danke|merci|gracias|obrigad[oa]|grazie|bye|great|perfect|awesome|ok(?:ay)?"
    r"|你好|谢谢|こんにちは|ありがとう|안녕|감사)(?:[^?\w]+\w+){0,4}\W*$",
    re.IGNORECASE,
)
_FACT = re.compile(
    r"\s*(?:(?:in|on|at|of|to) )?(?:who|what|when|where|which|is|are|was|were|does|did|wer|wann|wo|qui|quel(?:le)?"
    r"|quand|où|quién|cu[áa]l|cu[áa]ndo|d[óo]nde|quem|qual|quando|onde|chi|dove)\b[^\n?]*\?\s*$",
    re.IGNORECASE,
)
_WANTS_MORE = re.compile(
    r"\b(?:why|how|explain|differences?|compare|best|should|would|could|ways?|steps?|pros|examples?|ideas?|happens?|mean|list"
    r"|all|wrong)\b",
    re.IGNORECASE,
)
_ALWAYS_REASONS = re.compile(
    r"(?:^|[/.-])(?:o[134](?:-|$)|gpt-(?:[5-9]|oss)(?!.*chat)|qwq|gemini-(?:2[.-]5-pro|[3-9](?!.*lite))"
    r"|grok-4(?!.*non-reasoning)|kimi-k[3-9]|minimax-m[2-9])"
    r"|deepseek-r1|reasoner|(?<!non-)thinking|magistral",
    re.IGNORECASE,
)
"""Models that reason before they answer where a request says nothing of effort."""


def answer_kind(text: str, *, tools: bool = False) -> AnswerKind:
    """What kind of answer a prompt asks for, by its form; ``open`` where none of the others is recognised.

    Args:
        text: The instruction; its first and last 1,500 characters are looked at.
        tools: Whether the request carries tools: then all but small talk is answered by a call.
    """
    if tools:
        return "courtesy" if len(text) <= _SHORT and _COURTESY.match(text) else "call"
    text = _ends(text)
    lower = text.lower()  # what a pattern cannot do without is looked for first: it costs a tenth of the search
    if ("==" in text or "output" in lower) and _OUTPUT_OF_CODE.search(text) and _CODE.search(text):
        return "code reading"
    if "\n" in text and _OPTION_A.search(text) and _OPTION_B.search(text):
        return "choice"
    if any(mark in text for mark in "$\\^") and "prove" not in lower and _NOTATION.search(text):
        return "mathematics"
    if len(text) < _WINDOW and _asks_an_amount(text, lower):
        return "arithmetic"
    if len(text) <= _SHORT:
        if _COURTESY.match(text):
            return "courtesy"
        if _FACT.match(text) and not _WANTS_MORE.search(text):
            return "fact"
    return "open"


def wished(text: str) -> float | None:
    """Tokens of the answer that a prompt asks for in words, ``None`` where it names no length."""
    text = _ends(text)
    return wished_tokens(text, text.lower())


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _WINDOW else f"{text[:_WINDOW]}\n{text[-_WINDOW:]}"


def _asks_an_amount(text: str, lower: str) -> bool:
    likely = any(word in lower for word in _AMOUNT_WORDS)
    return likely and _AMOUNT.search(text) is not None and len(_NUMBER.findall(text)) > 1


class CompletionModel(Protocol):
    """Expects the number of completion tokens. Thread-safe."""

    def expect(self, instruction: str, candidates: Sequence[Candidate]) -> Sequence[float]:
        """Expected completion tokens of every candidate's answer to ``instruction``, in order."""
        ...

    def visible(self, instruction: str, candidates: Sequence[Candidate]) -> Sequence[float]:
        """Those of :meth:`expect` without hidden reasoning."""
        ...


class ConstantCompletion:
    """The same number for every prompt and candidate.

    Args:
        tokens: That number.
    """

    def __init__(self, tokens: float = 300.0) -> None:
        self.tokens = tokens

    def expect(self, instruction: str, candidates: Sequence[Candidate]) -> Sequence[float]:
        """:attr:`tokens` for every candidate."""
        return [self.tokens] * len(candidates)

    def visible(self, instruction: str, candidates: Sequence[Candidate]) -> Sequence[float]:
        """:attr:`tokens` for every candidate."""
        return self.expect(instruction, candidates)


@dataclass(frozen=True)
class CompletionLengths:
    """Mean lengths of answers: the completion model that a router uses.

    Attributes:
        kinds: Tokens by kind of answer, for a model of average wordiness.
        exam: Factor by model (in its canonical form) for answers that are checked: all kinds but ``open``.
        open: Factor by model for free text, with which the other hardly goes together.
        measured: Mean tokens by model as logged by the user; they come before everything else.
    """

    kinds: Mapping[str, float]
    exam: Mapping[str, float]
    open: Mapping[str, float]
    measured: Mapping[str, float]

    @classmethod
    def default(cls, measured: Mapping[str, float] | None = None) -> CompletionLengths:
        """The shipped figures.

        Args:
            measured: Mean completion tokens by the candidate's name, where the user's logs know them.
        """
        kinds, exam, free = _shipped()
        return cls(kinds, exam, free, dict(measured or {}))

    def expect(self, instruction: str, candidates: Sequence[Candidate]) -> Sequence[float]:
        """Expected completion tokens of every candidate's answer to ``instruction``, in order."""
        return self.of_kind(answer_kind(instruction), candidates, wished=wished(instruction))

    def visible(self, instruction: str, candidates: Sequence[Candidate]) -> Sequence[float]:
        """Those of :meth:`expect` without hidden reasoning; what the user's logs know counts whole."""
        return self.of_kind(answer_kind(instruction), candidates, reasoning=False, wished=wished(instruction))

    def of_kind(
        self,
        kind: AnswerKind,
        candidates: Sequence[Candidate],
        *,
        reasoning: bool = True,
        wished: float | None = None,
    ) -> list[float]:
        """:meth:`expect` for a kind of answer, or the length that is wished; without ``reasoning``, :meth:`visible`."""
        return [
            self.tokens(c.name, kind, model=c.profile.model, effort=c.effort if reasoning else "none", wished=wished)
            for c in candidates
        ]

    def tokens(
        self, name: str, kind: AnswerKind, *, model: str | None = None, effort: str = "", wished: float | None = None
    ) -> float:
        """Expected completion tokens, those of hidden reasoning included; a look-up of about a microsecond.

        Args:
            name: The candidate's name.
            kind: From :func:`answer_kind`.
            model: The model behind the candidate, where its name is not the model's.
            effort: The reasoning effort that it is asked for.
            wished: From :func:`wished`: takes the place of the kind.
        """
        if (logged := self.measured.get(name)) is not None:
            return logged
        key, reasons = _known_as(model or name)
        if wished is None:
            wished = self.kinds[kind] * (self.open if kind == "open" else self.exam).get(key, 1.0)
        return wished + REASONING_TOKENS * (REASONING_BY_EFFORT.get(effort, 0.0) if effort else reasons)


def default_completion() -> CompletionLengths:
    """The model of completion lengths that a router uses."""
    return CompletionLengths.default()


@lru_cache(maxsize=1)
def _shipped() -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    text = resources.files("modelsat.candidates").joinpath("data/completion.json").read_text("utf-8")
    data = json.loads(text)
    return {**ASSUMED_TOKENS, **data["tokens"]}, data["factors"]["exam"], data["factors"]["open"]


@lru_cache(maxsize=4096)
def _known_as(model: str) -> tuple[str, bool]:
    """The canonical form of a name, and whether the model always reasons before it answers."""
    return forms(model)[3], _ALWAYS_REASONS.search(model) is not None
