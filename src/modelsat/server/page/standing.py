"""Is any model getting worse: what the change test says of each, and its feedback lately beside that before."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from modelsat.feedback.calibration import SETTLED, Calibrator, Drift, ModelState

LATELY = 50
"""Feedbacks that count as lately, half of all at most."""
_LEAST = 10
_FAR = 4.0
"""Standard errors between lately and before from which the difference is pointed at, however often one looks."""
_SUSPECTED = 0.5
_STANDS = 500
"""Feedbacks on a model for which a change that was noticed is told."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the feedback on one model stands.

    Attributes:
        model: The model.
        seen: Feedbacks counted.
        lately: Mean of the last of them, 0..1; ``None`` if there are too few to divide.
        before: Mean of those before.
        drift: The last change that the test noticed, if it is not long ago; ``None`` without one.
        suspicion: How near the test is to noticing one, 0..1.
        tested: Whether the model is known well enough to be tested.
    """

    model: str
    seen: int
    lately: float | None
    before: float | None
    drift: Drift | None
    suspicion: float
    tested: bool

    @property
    def moved(self) -> float:
        """How far feedback lately lies from that before, in standard errors; below 0 is worse."""
        if self.lately is None or self.before is None:
            return 0.0
        count = _lately(self.seen)
        mean = (count * self.lately + (self.seen - count) * self.before) / self.seen
        variance = max(mean * (1.0 - mean), 0.01) * (1.0 / count + 1.0 / (self.seen - count))
        return (self.lately - self.before) / math.sqrt(variance)

    @property
    def worse(self) -> bool:
        """Whether it got worse, as the test or the plain difference says."""
        return (self.drift is not None and self.drift.direction == "worse") or self.moved < -_FAR

    @property
    def said(self) -> str:
        """What is known of it, in words."""
        if self.drift is not None:
            ago = self.seen - self.drift.seen
            return f"{self.drift.direction} by {abs(self.drift.points):.0f} points, {ago:,} feedbacks ago"
        if abs(self.moved) > _FAR:
            return "lower than before" if self.moved < 0 else "higher than before"
        if not self.tested:
            return "too early to say"
        return f"suspected ({100 * self.suspicion:.0f} %)" if self.suspicion >= _SUSPECTED else "no change"


def standings(calibrator: Calibrator) -> list[Standing]:
    """Every model with feedback, those that got worse first; of one with several weights or profiles, the latest."""
    latest: dict[str, ModelState] = {}
    for subject, state in calibrator.models.items():
        if subject.model not in latest or state.time >= latest[subject.model].time:
            latest[subject.model] = state
    found = [_standing(model, state) for model, state in latest.items()]
    return sorted(found, key=lambda one: (not one.worse, one.moved, one.model))


def headline(found: Iterable[Standing]) -> str:
    """The answer in a sentence."""
    found = list(found)
    if not found:
        return ""
    if worse := [one.model for one in found if one.worse]:
        return f"Yes: {', '.join(worse)}."
    early = [one.model for one in found if not one.tested]
    if len(early) == len(found):
        return "Too early to say: there is too little feedback on every model."
    if early:
        return f"Too early to say of {', '.join(early)}; no change was noticed in the others."
    return "None that was noticed: the feedback on every model stays within chance."


def _lately(seen: int) -> int:
    return min(LATELY, seen // 2)


def _standing(model: str, state: ModelState) -> Standing:
    count = _lately(state.seen)
    lately = before = None
    if count >= _LEAST and len(state.recent) >= count:
        total = sum(outcome for _, outcome, _ in islice(reversed(state.recent), count))
        lately, before = total / count, (state.score - total) / (state.seen - count)
    drift = state.drifts[-1] if state.drifts and state.seen - state.drifts[-1].seen <= _STANDS else None
    tested = drift is not None or state.deviation < SETTLED
    return Standing(model, state.seen, lately, before, drift, state.test.suspicion, tested)
