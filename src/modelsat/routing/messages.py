"""Messages of any accepted shape, normalised into turns.

Accepted: a string; one OpenAI-style message (a mapping with ``role`` and ``content``); a sequence of messages, strings
or ``(role, content)`` pairs; LangChain messages and prompt values, recognised by their attributes. Only text is read:
images, audio and files are noted by kind and never decoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelsat.errors import InvalidRequestError

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
_SILENT_PARTS = frozenset(
    {
        "thinking",
        "redacted_thinking",
        "reasoning",
        "tool_use",
        "tool_call",
        "server_tool_call",
        "refusal",
        "non_standard",
    }
)
_RESULT_PARTS = frozenset({"tool_result", "server_tool_result"})
_ATTACHMENTS = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "input_file": "file",
    "document": "file",
    "video_url": "video",
}
_KIND_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, reduced to what routing looks at.

    Attributes:
        role: ``"user"``, ``"assistant"``, ``"system"``, ``"tool"``, or an unknown role as it was given, in lower case.
        text: The text of the message, its text parts joined by line breaks; may be empty.
        attachments: Kinds of the parts that are not text, e.g. ``("image", "image")``.
    """

    role: str
    text: str
    attachments: tuple[str, ...] = ()


def parse_messages(messages: Any) -> list[Turn]:
    """Normalise ``messages`` into turns, in order.

    Args:
        messages: Any accepted shape (see the module).

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
    if isinstance(message, Mapping):
        role, content = _mapping_fields(message, where)
    elif _is_message_object(message):
        role, content = _object_role(message), message.content
    elif isinstance(message, tuple) and len(message) == 2 and isinstance(message[0], str):
        role, content = message
    else:
        raise _unknown(where, message)
    if not isinstance(role, str) or not role.strip():
        raise InvalidRequestError(f"{where} has no role: {ACCEPTED}")
    return _assemble(_canonical(role), content, where)


def _mapping_fields(message: Mapping[Any, Any], where: str) -> tuple[Any, Any]:
    role = message.get("role")
    if role is None:
        role = message.get("type")
    if role is None:
        hint = "; for a whole request pass its 'messages'" if "messages" in message else ""
        raise InvalidRequestError(f"{where} has no 'role'{hint}: {ACCEPTED}")
    return role, message.get("content", message.get("output"))


def _object_role(message: Any) -> Any:
    kind = getattr(message, "type", None)
    if kind in (None, "chat", "message", "ChatMessageChunk"):
        return getattr(message, "role", kind)
    return kind


def _canonical(role: str) -> str:
    lowered = role.strip().lower().removesuffix("messagechunk")[:_KIND_LENGTH]
    return _ROLES.get(lowered, lowered)


def _assemble(role: str, content: Any, where: str) -> Turn:
    if content is None:
        return Turn(role, "")
    if isinstance(content, str):
        return Turn(role, content)
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Sequence) or isinstance(content, (bytes, bytearray, memoryview)):
        raise _unknown(f"the content of {where}", content)
    texts: list[str] = []
    attachments: list[str] = []
    has_result = False
    for part in content:
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, Mapping):
            raise _unknown(f"a content part of {where}", part)
        has_result |= _read_part(part, texts.append, attachments.append, where)
    if has_result and role == "user" and not texts:
        role = "tool"
    return Turn(role, "\n".join(texts), tuple(attachments))


def _read_part(
    part: Mapping[Any, Any], add_text: Callable[[str], None], attach: Callable[[str], None], where: str
) -> bool:
    """Sort one content part into text, attachment or neither; true if it is the result of a tool."""
    kind = part.get("type")
    if not isinstance(kind, str):
        kind = "text" if "text" in part else "unknown"
    if kind in _RESULT_PARTS:
        return True
    if kind in _TEXT_PARTS:
        text = part.get("text")
        if isinstance(text, str):
            add_text(text)
        elif text is not None:
            raise _unknown(f"the text of a content part of {where}", text)
    elif kind not in _SILENT_PARTS:
        attach(_ATTACHMENTS.get(kind, kind[:_KIND_LENGTH]))
    return False


def _unknown(where: str, value: Any) -> InvalidRequestError:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return InvalidRequestError(f"{where} is {type(value).__name__}: decode it to a string first, or {ACCEPTED}")
    return InvalidRequestError(f"{where} has the unknown shape {type(value).__name__}: {ACCEPTED}")
