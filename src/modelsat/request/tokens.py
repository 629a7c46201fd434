"""Prompt tokens without a tokenizer: an estimate for each family of tokenizers, linear in what a text is made of.

A text is counted by what tokenizers cut: words and their lengths, those that are rare in English, capitals, runs of
digits, symbols, spaces and line breaks, the characters and words of each script, and, where it is another language in
Latin letters, which letters follow which. ``recipes/fit_tokens.py`` fits one weight for each count and family
to the real tokenizers, and prints the error by language, for code, digits, base64 and schemas of tools
(docs/tokens.md). What is not text is counted in :mod:`modelsat.request.needs`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import accumulate, chain, filterfalse, groupby, islice
from operator import eq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsat._files import shipped_json
from modelsat.capability.naming import canonical

TURN_TOKENS = 4
"""Tokens of the framing of one message."""
ATTACHMENT_TOKENS: Mapping[str, int] = {"image": 1_000, "audio": 1_000, "pdf": 3_000, "file": 3_000, "video": 10_000}
"""Tokens assumed for a part that is not text and of which nothing is known."""
GENERAL = "o200k"
"""The family that stands for a model of which none is known."""
_UNREAD = ('{"type": "object", "description": "..."} ' * 40)[:800]
"""Stands for a tool or schema whose size is not known without work, e.g. a Python function."""
_MOST_CHARACTERS, _LEAST_CHARACTERS = 2_000_000, 8
"""Characters of all definitions that are read; what an entry without text counts."""
_WHOLE = 16_384
"""Characters up to which a text is read whole; of a longer one, as many in eight stretches of it."""
_STRETCHES = 8
_LEAST = 0.125
"""Tokens a character that no text falls below, whatever it repeats: vocabularies hold eight of a kind as one."""

_FAMILIES = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (r"^(?:gpt-4(?:$|-(?:0|1106|turbo|vision))|gpt-3)", "cl100k"),
        (r"^(?:gpt|o[134](?:$|-)|chatgpt|codex)", "o200k"),
        (r"^claude-(?:opus-4-[78]|opus-[5-9]|sonnet-[5-9]|haiku-[5-9]|fable|mythos)", "claude-4.7"),
        (r"^claude", "claude-3"),
        (r"^(?:gemini|gemma-[34])", "gemini"),
        (r"^(?:meta-)?llama-[34]|^deephermes|^cogito", "llama-3"),
        (r"^(?:qwen|qwq|qvq)", "qwen"),
        (r"^deepseek-r1-distill-llama", "llama-3"),
        (r"^deepseek-r1-(?:distill|0528)-qwen", "qwen"),
        (r"^deepseek", "deepseek"),
        (r"^mistral-(?:large-(?:2411|25|3|4)|medium|small|nemo)", "mistral"),
        (r"^(?:ministral|magistral|devstral|pixtral|codestral-25)", "mistral"),
    )
)  # fmt: skip

_SPACE, _BREAK, _LOWER, _UPPER, _DIGIT, _MARK, _SYMBOL, _FORMULA, _ACCENTED = range(9)
SCRIPTS = (
    *("Latin-1", "Latin Extended", "Latin Additional", "Greek", "Cyrillic", "Arabic", "Hebrew", "Devanagari"),
    *("other Indic", "Thai and Lao", "Hangul", "Kana", "Han", "other"),
)
"""Ranges of characters that are counted apart; the first three are letters of Latin words."""
_KINDS = _ACCENTED + len(SCRIPTS)
_OTHER = _KINDS - 1
_STARTS = (
    *((0x80, 8), (0x100, 9), (0x250, 21), (0x370, 11), (0x400, 12), (0x530, 21), (0x590, 14), (0x600, 13), (0x780, 21)),
    *((0x900, 15), (0x980, 16), (0xE00, 17), (0xF00, 21), (0x1100, 18), (0x1200, 21), (0x1E00, 10), (0x1F00, 11)),
    *((0x2000, _SYMBOL), (0x3000, _MARK), (0x3040, 19), (0x3100, 20), (0x3130, 18), (0x3190, 20), (0x31F0, 19)),
    *((0x3200, 20), (0xA000, 21), (0xAC00, 18), (0xD7B0, 21), (0xF900, 20), (0xFB00, 14), (0xFB50, 13)),
    *((0xFE00, _MARK), (0xFE70, 13), (0xFF00, _MARK), (0xFF66, 19), (0xFFA0, 21)),
)
"""First character of each block, and what its characters are."""
_LATIN = [_ACCENTED, _ACCENTED + 1, _ACCENTED + 2]
_WORDS = [_LOWER, _UPPER, *_LATIN]
_SIGNS = [_MARK, _SYMBOL, _FORMULA]
_LETTERS = np.isin(np.arange(_KINDS), _WORDS)
_PASTS = np.array([[2], [4], [6], [8], [11]])
_RARE_PASTS = _PASTS[:4]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ENGLISH = _set("the of and to in is a that for with what are on as which following how be it you from or by not can")
_FOREIGN = _set(
    "de la que el en y les le et des der die und den het een van di che il da e o na w z ve bir yang dan dengan se per"
    " un"
)
"""Words that tell English from other languages in Latin letters, where they have a space on both sides."""
_PLAIN = 1.0
"""Common words that a text without any is taken to hold: short ones in plain letters are mostly English."""
_LETTERS_OF = {"Ukrainian": "іїєґ", "Persian": "پچژگی", "Urdu": "ٹڈڑےہں"}
_REGIMES = ("English", "other Latin", "code")
_ALPHABET = "_abcdefghijklmnopqrstuvwxyzé"
"""What pairs of letters are made of: no letter, the 26, and any other Latin letter."""
_ANY = list(range(_KINDS))


def _all_but(*kinds: int) -> list[int]:
    return [kind for kind in _ANY if kind not in kinds]


_THREES = "threes of digits"
_SUMS: Mapping[str, tuple[list[int], list[int]]] = {
    "capitals in words": ([_LOWER, *_LATIN], [_UPPER]),
    "capitals after capitals": ([_UPPER], [_UPPER]),
    "capitals before small letters": ([_UPPER], [_LOWER]),
    "digits": (_ANY, [_DIGIT]),
    "runs of digits": (_all_but(_DIGIT), [_DIGIT]),
    _THREES: ([_DIGIT], [_DIGIT]),
    "spaces": (_ANY, [_SPACE]),
    "further spaces": ([_SPACE], [_SPACE]),
    "line breaks": (_ANY, [_BREAK]),
    "blank lines": ([_BREAK], [_BREAK]),
    "marks": (_ANY, [_MARK]),
    "symbols": (_ANY, [_SYMBOL]),
    "symbols of formulas": (_ANY, [_FORMULA]),
    "runs of symbols": (_all_but(*_SIGNS), _SIGNS),
    "symbols after words": (_WORDS, _SIGNS),
    "words after symbols": (_SIGNS, _WORDS),
    "digits after letters": (_WORDS, [_DIGIT]),
    "letters after digits": ([_DIGIT], _WORDS),
}
"""What is a sum of pairs of neighbours: kinds of the one before and of the one counted; threes are counted besides."""
_THREES_AT = list(_SUMS).index(_THREES)
FEATURES = (
    *(f"{count}, {kind}" for kind in _REGIMES for count in ("words", *(f"past {past}" for past in _PASTS.flat))),
    *_SUMS,
    *(f"letters of {language}" for language in _LETTERS_OF),
    *(f"{count}, {script}" for script in SCRIPTS for count in ("characters", "words")),
    *("rare words", *(f"past {past}, rare words" for past in _RARE_PASTS.flat)),
    *(f"{before}{after}" for before in _ALPHABET for after in _ALPHABET),
    "all characters",
)  # fmt: skip
"""What is counted in a text, in order; pairs of letters in words of other languages than English alone."""


@lru_cache(maxsize=4_096)
def family_of(model: str) -> str:
    """The family of tokenizers that a model's name belongs to; :data:`GENERAL` where it is not known."""
    name = canonical(model).removeprefix("ft-")
    return next((family for pattern, family in _FAMILIES if pattern.search(name)), GENERAL)


def estimate_tokens(text: str, family: str = GENERAL) -> int:
    """About as many tokens as the tokenizers of ``family`` make of ``text``; 0 for none."""
    return math.ceil(tokens_of(count_features(text))[family]) if text else 0


def tokens_of(counts: NDArray[np.float64]) -> dict[str, float]:
    """Tokens by family, from what :func:`count_features` counted."""
    families, weights = _weights()
    return dict(zip(families, np.maximum(weights @ counts, _LEAST * counts[-1]).tolist(), strict=True))


def data_tokens(characters: int, family: str) -> float:
    """Tokens of JSON of so many characters that was not read: calls of tools and their arguments."""
    rates: Mapping[str, float] = shipped_json("request", "tokens.json")["data"]
    return characters * rates.get(family, rates[GENERAL])


_json = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": "), default=lambda _: None)
_write = _json.encode


def as_json(definition: Any) -> str:
    """A tool or schema as JSON; as many characters as such things have for objects that are not plain data.

    Of definitions that are millions of characters long, however often they name one object, so much is read.
    """
    left = _MOST_CHARACTERS
    waiting = [definition]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, Mapping):
            waiting += entry.values()
            waiting += entry
        elif isinstance(entry, (list, tuple)):
            waiting += entry
        left -= len(entry) if isinstance(entry, str) else _LEAST_CHARACTERS
        if left < 0 or len(waiting) > _MOST_CHARACTERS:
            try:
                return "".join(islice(_json.iterencode(definition), _MOST_CHARACTERS // 8))[:_MOST_CHARACTERS]
            except (TypeError, ValueError, RecursionError):
                return _UNREAD
    return _written(definition)


def _written(definition: Any) -> str:
    if isinstance(definition, (list, tuple)):
        parts: list[str] = []
        size = 0
        for entry in definition:
            parts.append(_written(entry))
            size += len(parts[-1])
            if size > _MOST_CHARACTERS:
                break
        return "\n".join(parts)
    try:
        return _write(definition) if isinstance(definition, Mapping) else _UNREAD
    except (TypeError, ValueError, RecursionError):
        return _UNREAD


def count_features(text: str, common: frozenset[str] | None = None) -> NDArray[np.float64]:
    """Counts of :data:`FEATURES`, shape ``(len(FEATURES),)``; of a long text from stretches of it, scaled.

    ``common`` are the commonest English words; those that the weights were fitted with if not given.
    """
    common = _common() if common is None else common
    if len(text) <= _WHOLE:
        return _count(text, common)
    step, width = len(text) // _STRETCHES, _WHOLE // _STRETCHES
    read = "\n".join(text[start * step : start * step + width] for start in range(_STRETCHES))
    return _count(read, common) * (len(text) / (width * _STRETCHES))


def _count(text: str, common: frozenset[str]) -> NDArray[np.float64]:
    found = np.zeros(len(FEATURES))
    if not text:
        return found
    points = _points(text)
    kinds = _table()[points]
    places, starts = _summed()
    sums = np.add.reduceat(_neighbours(kinds, _KINDS, _BREAK)[places], starts)
    kind = dict(zip(_SUMS, sums.tolist(), strict=False))
    lengths = _runs(_LETTERS[kinds])
    pasts = _pasts(lengths, _PASTS)
    latin = sums[len(_SUMS) : len(_SUMS) + 2 * len(_LATIN) : 2].sum()
    english = _english(text, len(lengths), float(latin))
    dense = (kind["marks"] + kind["symbols"] + kind["symbols of formulas"]) / max(float(lengths.sum()), 1.0)
    code = (1.0 - english) * min(1.0, max(0.0, (dense - 0.06) / 0.14))
    other = 1.0 - english - code
    if kind["digits"]:
        sums[_THREES_AT] = np.ceil(_runs(kinds == _DIGIT) / 3).sum()
    own = [0.0 if text.isascii() else float(sum(map(text.count, letters))) for letters in _LETTERS_OF.values()]
    regimes = [share * past for share in (english, other, code) for past in pasts]
    plain = [*regimes, *sums[: len(_SUMS)].tolist(), *own, *sums[len(_SUMS) :].tolist(), *_rare_words(text, common)]
    found[: len(plain)] = plain
    if other:
        found[len(plain) : -1] = other * _neighbours(_letters()[points], len(_ALPHABET), 0)
        found[len(plain)] = 0.0  # where neither is a letter
    found[-1] = len(kinds)
    return found


@cache
def _summed() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of neighbours that :data:`_SUMS` and counts by script are sums of, one after another; where each begins."""
    rows = list(_SUMS.values())
    for script in range(_ACCENTED, _KINDS):
        rows += [(_ANY, [script]), (_all_but(script), [script])]
    places = [[one * _KINDS + other for one in before for other in after] for before, after in rows]
    return np.array(list(chain(*places))), np.array([0, *accumulate(map(len, places[:-1]))])


_PLAIN_LETTERS = bytes(point if chr(point) in "abcdefghijklmnopqrstuvwxyz" else 0x20 for point in range(256))


def _rare_words(text: str, common: frozenset[str]) -> list[float]:
    """Words that are none of the commonest in English, and their letters past the first ones."""
    plain = text.casefold().encode("ascii", "replace").translate(_PLAIN_LETTERS).decode("ascii")
    rare = filterfalse(common.__contains__, plain.split())
    return _pasts(np.fromiter(map(len, rare), np.int64), _RARE_PASTS)


def _pasts(lengths: NDArray[np.int64], pasts: NDArray[np.int64]) -> list[float]:
    """How many there are, and what each length has past each of ``pasts``, summed."""
    return [float(len(lengths)), *np.maximum(lengths - pasts, 0).sum(axis=1).tolist()]


def _english(text: str, words: int, accented: float) -> float:
    """How far a text is English rather than another language in Latin letters, 0 to 1."""
    if not words:
        return 0.0
    inner = text.split(" ")[1:-1]
    told = _known(inner, _ENGLISH) + _PLAIN
    against = 1.5 * _known(inner, _FOREIGN) + 0.3 * accented + max(0.0, 0.12 * words - told)
    return told / (told + against)


def _known(words: Sequence[str], known: frozenset[str]) -> int:
    """How many of ``words`` are known; of the same one twice in a row, the first."""
    found = sum(map(known.__contains__, words))
    if any(map(eq, words, islice(words, 1, None))):
        for word, run in groupby(words):
            if word in known:
                found -= sum(1 for _ in run) // 2
    return found


def _neighbours(kinds: NDArray[np.unsignedinteger[Any]], size: int, first: int) -> NDArray[np.float64]:
    """How often each kind stands before each, shape ``(size * size,)``; ``first`` stands before the first."""
    before = np.empty(len(kinds), np.uint16)
    before[0], before[1:] = first, kinds[:-1]
    return np.bincount(before * np.uint16(size) + kinds, minlength=size * size).astype(float)


def _points(text: str) -> NDArray[np.unsignedinteger[Any]]:
    """The text's code points, those beyond the first plane as its last."""
    if text.isascii():
        return np.frombuffer(text.encode(), np.uint8)
    return np.minimum(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32), np.uint32(0xFFFF))


def _runs(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Lengths of the stretches that are inside."""
    padded = np.zeros(len(inside) + 2, bool)
    padded[1:-1] = inside
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return edges[1::2] - edges[::2]


@cache
def _table() -> NDArray[np.uint8]:
    table = np.full(0x10000, _OTHER, np.uint8)
    table[:0x80] = _SYMBOL
    for start, kind in _STARTS:
        table[start:] = kind
    for characters, kind in (
        ("\t \xa0\u2009\u3000", _SPACE),
        ("\n\r", _BREAK),
        (".,;:!?'-\"()", _MARK),
        ("\\$^_", _FORMULA),
    ):
        table[list(map(ord, characters))] = kind
    table[ord("0") : ord("9") + 1] = _DIGIT
    table[ord("A") : ord("Z") + 1] = _UPPER
    table[ord("a") : ord("z") + 1] = _LOWER
    return table


@cache
def _letters() -> NDArray[np.uint16]:
    """Position in :data:`_ALPHABET` of every character."""
    kinds = _table()
    letters = np.where(np.isin(kinds, _LATIN), len(_ALPHABET) - 1, 0).astype(np.uint16)
    for position, letter in enumerate(_ALPHABET[1:-1], 1):
        letters[[ord(letter), ord(letter.upper())]] = position
    return letters


@cache
def _weights() -> tuple[tuple[str, ...], NDArray[np.float64]]:
    weights: Mapping[str, list[float]] = shipped_json("request", "tokens.json")["weights"]
    return tuple(weights), np.array(list(weights.values()))


@cache
def _common() -> frozenset[str]:
    return frozenset(shipped_json("request", "tokens.json")["common"].split())
