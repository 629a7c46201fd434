"""How long an answer is to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from modelsat.routing.candidates import Candidate

COMPLETION_TOKENS = 300.0
"""Expected of a model nothing is known about."""


class CompletionModel(Protocol):
    """Expects the number of completion tokens. Thread-safe."""

    def expect(self, instruction: str, candidates: Sequence[Candidate]) -> Sequence[float]:
        """Expected completion tokens of every candidate's answer to ``instruction``, in order."""
        ...


class ConstantCompletion:
    """The same number for every prompt and candidate.

    Args:
        tokens: That number.
    """

    def __init__(self, tokens: float = COMPLETION_TOKENS) -> None:
        self.tokens = tokens

    def expect(self, instruction: str, candidates: Sequence[Candidate]) -> Sequence[float]:
        """:attr:`tokens` for every candidate."""
        return [self.tokens] * len(candidates)


def default_completion() -> CompletionModel:
    """The model of completion lengths that a router uses."""
    return ConstantCompletion()
