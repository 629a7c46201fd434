"""The length of an answer that a prompt names itself: "in one word", "a 3,000-word chapter".

"Answer yes or no" and "with a number" are no such wish: on logged prompts that end so, models reason for 300 to 1,500
tokens before the verdict.
"""

from __future__ import annotations

import re

TOKENS_OF = {"word": 1.4, "sentence": 30.0, "bullet": 25.0, "paragraph": 120.0, "page": 650.0, "sign": 0.7}
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
_MOST = 10_000.0
"""Tokens that nobody asks one answer for: a longer length is that of something else, of a vocabulary, say."""


def wished_tokens(text: str, lower: str) -> float | None:
    """Tokens of the answer that the prompt asks for, ``None`` where it names no length.

    Args:
        text: The instruction, or its ends.
        lower: The same in lower case.
    """
    if any(hint in lower for hint in _HINTS):
        found = [tokens for match in _LENGTH.finditer(text) if (tokens := _tokens(match)) <= _MOST]
        if found:
            return max(found)
    signs = _SIGNS.search(text)
    return None if signs is None or (tokens := int(signs[1]) * TOKENS_OF["sign"]) > _MOST else tokens


def _tokens(match: re.Match[str]) -> float:
    count = match[1].lower()
    number = _NUMBERS[count] if count in _NUMBERS else int(re.sub("[,.]", "", count))
    return number * TOKENS_OF[next(unit for unit in _UNITS if match[unit])]
