"""The parts of a request, apart from its prompt, that options give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelsat._files import read_json
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from modelsat.request import RequestContext


def read_object(path: Path | None, what: str) -> dict[str, Any] | None:
    """Return the JSON object in ``path``; ``None`` without a path.

    Raises:
        ConfigurationError: The file is missing, is not JSON, or does not hold an object.
    """
    if path is None:
        return None
    found = read_json(path, what)
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} must hold a JSON object, {{...}}, not a {type(found).__name__}")
    return found


def context_of(
    limits: Mapping[str, Any],
    *,
    needs: Sequence[str],
    answer_tokens: int | None,
    thread: str | None,
    metadata: Sequence[str] | None,
) -> RequestContext:
    """Return the request context of a command's options.

    Args:
        limits: Fields of :class:`~modelsat.request.Constraints`.
        needs: Names of abilities.
        answer_tokens: Limit on the answer.
        thread: Identifier of the conversation.
        metadata: ``key=value`` entries.

    Raises:
        ConfigurationError: A value cannot be right.
    """
    from modelsat.request import Constraints, RequestContext

    given: Any = {"needs": tuple(needs), "answer_tokens": answer_tokens, "thread": thread}
    return RequestContext(
        **given, metadata=_pairs(metadata or ()), constraints=Constraints(**limits) if limits else None
    )


def _pairs(entries: Sequence[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in entries]
    if bad := [key for key, sign, _ in pairs if not sign or not key]:
        raise ConfigurationError(f"--metadata takes KEY=VALUE, not {bad[0]!r}")
    return {key: value for key, _, value in pairs}
