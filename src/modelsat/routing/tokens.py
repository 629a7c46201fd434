"""Prompt tokens without a tokenizer: a stated estimate that costs next to nothing.

Text counts a quarter of a token a character, and three tenths more for each byte that UTF-8 needs beyond one a
character: about .85 tokens for a Chinese character, .55 for a Cyrillic letter. Attachments count
:data:`ATTACHMENT_TOKENS` each, whatever their bytes; a message's framing counts :data:`TURN_TOKENS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

CHARACTERS_PER_TOKEN = 4.0
TOKENS_PER_FURTHER_BYTE = 0.3
TURN_TOKENS = 4
"""Tokens of the framing of one message."""
ATTACHMENT_TOKENS: Mapping[str, int] = {"image": 1_000, "audio": 1_000, "pdf": 3_000, "file": 3_000, "video": 10_000}
"""Tokens assumed for a part that is not text; an image is between 85 and 1,600 with the usual providers."""
_DEFINITION_CHARACTERS = 800
"""Assumed for a tool or schema whose size cannot be told without work, e.g. a Python function."""


def estimate_tokens(text: str) -> int:
    """About as many tokens as a current tokenizer makes of ``text``; 0 for none."""
    characters = len(text)
    if text.isascii():
        return (characters + 3) // 4
    further = len(text.encode("utf-8", "surrogatepass")) - characters
    return int(characters / CHARACTERS_PER_TOKEN + TOKENS_PER_FURTHER_BYTE * further) + 1


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
