"""Prompt tokens without a tokenizer: a stated estimate that costs two microseconds a kilobyte.

Text counts .2 tokens a character, and more for what tokenizers cut finely: symbols, digits, line breaks, and each byte
that UTF-8 needs beyond one a character. ``recipes/fit_tokens.py`` fitted the weights to the mean of OpenAI's cl100k and
Claude's tokenizer and prints the error: sums over any of thirteen data sets, code and JSON are within 7 %, single
prompts within about 20 % in four of five cases, Chinese and LaTeX included.
Attachments count :data:`ATTACHMENT_TOKENS` each, whatever their bytes; a message's framing :data:`TURN_TOKENS`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

DATA_CHARACTERS_PER_TOKEN = 3
"""Of JSON: tool calls, their results, definitions and schemas."""
TURN_TOKENS = 4
"""Tokens of the framing of one message."""
ATTACHMENT_TOKENS: Mapping[str, int] = {"image": 1_000, "audio": 1_000, "pdf": 3_000, "file": 3_000, "video": 10_000}
"""Tokens assumed for a part that is not text; an image is between 85 and 1,600 with the usual providers."""
_SYMBOLS = b'\\{}[]()"$_^=+-*/<>|&:,.;'
_DIGITS = b"0123456789"
_DEFINITION_CHARACTERS = 800
"""Assumed for a tool or schema whose size cannot be told without work, e.g. a Python function."""


def estimate_tokens(text: str) -> int:
    """About as many tokens as a current tokenizer makes of ``text``; 0 for none."""
    data = text.encode("utf-8", "surrogatepass")
    words = data.translate(None, _SYMBOLS)
    symbols = len(data) - len(words)
    digits = len(words) - len(words.translate(None, _DIGITS))
    further = len(data) - len(text)
    tokens = 0.2 * len(text) + 0.56 * further + 0.45 * symbols + 0.83 * digits + 0.33 * data.count(b"\n")
    return math.ceil(tokens)


def size_of(definition: Any) -> int:
    """Characters of a tool or schema as JSON; an assumed size for objects that are not plain data."""
    if isinstance(definition, (list, tuple)):
        return sum(map(size_of, definition))
    if isinstance(definition, Mapping):
        try:
            return len(json.dumps(definition, ensure_ascii=False, default=lambda _: None))
        except (TypeError, ValueError, RecursionError):
            return _DEFINITION_CHARACTERS
    return _DEFINITION_CHARACTERS
