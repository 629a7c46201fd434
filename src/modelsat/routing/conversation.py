"""What part of a conversation is scored.

The network judges an instruction: it was trained on bare prompts. A conversation is therefore reduced to the
instruction that the next answer has to meet. How is replaceable: an extractor is any function from turns to text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from modelsat.errors import ConfigurationError, InvalidRequestError
from modelsat.routing.messages import Turn, describe_attachments, parse_messages

Extractor = Callable[[Sequence[Turn]], str]
"""Chooses the text to score; returns an empty string, or raises InvalidRequestError, if there is none."""

MAXIMUM_CHARACTERS = 16_000
"""Longer texts are cut to their head and tail before they are tokenised."""
SHORT_TURN = 120
"""A user turn of fewer characters ("yes", "continue", "fix it") inherits the need of the conversation before it."""
EARLIER_USER_CHARACTERS = 1_500
"""What is kept of each earlier user turn."""
EARLIER_REPLY_CHARACTERS = 500
"""What is kept of the assistant's latest reply."""
TAIL_CHARACTERS = 4_000
"""What is kept of the conversation before a short turn, in all."""

ENVELOPES = (
    "system-reminder",
    "system_reminder",
    "tool_result",
    "tool_output",
    "tool_response",
    "function_results",
    "function_response",
    "command-name",
    "command-message",
    "command-args",
    "local-command-stdout",
    "local-command-stderr",
    "bash-stdout",
    "bash-stderr",
    "environment_details",
    "environment_context",
)
"""Tags that agents wrap around text which stands in a user turn but was not said by the user."""

_OPENING = re.compile(r"\s*<({})(?=[\s>])[^<>]{{0,200}}>".format("|".join(map(re.escape, ENVELOPES))))
_CLOSING = re.compile(r"</({})>\s*\Z".format("|".join(map(re.escape, ENVELOPES))))
_LONGEST_CLOSING = max(map(len, ENVELOPES)) + 3
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def last_user_turn_with_tail(turns: Sequence[Turn]) -> str:
    """The default extractor: the last thing the user said, with the conversation before it if that is short.

    Wrappers around what the user did not say (:data:`ENVELOPES`) are taken off; turns that hold nothing else are
    passed over. A prompt without a history is returned exactly as it is. A turn shorter than :data:`SHORT_TURN`
    characters, or with attachments only, is preceded by the earlier user turns back to the nearest that is not short,
    and by the assistant's latest reply, in order, within :data:`TAIL_CHARACTERS`. System prompts and tool output are
    never included.

    Raises:
        InvalidRequestError: There is no user turn, or no user turn holds text.
    """
    if not any(turn.role == "user" for turn in turns):
        raise InvalidRequestError("there is no user message to route on: add a message with the role 'user'")
    said = [(turn, unwrap(turn.text)) for turn in turns]
    position = next(
        (
            i
            for i in range(len(said) - 1, -1, -1)
            if said[i][0].role == "user" and (said[i][1].strip() or said[i][0].attachments)
        ),
        None,
    )
    if position is None:
        return next((turn.text for turn in reversed(turns) if turn.role == "user" and turn.text.strip()), "")
    need = said[position][1]
    if len(need.strip()) >= SHORT_TURN:
        return need
    tail = _tail(said[:position])
    return "\n\n".join([*tail, need] if need.strip() else tail) if tail else need


def unwrap(text: str) -> str:
    """Take recognised wrappers (:data:`ENVELOPES`) off the start and the end of ``text``; linear in its length."""
    start, end = 0, len(text)
    while opening := _OPENING.match(text, start, end):
        closing = f"</{opening[1]}>"
        found = text.find(closing, opening.end(), end)
        if found < 0:
            break
        start = found + len(closing)
    stripped = start > 0
    while closing_tag := _closing_tag(text, start, end):
        name, at = closing_tag
        found = text.rfind(f"<{name}", start, at)
        if found < 0:
            break
        end, stripped = found, True
    return text[start:end].strip() if stripped else text


def extract_instruction(messages: Any, extractor: Extractor = last_user_turn_with_tail) -> tuple[str, tuple[str, ...]]:
    """The text to score, bounded and free of unreadable characters, and notes on what was left out or replaced.

    Args:
        messages: Any shape :func:`~modelsat.routing.messages.parse_messages` accepts.
        extractor: Chooses the part of the conversation.

    Raises:
        InvalidRequestError: Unknown shape, no user message, or no text to score.
        ConfigurationError: The extractor returned something other than a string.
    """
    return extract_from_turns(parse_messages(messages), extractor)


def extract_from_turns(
    turns: Sequence[Turn], extractor: Extractor = last_user_turn_with_tail
) -> tuple[str, tuple[str, ...]]:
    """:func:`extract_instruction` of messages that are turns already; raises as it does."""
    text = extractor(turns)
    if not isinstance(text, str):
        raise ConfigurationError(f"the extractor must return a string, not {type(text).__name__}")
    notes = list(describe_attachments(turns))
    if len(text) > MAXIMUM_CHARACTERS:
        text = _bound(text.strip(), notes)
    text, replaced = _UNREADABLE.subn(" ", text) if _UNREADABLE.search(text) else (text, 0)
    if replaced:
        notes.append(f"{replaced} unreadable character{'s' if replaced > 1 else ''} replaced")
    if not text.strip():
        kinds = "; images, audio and files are not scored" if any(turn.attachments for turn in turns) else ""
        raise InvalidRequestError(f"there is no text to score: the user's messages are empty{kinds}")
    return text, tuple(notes)


def _bound(text: str, notes: list[str]) -> str:
    if len(text) <= MAXIMUM_CHARACTERS:
        return text
    notes.append(f"prompt of {len(text):,} characters cut to head and tail ({MAXIMUM_CHARACTERS:,})")
    half = MAXIMUM_CHARACTERS // 2
    return text[:half] + "\n" + text[1 - half :]


def _tail(said: Sequence[tuple[Turn, str]]) -> list[str]:
    """Texts before a short turn, oldest first; empty without an earlier user turn."""
    kept: list[str] = []
    room = TAIL_CHARACTERS
    reply_seen = user_seen = False
    for turn, text in reversed(said):
        text = text.strip()
        if not text or turn.role not in ("user", "assistant"):
            continue
        if turn.role == "assistant":
            if not reply_seen:
                kept.append(text[-EARLIER_REPLY_CHARACTERS:])
                room -= len(kept[-1])
            reply_seen = True
            continue
        kept.append(text[: min(EARLIER_USER_CHARACTERS, room)])
        room -= len(kept[-1])
        user_seen = True
        if len(text) >= SHORT_TURN or room <= 0:
            break
    return kept[::-1] if user_seen else []


def _closing_tag(text: str, start: int, end: int) -> tuple[str, int] | None:
    """Name and position of a wrapper's closing tag at the end of ``text[start:end]``."""
    tail = text[max(start, end - 4 * _LONGEST_CLOSING) : end]
    match = _CLOSING.search(tail)
    return (match[1], end - len(tail) + match.start()) if match else None
