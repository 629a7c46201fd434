"""What part of a conversation is scored.

The network judges an instruction: it was trained on bare prompts. A conversation is therefore reduced to the
instruction that the next answer has to meet. How is replaceable: an extractor is any function from turns to text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from modelsat.errors import ConfigurationError, InvalidRequestError
from modelsat.request.envelopes import DEFAULT_READER, EnvelopeReader
from modelsat.request.messages import Turn, describe_attachments
from modelsat.request.wording import accepts, is_courtesy, split_document, without_filler

Extractor = Callable[[Sequence[Turn]], str]
"""Chooses the text to score; returns an empty string, or raises InvalidRequestError, if there is none."""

MAXIMUM_CHARACTERS = 16_000
"""Longer texts are cut to their head and tail before they are tokenised."""
SHORT_TURN = 120
"""A user turn of fewer characters ("yes", "continue", "fix it") inherits the need of the conversation before it, unless
it clearly brings its own (:func:`stands_alone`)."""
EARLIER_USER_CHARACTERS = 1_500
"""What is kept of each earlier user turn."""
EARLIER_REPLY_CHARACTERS = 500
"""What is kept of the assistant's latest reply, where no user turn says what is needed."""
UNANSWERED = 80
"""An assistant's turn of fewer characters ("Go on.") between two halves of a user's sentence answers neither."""
FILLER = 20
"""Earlier short turns of no more characters ("go on") are left out of the tail."""
TAIL_CHARACTERS = 4_000
"""What is kept of the conversation before a short turn, in all."""

_OWN_WORDS = 5
_PRONOUN_WORDS = 12
"""In a longer sentence, "it" most likely refers to something within."""
_ASKS = re.compile(
    r"(?:what|who|whose|when|where|which|how|is|are|does|do|if|let|suppose|find|solve|compute|calculate|evaluate|determine"
    r"|simplify|factor|express|prove|define|two|three|an?|in|for|there|each|every|given)\b"
    r"|(?:write|explain|describe|list|name|translate|draft|compose|create)\b(?!.*\b(?:the|my|our)\b)"
    r"|why (?:is|are|do|does|did|was|were) (?!that\b|this\b|it\b)",
    re.IGNORECASE | re.DOTALL,
)
_GIVES = re.compile(r"\$[^$]+\$|\n.*\n.*\n|\d.*\d[^?]*\?\s*$", re.DOTALL)
_POINTS_BACK = re.compile(
    r"\b(?:above|previous|earlier|again|instead|you (?:said|did|do|get|got|wrote|mean|just|sure)|your|what about"
    r"|what if|how about|of the two|the same|step \d|(?:first|second|third|fourth|last|next|final|other) (?:one|step"
    r"|part|answer|line|point|option|approach|method|example|paragraph|section))\b|\b(?:that|this|these|those|them)\s*(?:$|[?.!,;])"
    r"|\b(?:is|are|does|do|was|were|about|of|with|for|how|why|if) (?:that|this|these|those|they)\b",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\b(?:it|its|it's|that's|them|this)\b", re.IGNORECASE)
_ENDINGS = (".", "?", "!", ":", ";", ")", "]", "}", '"', "`", "…", "。", "？", "！")
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def last_user_turn_with_tail(turns: Sequence[Turn]) -> str:
    """The default extractor: the last thing the user said, with the need before it if that is short.

    Turns in which nobody said anything are passed over. A prompt without a history is returned exactly as it is, and
    so are thanks and farewells; of a question about a long pasted document only the question is
    (:func:`~modelsat.request.wording.split_document`). A turn shorter than :data:`SHORT_TURN` characters that does
    not clearly stand alone, or with attachments only, is preceded by the earlier user turns back to the nearest that
    says what is needed, within :data:`TAIL_CHARACTERS`; if none does, by the assistant's latest reply too. Words such
    as "fix this" that nothing came before are preceded by the beginning of what the user points at. A turn that goes on
    in the middle of a sentence is preceded by its beginning. System prompts and tool output are never included. Why so:
    ``docs/conversations.md`` has the measurements.

    Args:
        turns: As :meth:`~modelsat.request.envelopes.EnvelopeReader.turns` returns them.

    Raises:
        InvalidRequestError: There is no user turn, or no user turn holds text.
    """
    if not any(turn.role == "user" for turn in turns):
        raise InvalidRequestError("there is no user message to route on: add a message with the role 'user'")
    for position in reversed(range(len(turns))):
        turn = turns[position]
        if turn.role == "user" and (turn.attachments or turn.text.strip()):
            break
    else:
        return ""
    need = turn.text
    if pasted := split_document(need):
        return _question_about(*pasted)
    text = need.strip()
    if (len(text) >= SHORT_TURN or stands_alone(text)) and not _goes_on(text, turns, position):
        return need
    if _is_small_talk(text, turns, position):
        return need
    tail = _tail(turns, position) or _pointed_at(turn)
    return "\n\n".join([*tail, need] if text else tail) if tail else need


def stands_alone(text: str) -> bool:
    """Whether a short turn clearly brings a need of its own, so that what was said before does not matter.

    A question or a task in English of at least five words, a sum with its numbers, a question with its options, or
    notation, as long as it points back to nothing; everything else is taken to belong to the conversation.
    """
    if len(text) > 4 * SHORT_TURN or text.count(" ") + 1 < _OWN_WORDS or not (_ASKS.match(text) or _GIVES.search(text)):
        return False
    return not (_POINTS_BACK.search(text) or (text.count(" ") < _PRONOUN_WORDS and _PRONOUN.search(text)))


def _is_small_talk(text: str, turns: Sequence[Turn], position: int) -> bool:
    """Whether the turn at ``position`` closes a matter; "yes, thanks" after a question of the assistant accepts it."""
    if not is_courtesy(text):
        return False
    reply = turns[position - 1] if position else None
    asked = reply is not None and reply.role == "assistant" and reply.text.rstrip().endswith("?")
    return not (asked and accepts(text))


def _question_about(question: str, document: str) -> str:
    """A question that says what is asked, or with the beginning of the document one that hardly does."""
    if len(question.split()) >= _OWN_WORDS:
        return question
    return f"{document.strip()[:EARLIER_REPLY_CHARACTERS]}\n\n{question}"


def _pointed_at(turn: Turn) -> list[str]:
    """The beginning of what a few words of ``turn`` are about."""
    if turn.uses_tools or not turn.documents or len(turn.text.split()) >= _OWN_WORDS:
        return []
    return [turn.documents[0][:EARLIER_REPLY_CHARACTERS]]


def _goes_on(text: str, turns: Sequence[Turn], position: int) -> bool:
    """Whether the turn at ``position`` ends a sentence that the user began in the turn before."""
    first = text[:1]
    if not (first.islower() or first.isdigit()):
        return False
    for turn in reversed(turns[max(0, position - 3) : position]):
        before = turn.text.strip()
        if turn.role == "user":
            return bool(before) and not before.endswith(_ENDINGS)
        if len(before) > UNANSWERED:
            return False
    return False


def extract_instruction(
    messages: Any, extractor: Extractor = last_user_turn_with_tail, reader: EnvelopeReader = DEFAULT_READER
) -> tuple[str, tuple[str, ...]]:
    """The text to score, bounded, free of filler and unreadable characters, and notes on what was left out or replaced.

    Args:
        messages: Any shape that :func:`~modelsat.request.messages.parse_messages` accepts.
        extractor: Chooses the part of the conversation.
        reader: Tells what a person wrote from what an agent put around it.

    Raises:
        InvalidRequestError: Unknown shape, no user message, or no text to score.
        ConfigurationError: The extractor returned something other than a string.
    """
    return extract_from_turns(reader.turns(messages), extractor)


def extract_from_turns(
    turns: Sequence[Turn], extractor: Extractor = last_user_turn_with_tail
) -> tuple[str, tuple[str, ...]]:
    """:func:`extract_instruction` of messages that are turns already; raises as it does."""
    text = extractor(turns)
    if not isinstance(text, str):
        raise ConfigurationError(f"the extractor must return a string, not {type(text).__name__}")
    notes = list(describe_attachments(turns))
    if len(text) > MAXIMUM_CHARACTERS and len(text := text.strip()) > MAXIMUM_CHARACTERS:
        notes.append(f"prompt of {len(text):,} characters cut to head and tail ({MAXIMUM_CHARACTERS:,})")
        half = MAXIMUM_CHARACTERS // 2
        text = text[:half] + "\n" + text[1 - half :]
    text, replaced = _UNREADABLE.subn(" ", text)
    if replaced:
        notes.append(f"{replaced} unreadable character{'s' if replaced > 1 else ''} replaced")
    if not text.strip():
        kinds = "; images, audio and files are not scored" if any(turn.attachments for turn in turns) else ""
        raise InvalidRequestError(f"there is no text to score: the user's messages are empty{kinds}")
    return without_filler(text), tuple(notes)


def _tail(turns: Sequence[Turn], position: int) -> list[str]:
    """Texts before the turn at ``position``, oldest first; empty without an earlier user turn."""
    kept: list[str] = []
    reply = ""
    room = TAIL_CHARACTERS
    short = ""
    for turn in reversed(turns[:position]):
        if turn.role == "assistant":
            reply = reply or turn.text.strip()[-EARLIER_REPLY_CHARACTERS:]
            continue
        text = turn.text.strip() if turn.role == "user" else ""
        text = _question_about(*pasted) if (pasted := split_document(text)) else text
        if not text:
            continue
        if len(text) <= FILLER:
            short = text
            continue
        kept.append(text[: min(EARLIER_USER_CHARACTERS, room)])
        room -= len(kept[-1])
        if len(text) >= SHORT_TURN or room <= 0 or stands_alone(text):
            return kept[::-1]
    if not kept and not short:
        return []
    return [*(kept[::-1] or [short]), *([reply] if reply else [])]
