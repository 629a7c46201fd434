"""What agents and editors put around the user's words, or in their place.

One table says which tags hold the words of a person, and which hold something else. A tag that it does not name is the
user's own XML or HTML and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

from modelsat.errors import ConfigurationError
from modelsat.request.messages import Turn, parse_messages

Holds = Literal["words", "attached", "background"]
"""``"words"``: what a person wrote. ``"attached"``: what a person points at, such as a file or a selection.
``"background"``: what an agent adds by itself, and results of its tools."""

CHECKED: Mapping[str, str] = {"Claude Code": "2.1.332", "Codex": "0.171.0", "Gemini CLI": "0.61.0"}
"""Versions whose released files were searched for many of the table's tags (2026-11-30), not for all. Tags of other
agents are as they are commonly reported; they were not searched for."""

_TAG = re.compile(r"[A-Za-z][\w:.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A tag around text in a user turn.

    Attributes:
        tag: Its name, without angle brackets.
        holds: Whose text is inside, see :data:`Holds`.
        origin: Who writes it.
        sure: Nobody else uses the tag. One that people use in prompts of their own, such as ``task``, counts at the
            start of a turn only, and only where words are left.

    Raises:
        ConfigurationError: ``tag`` is not the name of a tag, or ``holds`` is unknown.
    """

    tag: str
    holds: Holds = "background"
    origin: str = "given"
    sure: bool = True

    def __post_init__(self) -> None:
        """Check what the reader relies on."""
        if not isinstance(self.tag, str) or not _TAG.fullmatch(self.tag):
            raise ConfigurationError(f"envelopes: {self.tag!r} is not the name of a tag, such as 'ide_selection'")
        if self.holds not in get_args(Holds):
            known = ", ".join(get_args(Holds))
            raise ConfigurationError(f"envelopes: {self.tag}: 'holds' is one of {known}, not {self.holds!r}")

    @classmethod
    def of(cls, given: Any) -> Envelope:
        """An envelope from itself, a mapping of its fields, or the name of a tag around what nobody said.

        Raises:
            ConfigurationError: It is none of these.
        """
        if isinstance(given, Envelope):
            return given
        try:
            return cls(**given) if isinstance(given, Mapping) else cls(given)
        except TypeError:
            raise ConfigurationError("envelopes: each has 'tag' and, if need be, 'holds', 'origin', 'sure'") from None


_WRITTEN_BY: tuple[tuple[str, Holds, str], ...] = (
    ("Claude Code", "words", "command-args"),
    ("Claude Code", "attached", "ide_selection"),
    (
        "Claude Code",
        "background",
        "system-reminder command-name command-message bash-input bash-stdout bash-stderr local-command-stdout"
        " local-command-stderr local-command-caveat task-notification ide_opened_file new-diagnostics"
        " user-prompt-submit-hook post-tool-use-hook persisted-output tool_use_error",
    ),
    (
        "Codex",
        "background",
        "environment_context user_instructions INSTRUCTIONS turn_aborted user_shell_command skills_instructions"
        " plugins_instructions apps_instructions subagent_notification recommended_plugins collaboration_mode"
        " personality_spec model_switch",
    ),
    ("Gemini CLI", "background", "session_context hook_context loaded_context"),
    ("Cursor", "words", "user_query"),
    ("Cursor", "attached", "attached_files manually_attached_skills"),
    (
        "Cursor",
        "background",
        "user_info git_status project_layout open_and_recently_viewed_files system_reminder additional_data"
        " rules? timestamp?",
    ),
    ("GitHub Copilot", "words", "userRequest"),
    ("GitHub Copilot", "attached", "attachments"),
    (
        "GitHub Copilot",
        "background",
        "environment_info workspace_info editorContext reminderInstructions repoContext current_datetime context?"
        " reminder?",
    ),
    ("Cline, Roo Code", "words", "user_message task? feedback? answer?"),
    ("Cline, Roo Code", "attached", "file_content folder_content url_content"),
    ("Cline, Roo Code", "background", "environment_details explicit_instructions"),
    ("OpenHands", "background", "uploaded_files RUNTIME_INFORMATION REPOSITORY_INSTRUCTIONS EXTRA_INFO"),
    (
        "agents that send results of tools as text",
        "background",
        "tool_result tool_output tool_response function_results function_response returncode",
    ),
    ("prompts after providers' guides", "attached", "documents? document?"),
)
"""Who writes a tag, what it holds, and the tags: one with a question mark is not sure."""
ENVELOPES: tuple[Envelope, ...] = tuple(
    Envelope(tag.removesuffix("?"), holds, origin, sure=not tag.endswith("?"))
    for origin, holds, tags in _WRITTEN_BY
    for tag in tags.split()
)
"""The table; ``Router(envelopes=...)`` adds to it."""

_NOTE = re.compile(
    r"\s*(?:\[Request interrupted by user(?: for tool use)?\]"
    r"|# AGENTS\.md instructions\b[^\n]*(?=\s*<INSTRUCTIONS>)"
    r"|Caveat: The messages below were generated by the user while running local commands\.[^\n]*)[ \t]*(?:\n|\Z)"
)
"""What agents write by themselves without a tag: Claude Code, Codex."""
_RESULT = re.compile(r"\s*(?:\[\w+(?: for [^\n]{0,500})?\] Result:|OBSERVATION:\s|EXECUTION RESULT of \[)")
"""How results of tools begin that are sent as text: Cline, Roo Code, SWE-agent, OpenHands."""


class Said(NamedTuple):
    """A user turn, taken apart: what a person wrote, what that person points at, and the rest."""

    words: str
    attached: tuple[str, ...] = ()
    background: tuple[str, ...] = ()


class EnvelopeReader:
    """Takes user turns apart, in time linear in their length. Thread-safe.

    Args:
        more: Envelopes besides :data:`ENVELOPES`, as :meth:`Envelope.of` takes them; one with a known tag replaces it.

    Raises:
        ConfigurationError: ``more`` is not a list of envelopes.
    """

    def __init__(self, more: Iterable[Any] = ()) -> None:
        if isinstance(more, (str, bytes, Mapping)) or not isinstance(more, Iterable):
            raise ConfigurationError("envelopes is a list, such as ['ide_selection'] or [{'tag': ..., 'holds': ...}]")
        self.added = tuple(map(Envelope.of, more))
        self._by_tag = {envelope.tag: envelope for envelope in (*ENVELOPES, *self.added)}
        self._closing_length = 4 * (max(map(len, self._by_tag)) + 3)
        self._any = "|".join(map(re.escape, self._by_tag))
        self._sure = "|".join(re.escape(tag) for tag, envelope in self._by_tag.items() if envelope.sure)

    def read(self, text: str) -> Said:
        """Take ``text`` apart; where nothing is around it, it is returned as it is."""
        if "<" not in text and not _NOTE.match(text) and not _RESULT.match(text):
            return Said(text)
        said = self._read(text, _opening(self._any))
        return said if said.words.strip() else self._read(text, _opening(self._sure))

    def turns(self, messages: Any) -> list[Turn]:
        """The turns of ``messages``, their users' reduced to what a person wrote.

        What a person points at is among the turn's ``documents``, the rest is its ``background``. Where nobody said
        anything at all, the turns are left as they are.

        Raises:
            InvalidRequestError: As :func:`~modelsat.request.messages.parse_messages`.
        """
        turns = parse_messages(messages)
        said = [self._turn(turn) if turn.role == "user" else turn for turn in turns]
        if any(turn.role == "user" and (turn.text.strip() or turn.attachments) for turn in said):
            return said
        return turns

    def _turn(self, turn: Turn) -> Turn:
        words, attached, background = self.read(turn.text)
        if words == turn.text:
            return turn
        return replace(turn, text=words, documents=(*turn.documents, *attached), background=background)

    def _read(self, text: str, opening: re.Pattern[str]) -> Said:
        pieces = self._pieces(text, opening)
        if len(pieces) == 1 and not _RESULT.match(text):
            return Said(text)
        marked = any(holds == "words" for holds, _ in pieces)
        sorted_by: dict[Holds, list[str]] = {holds: [] for holds in get_args(Holds)}
        result = False
        for holds, part in pieces:
            if holds is None:
                result = result or _RESULT.match(part) is not None
                holds = "background" if result or (marked and _is_markup(part)) else "words"
            if part.strip():
                sorted_by[holds].append(part.strip())
        attached, background = tuple(sorted_by["attached"]), tuple(sorted_by["background"])
        return Said("\n".join(sorted_by["words"]), attached, background)

    def _pieces(self, text: str, opening: re.Pattern[str]) -> list[tuple[Holds | None, str]]:
        """``text`` in its order: what stands in envelopes, and with ``None`` what stands in none."""
        pieces: list[tuple[Holds | None, str]] = []
        start = 0
        while True:
            if note := _NOTE.match(text, start):
                pieces.append(("background", note[0]))
                start = note.end()
            elif (found := opening.match(text, start)) and (end := text.find(f"</{found[1]}>", found.end())) >= 0:
                pieces.append(self._block(text, found, end))
                start = end + len(found[1]) + 3
            else:
                break
        line = _opening(self._any if _RESULT.match(text, start) else self._sure, line=True)
        unclosed = set[str]()
        at = start
        while found := line.search(text, at):
            at = found.end()
            if found[1] in unclosed:
                continue
            if (end := text.find(f"</{found[1]}>", at)) < 0:
                unclosed.add(found[1])
                continue
            pieces += [(None, text[start : found.start()]), self._block(text, found, end)]
            at = start = end + len(found[1]) + 3
        return [*pieces, *self._from_end(text[start:])]

    def _from_end(self, text: str) -> list[tuple[Holds | None, str]]:
        """``text`` before the envelopes at its end, and these."""
        last: list[tuple[Holds | None, str]] = []
        while closing := _closing(self._sure).search(text, max(0, len(text) - self._closing_length)):
            tag, end = closing[1], closing.start()
            start = text.rfind(f"<{tag}", 0, end)
            found = _opening(self._sure).match(text, start) if start >= 0 else None
            if found is None or found[1] != tag:
                break
            last.append(self._block(text, found, end))
            text = text[:start]
        return [(None, text), *reversed(last)]

    def _block(self, text: str, opening: re.Match[str], end: int) -> tuple[Holds | None, str]:
        holds = self._by_tag[opening[1]].holds
        if holds == "words":
            return holds, text[opening.end() : end]
        return holds, text[opening.start() : end + len(opening[1]) + 3]


# Compiled when a text first has a tag: most have none, and it is a good part of the time that an import takes.
@lru_cache
def _opening(tags: str, *, line: bool = False) -> re.Pattern[str]:
    """One of ``tags`` behind white space, or at the beginning of a line."""
    start = r"^[ \t]*" if line else r"\s*"
    return re.compile(rf"{start}<({tags})(?=[\s>])[^<>]{{0,200}}>", re.MULTILINE)


@lru_cache
def _closing(tags: str) -> re.Pattern[str]:
    return re.compile(rf"</({tags})>\s*\Z")


def _is_markup(text: str) -> bool:
    """Whether ``text`` is nothing but a tag's content, so that somebody's program wrote it."""
    stripped = text.strip()
    return stripped.startswith("<") and stripped.endswith(">")


DEFAULT_READER = EnvelopeReader()
"""Reads the envelopes of the table."""


def unwrap(text: str) -> str:
    """What a person wrote in ``text``, the text of a user turn: without the envelopes of the table."""
    return DEFAULT_READER.read(text).words
