"""In which language a text is written: by its script, or by its commonest words; some fifteen languages."""

from __future__ import annotations

import json
import re
from importlib.resources import files

_SCRIPTS = {
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "zh": re.compile(r"[\u4e00-\u9fff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "he": re.compile(r"[\u0590-\u05ff]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
    "el": re.compile(r"[\u0370-\u03ff]"),
    "th": re.compile(r"[\u0e00-\u0e7f]"),
}
_WORDS: dict[str, str] = json.loads(files("modelsat.request").joinpath("data", "languages.json").read_text("utf-8"))
_SETS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")
_LONGEST = 2_000
_SHARE = 0.3
LANGUAGES = (*_WORDS, *_SCRIPTS)
"""Languages that are recognised, by their ISO 639-1 codes."""


def language_of(text: str) -> str:
    """The language of ``text``, one of :data:`LANGUAGES`; empty where it is not known.

    A script decides where three in ten letters are of it; the Latin alphabet by which language's commonest words occur
    most often, at least twice and more often than any other's.
    """
    text = text[:_LONGEST]
    words = _WORD.findall(text.casefold())
    letters = sum(map(len, words))
    for language, script in _SCRIPTS.items():
        found = len(script.findall(text))
        if (found and found >= _SHARE * letters) or (language == "ja" and found >= 3):
            return language
    counts = sorted(((sum(word in known for word in words), name) for name, known in _SETS.items()), reverse=True)
    (most, language), (next_most, _) = counts[0], counts[1]
    return language if most >= 2 and most > next_most else ""
