"""Noticing that a model got worse or better: two cumulative sums of log-likelihood ratios (Page, 1954).

For each side, the hypothesis that the logit of P(success) has moved by ``SHIFT`` is weighed against the expectation,
feedback by feedback; the sum never falls below 0, and an alarm is raised where it exceeds ``threshold``. While a sum is
positive its expectation stands still, so that the correction (:mod:`modelsat.feedback.offsets`), which follows
every change in time, does not hide the change from the test. It stands on the side that explains the change best, by
half a standard deviation, so that a model that is not known well yet is not taken for one that changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from modelsat.feedback.offsets import Offset, logit, sigmoid

Direction = Literal["worse", "better"]

SHIFT = 0.6
"""The move that is looked for (logits): 14 to 15 points around one half."""
THRESHOLD = 6.5
"""The sum at which a move is believed: without a move, about once in 2,500 feedbacks on a model
(``benchmarks/feedback.py``)."""
SETTLED = 0.2
"""Standard deviation of an expectation (logits) below which it is good enough to test against."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A change that was noticed.

    Attributes:
        direction: ``"worse"`` or ``"better"``.
        since: Feedbacks on the model since the change seems to have begun.
    """

    direction: Direction
    since: int


class ChangeTest:
    """The two sums of one model. Not thread-safe: its owner holds the lock.

    Args:
        threshold: See the module.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self._sums: dict[Direction, float] = {"worse": 0.0, "better": 0.0}
        self._since: dict[Direction, int] = {"worse": 0, "better": 0}
        self._held: dict[Direction, Offset | None] = {"worse": None, "better": None}
        self._doubt: dict[Direction, float] = {"worse": 0.0, "better": 0.0}

    @property
    def suspicion(self) -> float:
        """The larger sum as a share of the threshold, 0..1."""
        return min(1.0, max(self._sums.values()) / self.threshold)

    def held(self, direction: Direction) -> Offset:
        """The offsets that a side's expectation stands on."""
        return self._held[direction] or Offset()

    def add(
        self, score: float, outcome: float, shares: Mapping[str, float], offset: Offset, doubt: float
    ) -> Alarm | None:
        """Weigh one more feedback.

        Args:
            score: The network's P(success).
            outcome: The feedback, 0..1.
            shares: Fields of the prompt.
            offset: The model's offsets as they were before this feedback.
            doubt: Standard deviation of the expectation (logits). Above ``SETTLED``, suspicion starts again.
        """
        for direction, move in (("worse", -SHIFT), ("better", SHIFT)):
            side: Direction = "worse" if direction == "worse" else "better"
            if self._sums[side] <= 0.0:
                self._held[side], self._since[side], self._doubt[side] = offset, 0, doubt
            held = self._held[side]
            if doubt >= SETTLED or held is None:
                self._sums[side] = 0.0
                continue
            # The expectation that explains such a change best, within its doubt, is the one to beat.
            z = logit(score) + held.shift(shares) + math.copysign(0.5 * self._doubt[side], move)
            self._since[side] += 1
            self._sums[side] = max(0.0, self._sums[side] + _ratio(sigmoid(z), sigmoid(z + move), outcome))
            if self._sums[side] > self.threshold:
                return Alarm(side, self._since[side])
        return None


def _ratio(expected: float, moved: float, outcome: float) -> float:
    """Log-likelihood ratio of an outcome (a share counts as that much of a success)."""
    edge = 1e-6
    success = math.log(max(moved, edge) / max(expected, edge))
    failure = math.log(max(1.0 - moved, edge) / max(1.0 - expected, edge))
    return outcome * success + (1.0 - outcome) * failure
