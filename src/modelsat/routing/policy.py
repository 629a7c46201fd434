"""Policies: from scored candidates to a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from modelsat.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Scored:
    """What a policy knows about one candidate.

    Later versions add fields (cost, latency) with defaults; a policy reads those it needs.

    Attributes:
        name: The candidate's name.
        score: Calibrated P(success), 0..1.
    """

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What a policy decided.

    Attributes:
        name: The chosen candidate.
        reason: Why, in a sentence without a full stop.
        struck: Candidates the policy ruled out, with the reason for each.
    """

    name: str
    reason: str
    struck: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Policy(Protocol):
    """Chooses among scored candidates. Implementations keep no state between calls and are thread-safe."""

    @property
    def name(self) -> str:
        """Name of the policy, as it stands in decisions."""
        ...

    def choose(self, scored: Sequence[Scored]) -> Choice:
        """Choose one of ``scored``, which is never empty and is sorted: best first, equal scores by name."""
        ...


@dataclass(frozen=True, slots=True)
class Best:
    """The candidate with the highest P(success); equal scores go to the name that sorts first."""

    @property
    def name(self) -> str:
        """``"best"``."""
        return "best"

    def choose(self, scored: Sequence[Scored]) -> Choice:
        """Choose the highest score, whatever the order of ``scored``."""
        best = min(scored, key=lambda candidate: (-candidate.score, candidate.name))
        if len(scored) == 1:
            return Choice(best.name, f"the only candidate, P(success) {best.score:.2f}")
        return Choice(best.name, f"highest P(success) {best.score:.2f} of {len(scored)} candidates")


_KNOWN: Mapping[str, Callable[[], Policy]] = {"best": Best}


def resolve_policy(policy: str | Policy) -> Policy:
    """A policy by its name, or the policy itself.

    Raises:
        ConfigurationError: The name is unknown, or the object has no ``name`` and ``choose``.
    """
    given: Any = policy
    if isinstance(given, str):
        try:
            return _KNOWN[given]()
        except KeyError:
            known = ", ".join(repr(name) for name in sorted(_KNOWN))
            raise ConfigurationError(f"unknown policy {given!r}; known policies: {known}") from None
    if isinstance(given, type) or not isinstance(given, Policy):
        raise ConfigurationError(f"a policy needs a name and choose(scored), {given!r} has not")
    return given
