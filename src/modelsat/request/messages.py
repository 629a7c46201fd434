"""Messages of any accepted shape, normalised into turns.

Accepted: a string; one OpenAI-style message (a mapping with ``role`` and ``content``); a sequence of messages, strings
or ``(role, content)`` pairs; LangChain messages and prompt values, recognised by their attributes. Only text is read:
images, audio and files are noted by kind. Of an image its size is read, of a file that is text the text; nothing else
is decoded.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelsat.errors import InvalidRequestError
from modelsat.request.images import Picture, read_picture

ACCEPTED = (
    "pass a string, a message such as {'role': 'user', 'content': '...'}, a list of such messages, "
    "or LangChain messages or a prompt value"
)

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "developer": "system",
    "function": "tool",
    "function_call": "assistant",
    "function_call_output": "tool",
}
_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_CALL_PARTS = frozenset({"tool_use", "tool_call", "server_tool_call"})
_SILENT_PARTS = _CALL_PARTS | {"thinking", "redacted_thinking", "reasoning", "refusal", "non_standard"}
_RESULT_PARTS = frozenset({"tool_result", "server_tool_result"})
_ATTACHMENTS = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "input_file": "file",
    "document": "file",
    "video_url": "video",
}
_TITLES = ("title", "context")
_TEXT_TYPES = frozenset(
    f"application/{name}" for name in ("json", "xml", "yaml", "x-yaml", "toml", "sql", "javascript", "x-sh", "csv")
)
_TEXT_FILE = re.compile(
    r"\.(?:txt|md|rst|csv|tsv|json|jsonl|xml|yaml|yml|toml|html|tex|log|py|js|ts|java|c|h|cpp|cs|go|rs|rb|php|sh|sql|ini|srt)\Z",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/=]+")
_KIND_LENGTH = 40
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
"""What the type of a part looks like; any other text is not repeated."""
_LONGEST_MEDIA_TYPE = 100
_DEEPEST = 12
_MOST_ENTRIES = 100_000
"""Entries of calls and results that are counted: an object that holds itself has no end."""
_SCALAR_CHARACTERS = 6


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, reduced to what routing looks at.

    Attributes:
        role: ``"user"``, ``"assistant"``, ``"system"``, ``"tool"``, or an unknown role as it was given, in lower case.
        text: The text of the message, its text parts joined by line breaks; may be empty.
        attachments: Kinds of the parts that are not text, e.g. ``("image", "image")``.
        unscored_characters: Characters of what a model reads but routing neither scores nor reads: tool calls and
            reasoning.
        documents: Texts that a model reads and routing counts but does not score: results of tools, documents, search
            results, text files.
        read: Kinds of those ``attachments`` whose text is among ``documents``.
        pictures: What is known of each image among ``attachments``.
        uses_tools: The message holds a tool call or the result of one.
        background: Texts that an agent put around what the user said; counted, not scored.
    """

    role: str
    text: str
    attachments: tuple[str, ...] = ()
    unscored_characters: int = field(default=0, compare=False)
    documents: tuple[str, ...] = field(default=(), compare=False)
    read: tuple[str, ...] = field(default=(), compare=False)
    pictures: tuple[Picture, ...] = field(default=(), compare=False)
    uses_tools: bool = field(default=False, compare=False)
    background: tuple[str, ...] = field(default=(), compare=False)


def parse_messages(messages: Any) -> list[Turn]:
    """Normalise ``messages`` of any accepted shape into turns, in order.

    Raises:
        InvalidRequestError: The shape is unknown; the text says what is accepted and never repeats the prompt.
    """
    to_messages = getattr(messages, "to_messages", None)
    if callable(to_messages) and not isinstance(messages, type):
        messages = to_messages()
    if _is_single(messages):
        return [_turn(messages, "the message")]
    if isinstance(messages, Sequence) and not isinstance(messages, (bytes, bytearray, memoryview)):
        return [_turn(message, f"message {index}") for index, message in enumerate(messages)]
    raise _unknown("the messages", messages)


def describe_attachments(turns: Iterable[Turn]) -> tuple[str, ...]:
    """A note on the parts that are not text, e.g. ``("not scored: 2 image parts",)``; empty without any."""
    counts = Counter(kind for turn in turns for kind in turn.attachments)
    if not counts:
        return ()
    kinds = (f"{count} {kind} part{'s' if count > 1 else ''}" for kind, count in sorted(counts.items()))
    return ("not scored: " + ", ".join(kinds),)


def _is_single(value: Any) -> bool:
    return isinstance(value, (str, Mapping)) or _is_message_object(value)


def _is_message_object(value: Any) -> bool:
    return hasattr(value, "content") and (hasattr(value, "type") or hasattr(value, "role"))


def _turn(message: Any, where: str) -> Turn:
    if isinstance(message, str):
        return Turn("user", message)
    role, content, calls = _fields(message, where)
    if not isinstance(role, str) or not role.strip():
        raise InvalidRequestError(f"{where} has no role: {ACCEPTED}")
    role = role.strip().lower().removesuffix("messagechunk")[:_KIND_LENGTH]
    role = _ROLES.get(role, role)
    unscored, uses_tools = _characters(calls) if calls else 0, role == "tool" or bool(calls)
    if isinstance(content, str) or content is None:
        return Turn(role, content or "", (), unscored, uses_tools=uses_tools)
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Sequence) or isinstance(content, (bytes, bytearray, memoryview)):
        raise _unknown(f"the content of {where}", content)
    found = _Parts(unscored, uses_tools)
    for part in content:
        found.add(part, where)
    if found.has_result and role == "user" and not found.texts:
        role = "tool"
    return found.turn(role)


def _fields(message: Any, where: str) -> tuple[Any, Any, Any]:
    """Role, content and calls of tools of a message that is not text alone."""
    if isinstance(message, Mapping):
        role = message.get("role")
        if role is None:
            role = message.get("type")
        if role is None:
            hint = "; for a whole request pass its 'messages'" if "messages" in message else ""
            raise InvalidRequestError(f"{where} has no 'role'{hint}: {ACCEPTED}")
        calls = message.get("tool_calls") or message.get("function_call")
        if not calls and message.get("type") == "function_call":  # an item of its own (Responses API)
            calls = message.get("arguments")
        return role, message.get("content", message.get("output")), calls
    if _is_message_object(message):
        role = getattr(message, "type", None)
        if role in (None, "chat", "message", "ChatMessageChunk"):
            role = getattr(message, "role", role)
        return role, message.content, getattr(message, "tool_calls", None)
    if isinstance(message, tuple) and len(message) == 2 and isinstance(message[0], str):
        return message[0], message[1], None
    raise _unknown(where, message)


@dataclass(slots=True)
class _Parts:
    """What the content parts of one message hold."""

    unscored: int
    uses_tools: bool
    has_result: bool = False
    texts: list[str] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    def turn(self, role: str) -> Turn:
        return Turn(
            role,
            "\n".join(self.texts),
            tuple(self.attachments),
            self.unscored,
            tuple(self.documents),
            tuple(self.read),
            tuple(self.pictures),
            self.uses_tools,
        )

    def add(self, part: Any, where: str) -> None:
        """Sort one content part into text, attachment or neither."""
        if isinstance(part, str):
            self.texts.append(part)
            return
        if not isinstance(part, Mapping):
            raise _unknown(f"a content part of {where}", part)
        kind = part.get("type")
        if not isinstance(kind, str):
            kind = "text" if "text" in part else "unknown"
        if kind in _TEXT_PARTS:
            text = part.get("text")
            if isinstance(text, str):
                self.texts.append(text)
            elif text is not None:
                raise _unknown(f"the text of a content part of {where}", text)
        elif kind in _RESULT_PARTS:
            self.has_result = self.uses_tools = True
            self._result(part.get("content", part.get("output")))
        elif kind in _SILENT_PARTS:
            self.uses_tools |= kind in _CALL_PARTS
            self.unscored += _characters(part)
        else:
            self._attach(kind, part)

    def _result(self, content: Any, depth: int = 0) -> None:
        """What a tool gave back, or a document holds: texts are read and not scored, the rest are attachments."""
        for entry in content if isinstance(content, (list, tuple)) else [content]:
            kind = entry.get("type") if isinstance(entry, Mapping) else None
            if isinstance(entry, str):
                self.documents.append(entry)
            elif kind in _TEXT_PARTS and isinstance(entry.get("text"), str):
                self.documents.append(entry["text"])
            elif isinstance(kind, str) and kind not in _TEXT_PARTS and kind not in _RESULT_PARTS:
                self._attach(kind, entry, depth + 1)
            else:
                self.unscored += _characters(entry)

    def _attach(self, kind: str, part: Mapping[Any, Any], depth: int = 0) -> None:
        """Note a part that is not text; read the text that it holds, and the size of an image."""
        named = _attachment(kind, part)
        before = len(self.documents)
        if named == "image":
            self.pictures.append(read_picture(part))
        elif named not in ("audio", "video", "pdf") and depth < _DEEPEST:
            for place in _places(part):
                if isinstance(text := place.get("text"), str):
                    self.documents.append(text)
                elif isinstance(content := place.get("content"), (str, list, tuple)):
                    self._result(content, depth)
                elif (read := _text_file(place, plain=place is not part and place.get("type") == "text")) is not None:
                    self.documents.append(read)
        if len(self.documents) > before:
            named = "text" if named == "file" else named
            self.read.append(named)
            self.unscored += sum(len(value) for key in _TITLES if isinstance(value := part.get(key), str))
        self.attachments.append(named)


def _places(part: Mapping[Any, Any]) -> list[Mapping[Any, Any]]:
    """Where a part that is not text may say what it holds."""
    return [part, *(held for key in ("source", "file", "input_file") if isinstance(held := part.get(key), Mapping))]


def _attachment(kind: str, part: Mapping[Any, Any]) -> str:
    """The kind of a part that is not text; what is said about its type goes before the name of the part."""
    known = _ATTACHMENTS.get(kind, kind if _KIND.fullmatch(kind) else "unknown")
    if known not in ("file", "media", "unknown"):
        return known
    stated = _media_type(part)
    if stated == "application/pdf":
        return "pdf"
    major = stated.partition("/")[0]
    return major if major in ("image", "audio", "video", "text") else "file" if known == "media" else known


def _text_file(place: Mapping[Any, Any], plain: bool) -> str | None:
    """The text of a file that says that it is text; ``None`` for any other, and for one that is elsewhere."""
    data = next((value for key in ("data", "base64", "file_data") if isinstance(value := place.get(key), str)), None)
    if data is None or plain:
        return data
    stated = _media_type(place)
    if not (stated.startswith("text/") or stated in _TEXT_TYPES or stated.endswith(("+json", "+xml"))):
        return None
    if data[:5].lower() == "data:":
        data = data[data.find(",", 0, 200) + 1 :]
    elif "base64" not in place and place.get("type") != "base64" and not _BASE64.fullmatch(data[:_KIND_LENGTH]):
        return data
    try:
        return base64.b64decode(data[: len(data) - len(data) % 4]).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return data


def _media_type(part: Mapping[Any, Any]) -> str:
    """The media type that a file part states, in lower case; empty if it states none."""
    for place in _places(part):
        for key in ("mime_type", "media_type", "mimeType", "format"):
            if isinstance(stated := place.get(key), str) and "/" in stated:
                return stated.strip().lower()
        for key in ("file_data", "data", "url"):
            if isinstance(data := place.get(key), str) and data[:5].lower() == "data:":
                return data[5:_LONGEST_MEDIA_TYPE].partition(";")[0].partition(",")[0].strip().lower()
        if isinstance(name := place.get("filename"), str):
            if name.lower().endswith(".pdf"):
                return "application/pdf"
            if _TEXT_FILE.search(name):
                return "text/plain"
    return ""


def _characters(value: Any) -> int:
    """About how many characters ``value`` has where a model reads it as JSON; data URLs and bytes count nothing."""
    characters = entries = 0
    left = [(value, 0)]
    while left and entries < _MOST_ENTRIES:
        entry, depth = left.pop()
        entries += 1
        if isinstance(entry, str):
            characters += 0 if entry[:5] == "data:" else len(entry)
        elif isinstance(entry, (Mapping, list, tuple)):
            if depth > _DEEPEST:
                continue
            if isinstance(entry, Mapping):
                characters += sum(len(str(key)) + 4 for key in entry)
                entry = entry.values()
            left.extend([(inner, depth + 1) for inner in entry])
        elif entry is not None and not isinstance(entry, (bytes, bytearray, memoryview)):
            characters += _SCALAR_CHARACTERS
    return characters


def _unknown(where: str, value: Any) -> InvalidRequestError:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return InvalidRequestError(f"{where} is {type(value).__name__}: decode it to a string first, or {ACCEPTED}")
    return InvalidRequestError(f"{where} has the unknown shape {type(value).__name__}: {ACCEPTED}")
