"""Whether an answer ended or broke off: a stream that stops without a reason to stop passes for whole otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage

from modelsat.errors import IncompleteAnswerError

_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason", "finishReason", "status")
"""Where chat models keep why an answer ended; ``status`` is that of OpenAI's Responses API."""
_ALWAYS = frozenset({"anthropic", "azure", "gemini", "mistral", "openai"})
"""Providers that end every answer with a reason, whose chat models hand it on."""


def reason_to_stop(metadata: Mapping[str, Any]) -> str | None:
    """Why the model ended an answer with this ``response_metadata``; ``None`` if its provider does not say."""
    found = (metadata.get(name) for name in _REASONS)
    return next((reason for reason in found if isinstance(reason, str) and reason not in ("", "in_progress")), None)


def said_something(chunk: Any) -> bool:
    """Whether a chunk of a stream holds something of the answer."""
    if not isinstance(chunk, AIMessage):
        return chunk is not None
    return bool(chunk.content or chunk.tool_calls or chunk.invalid_tool_calls or chunk.additional_kwargs)


class Endings:
    """Tells answers that broke off from those of models that never say why they end. Thread-safe.

    A provider that is known to give a reason always gives one; another route is held to it once it has given one.
    """

    def __init__(self) -> None:
        self._giving: set[str] = set()

    def check(
        self, route: str, metadata: Mapping[str, Any], provider: str | None = None, characters: int | None = None
    ) -> None:
        """Note whether an answer says why it ended.

        Args:
            route: Who answered.
            metadata: The ``response_metadata`` of the answer, or of the part of it that would say so.
            provider: Who serves the route, where it is known.
            characters: Length of the answer, where it is known.

        Raises:
            IncompleteAnswerError: It does not, though this route's answers do.
        """
        if reason_to_stop(metadata) is not None:
            self._giving.add(route)
        elif route in self._giving or provider in _ALWAYS:
            length = "" if characters is None else f" after {characters:,} characters"
            raise IncompleteAnswerError(f"the answer of {route} broke off{length}: it ended without a reason to stop")
