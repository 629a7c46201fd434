"""Bayesian correction of one model's scores: an offset on the logit, by field, with forgetting.

With z the logit of the network's score and w_f the share of field f in the prompt,

    P(success) = sigmoid(z + g + sum_f w_f d_f),    g ~ N(0, s_g^2),    d_f ~ N(0, s_d^2).

A field that has seen nothing takes the model's own offset g, a model that has seen nothing takes 0. Each feedback moves
the posterior by one Newton step (an extended Kalman filter for logistic regression). Before that, the posterior is
raised to the power ``keep`` and multiplied by the prior to the power ``1 - keep``: old feedback fades into the prior
(power prior, Ibrahim and Chen, 2000). Exploration draws scores from what the posterior leaves possible.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MODEL_DEVIATION = 1.0
"""Prior standard deviation of a model's offset g (logits): 1 is 20 to 25 points around one half."""
FIELD_DEVIATION = 0.5
"""Prior standard deviation of what a field adds (logits)."""
RISE, FALL = 1.0, 2.0
"""Standard deviations, as far as they exceed ``SETTLED``, that an offset must lie above or below 0 to move scores."""
SETTLED = 0.15
"""Standard deviation (logits) at which an offset is known well enough to count in full."""
TRIES = 16
"""Draws at most for one decision. Where nobody overtakes the leader in as many, it stays: the settled costs little."""
_EDGE = 1e-4


def logit(p: float) -> float:
    """Log odds of ``p``, which is kept off 0 and 1."""
    kept = min(max(p, _EDGE), 1.0 - _EDGE)
    return math.log(kept / (1.0 - kept))


def sigmoid(z: float) -> float:
    """Probability of log odds ``z``."""
    return 0.5 * (1.0 + math.tanh(0.5 * z))


@dataclass(frozen=True, slots=True)
class Offset:
    """Posterior of one model's offsets: immutable, so that readers need no lock.

    Attributes:
        fields: Names of the fields seen so far.
        mean: Of g and d, shape (1 + fields,), logits.
        covariance: Shape (1 + fields, 1 + fields).
    """

    fields: tuple[str, ...] = ()
    mean: Array = field(default_factory=lambda: np.zeros(1))
    covariance: Array = field(default_factory=lambda: np.full((1, 1), MODEL_DEVIATION**2))

    def direction(self, shares: Mapping[str, float]) -> Array:
        """The weights of g and d for a prompt, shape (1 + fields,); unknown fields weigh nothing."""
        return np.array([1.0, *(shares.get(name, 0.0) for name in self.fields)])

    def shift(self, shares: Mapping[str, float]) -> float:
        """Expected offset for a prompt (logits)."""
        return float(self.direction(shares) @ self.mean)

    def deviation(self, shares: Mapping[str, float]) -> float:
        """Standard deviation of the offset for a prompt (logits), the prior's for fields not seen yet."""
        weights = self.direction(shares)
        unseen = sum(share**2 for name, share in shares.items() if name not in self.fields)
        return math.sqrt(float(weights @ self.covariance @ weights) + unseen * FIELD_DEVIATION**2)

    def correction(self, shares: Mapping[str, float]) -> float:
        """The offset to act on for a prompt (logits): none while it may be chance.

        The mean is drawn towards 0 by the factor ``max(0, 1 - (certainty * excess / mean)^2)``, a positive-part
        shrinkage as James and Stein's (1961), with ``excess^2 = deviation^2 - SETTLED^2`` where that is positive: what
        is well known counts in full. The certainty is ``FALL`` below 0 and ``RISE`` above: a few unlucky answers must
        not turn traffic away for good, as a score that is too low brings no feedback that would put it right; one that
        is too high does.
        """
        shift = self.shift(shares)
        certainty = RISE if shift > 0.0 else FALL
        doubt = certainty**2 * max(0.0, self.deviation(shares) ** 2 - SETTLED**2)
        return shift * (1.0 - doubt / shift**2) if doubt < shift**2 else 0.0

    def updated(self, score: float, outcome: float, shares: Mapping[str, float], keep: float = 1.0) -> Offset:
        """The posterior after one more feedback, which keeps the share ``keep`` of the evidence so far."""
        known = self._extended(shares)
        prior = known._prior_precision()
        precision = keep * np.linalg.inv(known.covariance) + np.diag((1.0 - keep) * prior)
        covariance = np.linalg.inv(precision)
        # keep * old evidence, of which the prior's mean is 0
        mean = covariance @ (keep * np.linalg.solve(known.covariance, known.mean))
        weights = known.direction(shares)
        p = sigmoid(logit(score) + float(weights @ mean))
        pull = covariance @ weights
        gain = p * (1.0 - p) / (1.0 + p * (1.0 - p) * float(weights @ pull))
        covariance = covariance - gain * np.outer(pull, pull)
        mean = mean + covariance @ weights * (outcome - p)
        return Offset(known.fields, mean, 0.5 * (covariance + covariance.T))

    def loosened(self) -> Offset:
        """The same means with the prior's doubt added: what is kept when a model is known to have changed."""
        return Offset(self.fields, self.mean, self.covariance + np.diag(1.0 / self._prior_precision()))

    def _prior_precision(self) -> Array:
        return np.array([MODEL_DEVIATION**-2, *([FIELD_DEVIATION**-2] * len(self.fields))])

    def _extended(self, shares: Mapping[str, float]) -> Offset:
        new = tuple(sorted(name for name in shares if name not in self.fields))
        if not new:
            return self
        size, whole = len(self.mean), len(self.mean) + len(new)
        covariance = np.diag(np.full(whole, FIELD_DEVIATION**2))
        covariance[:size, :size] = self.covariance
        return Offset(self.fields + new, np.concatenate([self.mean, np.zeros(len(new))]), covariance)


def explored(
    rate: float,
    offsets: Sequence[Offset],
    row: Sequence[float],
    scores: Sequence[float],
    shares: Mapping[str, float],
    rng: np.random.Generator,
) -> list[float] | None:
    """A draw of every candidate's P(success) for a decision that explores (Thompson sampling); else ``None``.

    A candidate about which little is known draws from afar, one that is well known hardly moves: so feedback comes to
    cover all candidates that may turn out to be good (Thompson, 1933; Chapelle and Li, 2011). The candidate that leads
    anyway gets the feedback of all other decisions, so a draw that it wins would teach little: scores are drawn again
    until another one leads (top-two sampling, Russo, 2016). Who is tried is therefore who may most likely overtake it.

    Args:
        rate: Share of decisions that explore, 0..1.
        offsets: Posterior of each candidate.
        row: The network's P(success), as many.
        scores: P(success) with feedback counted in, as many: who leads without exploration.
        shares: Fields of the prompt.
        rng: Source of chance.
    """
    if rng.random() >= rate:
        return None
    # Where most decisions explore, the leader needs its part of the feedback too.
    leader = int(np.argmax(scores)) if rng.random() >= rate else None
    return draw(offsets, row, shares, rng, leader)


def draw(
    offsets: Sequence[Offset],
    row: Sequence[float],
    shares: Mapping[str, float],
    rng: np.random.Generator,
    leader: int | None = None,
) -> list[float]:
    """One draw of every candidate's P(success).

    Of ``TRIES`` draws the first in which another candidate than the ``leader`` (a position) leads, or the last.
    """
    middle = np.array([logit(p) + offset.shift(shares) for offset, p in zip(offsets, row, strict=True)])
    doubt = np.array([offset.deviation(shares) for offset in offsets])
    drawn = middle + doubt * rng.standard_normal((1 if leader is None else TRIES, len(middle)))
    others = np.flatnonzero(drawn.argmax(axis=1) != leader)
    return [sigmoid(z) for z in drawn[others[0] if len(others) else -1].tolist()]


def chance(seed: int, text: str, counted: int) -> np.random.Generator:
    """A source of chance that is the same for the same seed, prompt and number of feedbacks counted."""
    key = hashlib.sha256(f"{seed} {counted} {text}".encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(key[:8], "big"))
