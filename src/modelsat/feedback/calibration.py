"""Online calibration: the offsets and the change test of every model, fed with observations in the store's order.

Every process that reads the same store holds the same state, as it depends on nothing else.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from modelsat.feedback.base import IMPORTED, DecisionRecord, Observation
from modelsat.feedback.offsets import Offset, logit, sigmoid

logger = logging.getLogger("modelsat")

Direction = Literal["worse", "better"]

SHIFT = 0.6
"""The move that is looked for (logits): 14 to 15 points around one half."""
THRESHOLD = 6.5
"""The sum at which a move is believed: without a move, about once in 2,500 feedbacks on a model
(``benchmarks/feedback.py``)."""
SETTLED = 0.2
"""Standard deviation of an expectation (logits) below which it is good enough to test against."""
HALF_LIFE = 1000.0
"""Feedbacks on a model after which an observation counts half."""
_LATELY = 200
_REMEMBERED = 1024
_DAY = 86400.0


@dataclass(slots=True)
class _Side:
    """One sum of a change test: since when it is positive, and the expectation it stands on, with its doubt."""

    sum: float = 0.0
    since: int = 0
    held: Offset = field(default_factory=Offset)
    doubt: float = 0.0


class ChangeTest:
    """Two cumulative sums of log-likelihood ratios (Page, 1954), which notice that a model got worse or better.

    For each side, the hypothesis that the logit of P(success) has moved by ``SHIFT`` is weighed against the
    expectation, feedback by feedback; the sum never falls below 0, and an alarm is raised where it exceeds
    ``threshold``. While a sum is positive its expectation stands still, so that the correction
    (:mod:`modelsat.feedback.offsets`), which follows every change in time, does not hide the change from the test. It
    stands on the side that explains the change best, by half a standard deviation, so that a model that is not known
    well yet is not taken for one that changed.

    Not thread-safe: its owner holds the lock.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self._sides: dict[Direction, _Side] = {"worse": _Side(), "better": _Side()}

    @property
    def suspicion(self) -> float:
        """The larger sum as a share of the threshold, 0..1."""
        return min(1.0, max(side.sum for side in self._sides.values()) / self.threshold)

    def held(self, direction: Direction) -> Offset:
        """The offsets that a side's expectation stands on."""
        return self._sides[direction].held

    def add(
        self, score: float, outcome: float, shares: Mapping[str, float], offset: Offset, doubt: float
    ) -> tuple[Direction, int] | None:
        """Weigh one more feedback; where it makes a change noticeable, its direction and its age in feedbacks.

        ``offset`` are the model's offsets before this feedback. Where ``doubt``, the standard deviation of the
        expectation (logits), exceeds ``SETTLED``, suspicion starts again.
        """
        for direction, side in self._sides.items():
            move = SHIFT if direction == "better" else -SHIFT
            if side.sum <= 0.0:
                side.held, side.since, side.doubt = offset, 0, doubt
            if doubt >= SETTLED:
                side.sum = 0.0
                continue
            # The expectation that explains such a change best, within its doubt, is the one to beat.
            z = logit(score) + side.held.shift(shares) + math.copysign(0.5 * side.doubt, move)
            side.since += 1
            side.sum = max(0.0, side.sum + _ratio(sigmoid(z), sigmoid(z + move), outcome))
            if side.sum > self.threshold:
                return direction, side.since
        return None


def _ratio(expected: float, moved: float, outcome: float) -> float:
    """Log-likelihood ratio of an outcome (a share counts as that much of a success)."""
    edge = 1e-6
    success = math.log(max(moved, edge) / max(expected, edge))
    failure = math.log(max(1.0 - moved, edge) / max(1.0 - expected, edge))
    return outcome * success + (1.0 - outcome) * failure


class Subject(NamedTuple):
    """What an offset belongs to: with other weights or another profile, the network's scores are others.

    Attributes:
        model: Name of the candidate.
        weights: Version of the weights.
        profile: Digest of its profile.
    """

    model: str
    weights: str = ""
    profile: str = ""

    @classmethod
    def of(cls, decision: DecisionRecord) -> Subject:
        """What feedback on ``decision`` is about."""
        return cls(decision.model, decision.weights, decision.profile)


@dataclass(frozen=True, slots=True)
class Drift:
    """A model was noticed to have changed.

    Attributes:
        model: The candidate.
        direction: ``"worse"`` or ``"better"``.
        points: Mean feedback since the change less what was expected, in percentage points.
        feedbacks: Feedbacks on the model since the change seems to have begun, when it was noticed.
        time: When it was noticed: time of the last of them, seconds since the epoch.
        seen: Feedbacks on the model up to then.
    """

    model: str
    direction: Direction
    points: float
    feedbacks: int
    time: float
    seen: int

    def __str__(self) -> str:
        return (
            f"{self.model} got {self.direction}: {self.points:+.0f} points against what was expected, "
            f"over {self.feedbacks} feedbacks"
        )


@dataclass
class ModelState:
    """What feedback says about one model."""

    seen: int = 0
    score: float = 0.0  # sum of the feedback
    expected: float = 0.0  # sum of the network's P(success) on the same prompts
    time: float = 0.0  # time of the last feedback, seconds since the epoch
    mix: dict[str, float] = field(default_factory=dict)  # shares of the fields in what the model answered lately
    offset: Offset = field(default_factory=Offset)  # posterior of the offsets
    test: ChangeTest = field(default_factory=ChangeTest)
    # the last observations: score, outcome and fields
    recent: deque[tuple[float, float, Mapping[str, float]]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    drifts: list[Drift] = field(default_factory=list)  # changes noticed, oldest first

    @property
    def shift(self) -> float:
        """Expected offset over the prompts the model answered lately (logits)."""
        return self.offset.shift(self.mix)

    @property
    def deviation(self) -> float:
        """Its standard deviation."""
        return self.offset.deviation(self.mix)

    def mix_in(self, shares: Mapping[str, float]) -> None:
        """Count the fields of one more prompt."""
        weight = 1.0 / min(self.seen, _LATELY)
        self.mix = {
            name: (1.0 - weight) * self.mix.get(name, 0.0) + weight * shares.get(name, 0.0)
            for name in dict.fromkeys([*self.mix, *shares])
        }


class Calibrator:
    """Learns from observations and corrects scores. Thread-safe; :meth:`correct` takes no lock.

    ``half_life`` and ``half_life_days`` are the feedbacks on a model and the days after which an observation counts
    half; infinity never forgets. A ``quiet`` one does not log changes, e.g. while old feedback is read.
    """

    def __init__(
        self,
        half_life: float = HALF_LIFE,
        half_life_days: float = float("inf"),
        threshold: float = THRESHOLD,
        quiet: bool = False,
    ) -> None:
        self.quiet = quiet
        self._half_life, self._half_life_s = half_life, half_life_days * _DAY
        self._threshold = threshold
        self._models: dict[Subject, ModelState] = {}
        self._offsets: dict[Subject, Offset] = {}
        self._lock = threading.Lock()
        self.counted = 0  # observations so far

    @property
    def models(self) -> dict[Subject, ModelState]:
        """The state of everything with feedback; a copy of the mapping, by name."""
        with self._lock:
            return dict(sorted(self._models.items()))

    @property
    def drifts(self) -> tuple[Drift, ...]:
        """Every change that was noticed, in order of time."""
        return tuple(sorted((drift for state in self.models.values() for drift in state.drifts), key=lambda d: d.time))

    def offset(self, subject: Subject) -> Offset:
        """Posterior of a model's offsets; the prior if there was no feedback on it."""
        return self._offsets.get(subject, _PRIOR)

    def correct(self, subjects: Sequence[Subject], row: Sequence[float], shares: Mapping[str, float]) -> list[float]:
        """P(success) of ``row`` with feedback counted in; what has no feedback stays as it is, to the last bit."""
        offsets = self._offsets
        return [
            p if not (moved := offsets.get(subject, _PRIOR).correction(shares)) else sigmoid(logit(p) + moved)
            for subject, p in zip(subjects, row, strict=True)
        ]

    def observe(self, observation: Observation) -> Drift | None:
        """Count one observation; returns the change it made noticeable, if any.

        A decision without the network's score of the chosen model (a fallback) teaches nothing and is passed over.
        Imported outcomes have no order: they make nothing older, and no change is looked for among them.
        """
        decision, outcome = observation.decision, observation.feedback.score
        score = decision.network.get(decision.model)
        if score is None:
            return None
        with self._lock:
            self.counted += 1
            subject = Subject.of(decision)
            state = self._models.setdefault(subject, ModelState(test=ChangeTest(self._threshold)))
            keep, alarm = 1.0, None
            if decision.policy != IMPORTED:
                keep = self._keep(state, observation.feedback.time)
                alarm = state.test.add(score, outcome, decision.field, state.offset, state.deviation)
            state.offset = state.offset.updated(score, outcome, decision.field, keep)
            state.seen, state.score, state.expected = state.seen + 1, state.score + outcome, state.expected + score
            state.time = observation.feedback.time
            state.mix_in(decision.field)
            state.recent.append((score, outcome, decision.field))
            drift = None
            if alarm is not None:
                drift = _restart(decision.model, state, *alarm, self._threshold)
            self._offsets = {**self._offsets, subject: state.offset}
        if drift is not None and not self.quiet:
            logger.warning("%s; its scores were corrected", drift)
        return drift

    def _keep(self, state: ModelState, now: float) -> float:
        passed = max(0.0, now - state.time) if state.seen else 0.0
        return float(0.5 ** (1.0 / self._half_life + passed / self._half_life_s))


_PRIOR = Offset()


def _restart(model: str, state: ModelState, direction: Direction, since: int, threshold: float) -> Drift:
    """Learn the offsets again from what came after the change."""
    after = list(state.recent)[-since:]
    held = state.test.held(direction)
    expected = [sigmoid(logit(score) + held.shift(shares)) for score, _, shares in after]
    points = 100.0 * (sum(entry[1] for entry in after) - sum(expected)) / len(after)
    offset = held.loosened()
    for score, outcome, shares in after:
        offset = offset.updated(score, outcome, shares)
    state.offset, state.test = offset, ChangeTest(threshold)
    drift = Drift(model, direction, points, since, state.time, state.seen)
    state.drifts.append(drift)
    return drift
