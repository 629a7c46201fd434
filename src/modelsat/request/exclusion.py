"""Why a candidate cannot be chosen, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ExclusionKind = Literal[
    "ability",
    "answer_limit",
    "budget",
    "context_window",
    "model",
    "not_asked",
    "policy",
    "price",
    "provider",
    "region",
    "residency",
    "rule",
    "tag",
]

_MAY_STILL_ANSWER: frozenset[str] = frozenset(
    {"ability", "answer_limit", "budget", "context_window", "not_asked", "policy", "rule"}
)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why one candidate cannot be chosen.

    Attributes:
        kind: What rules it out.
        reason: Why, in words without a full stop.
    """

    kind: ExclusionKind
    reason: str

    @property
    def forbidden(self) -> bool:
        """Whether the candidate must not be asked, not even as a fallback; true for a kind that nobody listed."""
        return self.kind not in _MAY_STILL_ANSWER

    def __str__(self) -> str:
        return self.reason
