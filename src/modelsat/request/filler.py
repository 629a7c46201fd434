"""Text that says nothing of what is asked: control tokens of chat templates, words and marks repeated over and over."""

from __future__ import annotations

import re

LONGEST = 4_000
"""Longer texts stay as they are: a few idle words do not move them."""

_CONTROL = re.compile(r"<\|\w{1,24}\|>|\[/?(?:INST|CLS|SEP|PAD|UNK|MASK|BOS|EOS)\]")
_SHOUTED = re.compile(r"([!?])[!?]{3,}")
_REPEATED = re.compile(r"(?<!\S)(\S{1,40})(?:\s+\1){3,}(?!\S)", re.IGNORECASE)


def without_filler(text: str) -> str:
    """``text`` without control tokens, and with a word or mark that stands four times or more in a row kept once.

    Such text moves a score and not the task, by accident or on purpose. Numbers and signs are left alone: in a table or
    a grid they count. A text that is nothing else stays as it is.
    """
    if len(text) > LONGEST:
        return text
    kept = _CONTROL.sub(" ", text) if "<|" in text or "[" in text else text
    if "!!" in kept or "??" in kept:
        kept = _SHOUTED.sub(r"\1", kept)
    words = kept.lower().split()
    if any(a == b == c == d for a, b, c, d in zip(words, words[1:], words[2:], words[3:], strict=False)):
        kept = _REPEATED.sub(_once, kept)
    return kept if kept.strip() else text


def _once(run: re.Match[str]) -> str:
    return run[1] if any(map(str.isalpha, run[1])) else run[0]
