"""The one interface of all policies: scored candidates in, a choice out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from modelsat.request.exclusion import Exclusion


@dataclass(frozen=True, slots=True)
class Scored:
    """What a policy knows about one candidate.

    Later versions may add fields with defaults; a policy reads those it needs.

    Attributes:
        name: The candidate's name.
        score: Calibrated P(success), 0..1.
        cost: Expected USD of this request; ``None`` if its price is unknown.
        latency_ms: Expected time to a whole answer in milliseconds; ``None`` if unknown.
        input_usd: The prompt's part of ``cost``.
        cached_input_usd: What the prompt would cost if the provider's cache held it; ``None`` if unknown.
        interval: 90 % interval of P(success), as far as the profile leaves the model's level open; ``None`` if unknown.
    """

    name: str
    score: float
    cost: float | None = None
    latency_ms: float | None = None
    input_usd: float | None = None
    cached_input_usd: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What a policy knows about the request.

    Attributes:
        thread: Identifier of the conversation; ``None`` if there is none.
        turn: Identifies the user's last turn within the conversation.
        prompt_tokens: Estimated tokens of the whole prompt.
    """

    thread: str | None = None
    turn: str = ""
    prompt_tokens: int = 0


NO_REQUEST = PolicyRequest()
"""A request nothing is known about."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a policy decided.

    Attributes:
        name: The chosen candidate.
        reason: Why, in a sentence without a full stop.
        excluded: Candidates the policy ruled out, with the reason for each.
        escalation: Candidates to ask next, in order, if the answer fails a check.
        threshold: Score of the check (0..1) below which an answer is escalated.
        target_met: Whether the chosen candidate reaches the policy's target; ``None`` without one.
        abstained: True if the policy does not know who is good enough, and named its choice all the same.
    """

    name: str
    reason: str
    excluded: Mapping[str, Exclusion] = field(default_factory=dict)
    escalation: tuple[str, ...] = ()
    threshold: float | None = None
    target_met: bool | None = None
    abstained: bool = False


@runtime_checkable
class Policy(Protocol):
    """Chooses among scored candidates.

    A policy may keep state between calls (a budget, a conversation's model); it is thread-safe. One that weighs costs
    says so with an attribute ``needs_prices = True``: a router then refuses candidates without a price.
    """

    @property
    def name(self) -> str:
        """Name of the policy, as it stands in decisions."""
        ...

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose one of ``scored``, which is never empty."""
        ...


Clock = Callable[[], float]
"""Seconds that never run backwards, e.g. :func:`time.monotonic`."""


def by_price(candidate: Scored) -> tuple[float, str]:
    """How ties are broken: the cheaper first, an unknown price last, then by name."""
    return (float("inf") if candidate.cost is None else candidate.cost, candidate.name)


def highest(scored: Sequence[Scored]) -> Scored:
    """The candidate with the highest P(success), ties by price and name."""
    top = max([candidate.score for candidate in scored])
    return min([candidate for candidate in scored if candidate.score == top], key=by_price)


def cheapest(scored: Sequence[Scored]) -> Scored:
    """The candidate of the lowest expected cost, ties by P(success) and name; unknown prices come last."""
    return min(scored, key=lambda candidate: (by_price(candidate)[0], -candidate.score, candidate.name))


def usd(amount: float | None) -> str:
    """``amount`` for a reader: ``"$0.00042"``."""
    if amount is None:
        return "unknown price"
    return "$0" if amount == 0 else f"${amount:.2g}" if amount >= 1e-4 else f"${amount:.1e}"


POLICIES: dict[str, type[Any]] = {}
"""The policies that go by a name; :mod:`modelsat.policies` fills it."""
