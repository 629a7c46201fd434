"""Text of others in messages and log lines: one line, of bounded length, that can always be printed."""

from __future__ import annotations

import re

__all__ = ["one_line", "text_of"]

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str, longest: int = 500) -> str:
    """``text`` without line breaks, control characters and unpaired surrogates, cut to ``longest`` characters.

    Whoever chose the text can neither forge a second log line with it nor break the encoding of an answer.
    """
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), cut)


def text_of(error: BaseException) -> str:
    """The message of ``error``; what it is, where asking for the message raises."""
    try:
        return str(error)
    except Exception:
        return f"a {type(error).__name__} whose message cannot be read"
