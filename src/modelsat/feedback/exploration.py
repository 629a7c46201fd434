"""Thompson sampling: now and then a decision is made on scores drawn from what feedback leaves possible.

A candidate about which little is known draws from afar, one that is well known hardly moves: so feedback comes to cover
all candidates that may turn out to be good (Thompson, 1933; Chapelle and Li, 2011). The candidate that leads anyway
gets the feedback of all other decisions, so a draw that it wins would teach little: scores are drawn again until
another one leads (top-two sampling, Russo, 2016). Who is tried is therefore who may most likely overtake it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from modelsat.feedback.offsets import Offset, logit, sigmoid

TRIES = 16
"""Draws at most for one decision. Where nobody overtakes the leader in as many, it stays: the settled costs little."""


def explored(
    rate: float,
    offsets: Sequence[Offset],
    row: Sequence[float],
    scores: Sequence[float],
    shares: Mapping[str, float],
    rng: np.random.Generator,
) -> list[float] | None:
    """Decide whether to explore, and on what.

    Args:
        rate: Share of decisions that explore, 0..1.
        offsets: Posterior of each candidate.
        row: The network's P(success), as many.
        scores: P(success) with feedback counted in, as many: who leads without exploration.
        shares: Fields of the prompt.
        rng: Source of chance.

    Returns:
        A draw of every candidate's P(success); ``None`` for a decision that does not explore.
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

    Args:
        offsets: Posterior of each candidate.
        row: The network's P(success), as many.
        shares: Fields of the prompt.
        rng: Source of chance.
        leader: Position of a candidate that shall not lead; of ``TRIES`` draws the first in which another one does, or
            the last.
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
