"""What comes with the messages of one request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelsat._logging import shown
from modelsat.candidates.facts import ABILITIES, Ability
from modelsat.errors import ConfigurationError
from modelsat.request.constraints import MOST_TOKENS, Constraints
from modelsat.request.exclusion import Exclusion


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a request asks for besides its messages.

    Attributes:
        tools: Tool definitions of any shape; only their number and size are looked at.
        parallel_tools: The caller wants several tools called in one answer.
        response_format: A JSON schema, a class, or a demand for JSON, of any shape.
        reasoning: The caller wants a model that reasons.
        needs: Further abilities that the request needs, beside those found in it.
        answer_tokens: Limit on the answer (``max_tokens``); reserved in the context window.
        thread: Identifier of the conversation, for sticky policies.
        metadata: What residency rules look at.
        constraints: On top of the router's own; given as :class:`Constraints` or a mapping of its fields.
        demands: Further constraints, all of which hold.
        excluded: Candidates that the caller rules out, with the reason for each.
        trace: The OpenTelemetry context of a request that is decided on another thread; the current one if not given.
    """

    tools: Sequence[Any] = ()
    parallel_tools: bool = False
    response_format: Any = None
    reasoning: bool = False
    needs: Collection[Ability] = ()
    answer_tokens: int | None = None
    thread: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    constraints: Constraints | None = None
    demands: tuple[Constraints, ...] = ()
    excluded: Mapping[str, Exclusion] = field(default_factory=dict)
    trace: Any = None

    def __post_init__(self) -> None:
        """Check what the router relies on.

        Raises:
            ConfigurationError: ``answer_tokens`` is not a whole number above 0, ``tools`` no list, ``thread`` no text.
        """
        tokens = self.answer_tokens
        whole = isinstance(tokens, int) and not isinstance(tokens, bool)
        if tokens is not None and not (whole and 1 <= tokens <= MOST_TOKENS):
            raise ConfigurationError(
                f"answer_tokens is a whole number of tokens from 1 to {MOST_TOKENS:,}, not {shown(tokens)}"
            )
        tools: Any = self.tools
        if isinstance(tools, (str, bytes, Mapping)) or not isinstance(tools, Sequence):
            raise ConfigurationError(f"tools must be a list of tool definitions, not {type(tools).__name__}")
        if strangers := [need for need in self.needs if need not in ABILITIES]:
            raise ConfigurationError(f"needs: unknown {shown(strangers[0])}; known: {', '.join(ABILITIES)}")
        if self.thread is not None:
            object.__setattr__(self, "thread", str(self.thread))
        metadata: Any = self.metadata
        if not isinstance(metadata, Mapping):
            raise ConfigurationError(f"metadata must be a mapping, not {type(metadata).__name__}")
        if self.constraints is not None:
            object.__setattr__(self, "constraints", Constraints.of(self.constraints))


NO_CONTEXT = RequestContext()
"""A request of messages alone."""
