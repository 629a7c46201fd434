"""Expected completion length: how many tokens a model is likely to answer a prompt with.

Costs are known only after the call; before it, they are expected costs. The length of an answer depends most on what
is asked: a length that the prompt names, or else a table of mean lengths by kind of answer, times a factor for each
model that is known to be terse or wordy. Both were fitted to published mean answer lengths by
``recipes/fit_completion.py``, which prints the error. Where nothing is known of a model, its factor is 1; hidden
reasoning, small talk, facts and calls of tools, of which nothing was published, are assumptions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

from modelsat._files import shipped_json
from modelsat.candidates.candidate import Candidate
from modelsat.capability.naming import forms

AnswerKind = Literal["arithmetic", "mathematics", "choice", "code reading", "fact", "courtesy", "call", "open"]
"""What an answer looks like: a sum, a derivation, an option with its reasons, the output of a program, a fact, small
talk, a call of a tool, or free text."""

ASSUMED_TOKENS: Mapping[AnswerKind, float] = {"fact": 60.0, "courtesy": 25.0, "call": 100.0}
"""Kinds of which nothing was published: a sentence or two, a line, and a name with a few arguments."""

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
_TOKENS_OF = {"word": 1.4, "sentence": 30.0, "bullet": 25.0, "paragraph": 120.0, "page": 650.0, "sign": 0.7}
"""Tokens of a unit: rules of thumb of English, and of signs in Chinese, Japanese and Korean."""
_UNITS = {
    "word": r"words?|w[öo]rtern?|wort|mots?|palabras?|palavras?|parol[ae]",
    "sentence": r"sentences?|s[äa]tzen?|satz|phrases?|frases?|frasi",
    "bullet": r"bullets?(?: points?)?|stichpunkten?",
    "paragraph": r"paragraphs?|abs[äa]tzen?|absatz|paragraphes?|p[áa]rrafos?|par[áa]grafos?|paragrafi",
    "page": r"pages?|seiten?|p[áa]ginas?|pagine",
}
_NUMBERS = {
    **dict.fromkeys(["one", "single", "einem", "einer", "un", "une", "una", "uno", "um", "uma"], 1),
    **dict.fromkeys(["two", "zwei", "deux", "dos", "dois", "due"], 2),
    **dict.fromkeys(["three", "drei", "trois", "tres", "três", "tre"], 3),
    **dict.fromkeys(["four", "vier", "quatre"], 4),
    **dict.fromkeys(["five", "fünf", "cinq", "cinco"], 5),
    **{"six": 6, "seven": 7, "eight": 8, "nine": 9},
    **dict.fromkeys(["ten", "zehn", "dix", "diez", "dez"], 10),
}
_LENGTH = re.compile(
    r"\b(?:write|in|with|within|under|about|around|approximately|roughly|exactly|at most|at least"
    r"|(?:less|fewer|more) than|maximum|max|to|an?|of|using|only|into|mit|etwa|genau|h[öo]chstens|en|avec|environ"
    r"|con|com|em|circa)\.?\s"
    r"(?:just |exactly |only |about |a |an )?(?:\d{1,6}\s?(?:-|–|to|bis)\s?)?"
    rf"(\d{{1,3}}(?:[,.]\d{{3}})+|\d{{1,6}}|{'|'.join(_NUMBERS)})[\s-](?:short |single |concise |full )?"
    + "(?:"
    + "|".join(f"(?P<{unit}>{words})" for unit, words in _UNITS.items())
    + r")\b",
    re.IGNORECASE,
)  # fmt: skip
_SIGNS = re.compile(r"(\d{1,6})\s?(?:个?字(?![符段节母])|文字|자(?!리))")
_HINTS = (
    *("word", "sentence", "bullet", "paragraph", "page", "wort", "wört", "satz", "sätze", "absatz"),
    *("seite", "mot", "phrase", "palabra", "palavra", "frase", "párrafo", "página", "parol", "stichpunkt"),
)  # fmt: skip
_LONGEST_WISH = 10_000.0
"""Tokens that nobody asks one answer for: a longer length is that of something else, of a vocabulary, say."""


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
    """Tokens of the answer that a prompt asks for, "in one word", "a 3,000-word chapter"; ``None`` without a length.

    "Answer yes or no" and "with a number" are no such wish: on logged prompts that end so, models reason for 300 to
    1,500 tokens before the verdict.
    """
    text = _ends(text)
    lower = text.lower()
    if any(hint in lower for hint in _HINTS):
        found = [tokens for match in _LENGTH.finditer(text) if (tokens := _tokens(match)) <= _LONGEST_WISH]
        if found:
            return max(found)
    signs = _SIGNS.search(text)
    return None if signs is None or (tokens := int(signs[1]) * _TOKENS_OF["sign"]) > _LONGEST_WISH else tokens


def _tokens(match: re.Match[str]) -> float:
    count = match[1].lower()
    number = _NUMBERS[count] if count in _NUMBERS else int(re.sub("[,.]", "", count))
    return number * _TOKENS_OF[next(unit for unit in _UNITS if match[unit])]


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _WINDOW else f"{text[:_WINDOW]}\n{text[-_WINDOW:]}"


def _asks_an_amount(text: str, lower: str) -> bool:
    likely = any(word in lower for word in _AMOUNT_WORDS)
    return likely and _AMOUNT.search(text) is not None and len(_NUMBER.findall(text)) > 1


def expected_lengths(
    candidates: Sequence[Candidate], kind: AnswerKind, *, reasoning: bool = True, wish: float | None = None
) -> list[float]:
    """:func:`expected_length` of every candidate, in order; without ``reasoning``, those that are visible."""
    return [
        expected_length(c.profile.model, kind, effort=c.effort if reasoning else "none", wish=wish) for c in candidates
    ]


def expected_length(model: str, kind: AnswerKind, *, effort: str = "", wish: float | None = None) -> float:
    """Expected completion tokens, those of hidden reasoning included; a look-up of about a microsecond.

    Args:
        model: Name of the model.
        kind: From :func:`answer_kind`.
        effort: The reasoning effort that it is asked for.
        wish: From :func:`wished`: takes the place of the kind.
    """
    key, reasons = _known_as(model)
    if wish is None:
        shipped = shipped_json("candidates", "completion.json")
        usual: float = shipped["tokens"].get(kind) or ASSUMED_TOKENS[kind]
        wish = usual * shipped["factors"]["open" if kind == "open" else "exam"].get(key, 1.0)
    return wish + REASONING_TOKENS * (REASONING_BY_EFFORT.get(effort, 0.0) if effort else reasons)


@lru_cache(maxsize=4096)
def _known_as(model: str) -> tuple[str, bool]:
    """The canonical form of a name, and whether the model always reasons before it answers."""
    return forms(model)[3], _ALWAYS_REASONS.search(model) is not None
