"""A question about a pasted document: which part of a turn is the question."""

from __future__ import annotations

import re

SHORTEST = 4_000
"""A turn of fewer characters is scored whole."""
LONGEST_QUESTION = 400
"""Characters of a paragraph that may be the question."""

_ASKS = re.compile(
    r"\A(?:please |can you |could you |help me )*(?:summari[sz]e|sum up|tl;?dr|who|what|when|where|which|why|how|is|are"
    r"|does|do|did|was|were|list|extract|find|name|tell|give|explain|describe|identify|answer|read|translate|rewrite|shorten"
    r"|proofread|review|compare|write|create|draft|here (?:is|are)|below is|based on|according to|from)\b",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\b(?:this|these|th(?:at|ose)|following|above|below|attached|the|my|our)\s+(?:\S+\s+){0,3}?(?:texts?|documents?|articles?"
    r"|papers?|contracts?|reports?|e-?mails?|letters?|transcripts?|passages?|chapters?|stor(?:y|ies)|pages?|polic(?:y|ies)"
    r"|agreements?|minutes|notes|abstracts?|reviews?|essays?|posts?|novels?|books?|speech(?:es)?|interviews?|excerpts?"
    r"|meetings?|calls?|messages?|chats?|threads?|author|terms)\b|\A\W*(?:summari[sz]e|tl;?dr|sum up)\b",
    re.IGNORECASE,
)
_NOT_PROSE = re.compile(r"```|\$\$|\\begin\{|^\s*\(?[A-Ja-j1-9][.):]\s.*\n\s*\(?[A-Ja-j1-9][.):]\s", re.MULTILINE)
_PARAGRAPHS = re.compile(r"\n\s*\n")
_PROSE = 0.9


def split_document(text: str) -> tuple[str, str] | None:
    """The question and the document of a turn that is one about the other; ``None`` for any other turn.

    The question is the first or the last paragraph, or both: short, asking, and about a text. What is left is prose:
    the difficulty of code, mathematics and questions with options lies in themselves.
    """
    if len(text) < SHORTEST:
        return None
    near_end = max(0, len(text.rstrip()) - 2 * LONGEST_QUESTION)
    first, last = _PARAGRAPHS.search(text), next(reversed([*_PARAGRAPHS.finditer(text, near_end)]), None)
    start = first.end() if first is not None and _is_question(text[: first.start()]) else 0
    end = last.start() if last is not None and last.start() > start and _is_question(text[last.end() :]) else len(text)
    document = text[start:end]
    question = "\n\n".join(filter(None, (text[:start].strip(), text[end:].strip())))
    if not question or not _ABOUT.search(question) or len(document) < SHORTEST // 2 or not _is_prose(document):
        return None
    return question, document


def _is_question(paragraph: str) -> bool:
    stripped = paragraph.strip()
    return 0 < len(stripped) <= LONGEST_QUESTION and (stripped.endswith("?") or _ASKS.match(stripped) is not None)


def _is_prose(text: str) -> bool:
    words = sum(character.isalpha() or character.isspace() or character in ".,;'’\"-" for character in text)
    return words >= _PROSE * len(text) and not _NOT_PROSE.search(text)
