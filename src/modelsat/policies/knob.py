"""One knob from the cheapest to the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from modelsat.policies.base import NO_REQUEST, Choice, PolicyRequest, Scored
from modelsat.policies.near_best import NearBest
from modelsat.validation import number

MOST = 10.0


@dataclass(frozen=True, slots=True)
class Knob:
    """How much quality counts against price, from 0 (the cheapest answers) to 10 (the best does).

    The candidate is the cheapest whose P(success) lies within (1 - position / 10)^3 of the highest of the request: at 5
    twelve points are given up at most, at 7 three, at 8 one. Turning it up never lowers the P(success) of a choice, and
    turning it down never raises the expected cost.

    Attributes:
        position: 0..10.
    """

    needs_prices: ClassVar[bool] = True

    position: float = 7.0

    def __post_init__(self) -> None:
        """Check the position.

        Raises:
            ConfigurationError: It is not a number from 0 to 10.
        """
        given = number(self.position, "position", unit="steps", example=7, most=MOST)
        object.__setattr__(self, "position", given)

    @property
    def name(self) -> str:
        """``"knob"``."""
        return "knob"

    @property
    def margin(self) -> float:
        """How much P(success) may be given up, 0..1."""
        return float((1.0 - self.position / MOST) ** 3)

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the lowest expected cost within the margin."""
        return NearBest(self.margin).choose(scored, request)
