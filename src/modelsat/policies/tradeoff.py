"""Success, cost and time on one scale: US dollars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from modelsat.policies.base import NO_REQUEST, Choice, PolicyRequest, Scored, by_price, usd
from modelsat.validation import number


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """The candidate with the highest P(success) x value - expected cost - latency x its price.

    Attributes:
        value_per_success: What a good answer is worth, in USD.
        latency_usd_per_s: What a second of waiting costs, in USD; candidates of unknown latency wait for the longest
            known one.
    """

    needs_prices: ClassVar[bool] = True

    value_per_success: float
    latency_usd_per_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the amounts.

        Raises:
            ConfigurationError: An amount is not a number of USD, or the value is not above 0.
        """
        value = number(self.value_per_success, "value_per_success", unit="USD", example=0.05, positive=True)
        latency = number(self.latency_usd_per_s, "latency_usd_per_s", unit="USD per second", example=0.001)
        object.__setattr__(self, "value_per_success", value)
        object.__setattr__(self, "latency_usd_per_s", latency)

    @property
    def name(self) -> str:
        """``"tradeoff"``."""
        return "tradeoff"

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the highest net value; candidates without a price only if none has one."""
        priced = [candidate for candidate in scored if candidate.cost is not None] or scored
        longest = max((candidate.latency_ms or 0.0 for candidate in priced), default=0.0)

        def net(candidate: Scored) -> float:
            latency_ms = longest if candidate.latency_ms is None else candidate.latency_ms
            waiting = latency_ms / 1000.0 * self.latency_usd_per_s
            return candidate.score * self.value_per_success - (candidate.cost or 0.0) - waiting

        chosen = min(priced, key=lambda candidate: (-net(candidate), *by_price(candidate)))
        return Choice(
            chosen.name,
            f"highest net value of {len(scored)}: P(success) {chosen.score:.2f} x {usd(self.value_per_success)} "
            f"for {usd(chosen.cost)}",
        )
