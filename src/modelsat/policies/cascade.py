"""A cheap candidate first, and the order in which to ask the others if its answer fails a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from modelsat.errors import ConfigurationError
from modelsat.policies.base import NO_REQUEST, Choice, PolicyRequest, Scored, by_price, highest, usd
from modelsat.validation import share


@dataclass(frozen=True, slots=True)
class Cascade:
    """The cheapest candidate that has a fair chance, then dearer and better ones while the answer fails a check.

    The decision names the first candidate, the escalation order, and the score below which the caller's own check of an
    answer (a judge, a test, a verifier; 0..1) sends the request on to the next.

    Attributes:
        start: P(success) that the first candidate must reach.
        threshold: Score of the check below which an answer is escalated.
        steps: Candidates in all, with the first; the last is the best of all that qualify.
        min_gain: Rise of P(success) that each further candidate must bring.
    """

    needs_prices: ClassVar[bool] = True

    start: float = 0.5
    threshold: float = 0.5
    steps: int = 3
    min_gain: float = 0.05

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ConfigurationError: A parameter cannot be right.
        """
        for name, example in (("start", 0.5), ("threshold", 0.5), ("min_gain", 0.05)):
            object.__setattr__(self, name, share(getattr(self, name), name, example))
        steps: Any = self.steps
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
            raise ConfigurationError(f"steps is a whole number of 2 or more, not {steps!r}")

    @property
    def name(self) -> str:
        """``"cascade"``."""
        return "cascade"

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the first candidate and say who comes after it."""
        best = highest(scored)
        ladder: list[Scored] = []
        for candidate in sorted(scored, key=lambda c: (by_price(c)[0], -c.score, c.name)):
            least = ladder[-1].score + self.min_gain if ladder else self.start
            if candidate.score >= least:
                ladder.append(candidate)
        if not ladder:
            reason = f"none reaches P(success) {self.start:.2f}; highest is {best.score:.2f}"
            return Choice(best.name, reason, threshold=self.threshold)
        ladder = [*ladder[: self.steps - 1], ladder[-1]] if len(ladder) > self.steps else ladder
        first, further = ladder[0], tuple(candidate.name for candidate in ladder[1:])
        reason = f"cheapest ({usd(first.cost)}) with P(success) of at least {self.start:.2f}: {first.score:.2f}"
        if further:
            reason += f"; answers below {self.threshold:.2f} go on to {', '.join(further)}"
        return Choice(first.name, reason, escalation=further, threshold=self.threshold)
