"""The highest probability of success, whatever it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelsat.policies.base import NO_REQUEST, Choice, PolicyRequest, Scored, highest


@dataclass(frozen=True, slots=True)
class Best:
    """The candidate with the highest P(success); equal scores go to the cheaper, then to the name that sorts first."""

    @property
    def name(self) -> str:
        """``"best"``."""
        return "best"

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the highest score, whatever the order of ``scored``."""
        best = highest(scored)
        if len(scored) == 1:
            return Choice(best.name, f"the only candidate, P(success) {best.score:.2f}")
        return Choice(best.name, f"highest P(success) {best.score:.2f} of {len(scored)} candidates")
