"""The cheapest that is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from modelsat.policies.base import NO_REQUEST, Choice, PolicyRequest, Scored, cheapest, highest, usd
from modelsat.validation import share


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The cheapest candidate whose P(success) reaches a target; if none does, the one with the highest P(success).

    Attributes:
        target: P(success) that is good enough, 0..1.
    """

    needs_prices: ClassVar[bool] = True

    target: float = 0.8

    def __post_init__(self) -> None:
        """Check the target.

        Raises:
            ConfigurationError: It is not a share from 0 to 1.
        """
        object.__setattr__(self, "target", share(self.target, "target"))

    @property
    def name(self) -> str:
        """``"cheapest"``."""
        return "cheapest"

    def meets(self, candidate: Scored) -> bool:
        """Whether ``candidate`` reaches the target."""
        return candidate.score >= self.target

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the lowest expected cost among those that reach the target."""
        enough = [candidate for candidate in scored if self.meets(candidate)]
        if not enough:
            best = highest(scored)
            return Choice(
                best.name,
                f"none reaches P(success) {self.target:.2f}; highest is {best.score:.2f}, {usd(best.cost)}",
                target_met=False,
            )
        chosen = cheapest(enough)
        return Choice(
            chosen.name,
            f"cheapest ({usd(chosen.cost)}) of {len(enough)} with P(success) of at least {self.target:.2f}: "
            f"{chosen.score:.2f}",
            target_met=True,
        )
