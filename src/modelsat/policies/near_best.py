"""The cheapest that is about as good as the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from modelsat.policies.base import NO_REQUEST, Choice, PolicyRequest, Scored, cheapest, highest, usd
from modelsat.validation import share


@dataclass(frozen=True, slots=True)
class NearBest:
    """The cheapest candidate whose P(success) lies at most a margin below the highest of this request.

    Unlike a fixed target, the band moves with the request: where all candidates are unlikely to answer well, the best
    of them are still told apart from the rest.

    Attributes:
        margin: How much P(success) may be given up, 0..1; 0.02 is two points.
    """

    needs_prices: ClassVar[bool] = True

    margin: float = 0.02

    def __post_init__(self) -> None:
        """Check the margin.

        Raises:
            ConfigurationError: It is not a share from 0 to 1.
        """
        object.__setattr__(self, "margin", share(self.margin, "margin"))

    @property
    def name(self) -> str:
        """``"near_best"``."""
        return "near_best"

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the lowest expected cost within the margin."""
        best = highest(scored)
        near = [candidate for candidate in scored if candidate.score >= best.score - self.margin]
        chosen = cheapest(near)
        return Choice(
            chosen.name,
            f"cheapest ({usd(chosen.cost)}) of {len(near)} within {self.margin:.2f} of the highest P(success) "
            f"{best.score:.2f}: {chosen.score:.2f}",
        )
