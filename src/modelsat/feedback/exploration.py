"""Thompson sampling: now and then a decision is made on scores drawn from what feedback leaves possible.

A candidate about which little is known draws from afar, one that is well known hardly moves: so feedback comes to cover
all candidates that may turn out to be good (Thompson, 1933; Chapelle and Li, 2011).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from modelsat.feedback.offsets import FIELD_DEVIATION, Offset, logit, sigmoid


def draw(
    offsets: Sequence[Offset], row: Sequence[float], shares: Mapping[str, float], rng: np.random.Generator
) -> list[float]:
    """One draw of every candidate's P(success).

    Args:
        offsets: Posterior of each candidate.
        row: The network's P(success), as many.
        shares: Fields of the prompt.
        rng: Source of chance.
    """
    drawn = []
    for offset, p in zip(offsets, row, strict=True):
        unseen = sum(share**2 for name, share in shares.items() if name not in offset.fields) ** 0.5
        shift = float(offset.direction(shares) @ offset.drawn(rng.standard_normal(len(offset.mean))))
        drawn.append(sigmoid(logit(p) + shift + unseen * FIELD_DEVIATION * float(rng.standard_normal())))
    return drawn


def chance(seed: int, text: str, counted: int) -> np.random.Generator:
    """A source of chance that is the same for the same seed, prompt and number of feedbacks counted."""
    key = hashlib.sha256(f"{seed} {counted} {text}".encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(key[:8], "big"))
