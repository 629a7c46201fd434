"""How sure P(success) is, as far as a profile leaves the level of its model open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from modelsat.candidates.candidate import Candidate

_DEVIATIONS = 1.645
"""Standard errors on either side of a 90 % interval."""
_EDGE = 1e-6


class Doubts:
    """Intervals of P(success) for a fixed set of candidates. Thread-safe.

    A profile gives the level of its model with a standard error (:mod:`modelsat.capability.equating`): small with many
    figures, large with few or with figures of relatives. P(success) moves with the level as the accuracy on an average
    task does: by its discrimination, in logits for each unit of ability. The interval says what that leaves open, and
    nothing about how well the network reads the prompt.

    Args:
        candidates: All candidates of a router.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._profiles = {candidate.name: candidate.profile for candidate in candidates}
        self._factors: dict[str, float] = {}

    def interval(self, name: str, p: float) -> tuple[float, float]:
        """The 90 % interval around ``p``, the P(success) of the candidate ``name``."""
        factor = self._factors.get(name) or self._factor(name)
        inner = min(max(p, _EDGE), 1.0 - _EDGE)
        against = (1.0 - inner) / inner
        return 1.0 / (1.0 + factor * against), 1.0 / (1.0 + against / factor)

    def _factor(self, name: str) -> float:
        """What the odds may be off by, either way."""
        from modelsat.capability.equating import equate, level_error

        error = level_error(equate(self._profiles[name], report=False))
        factor = self._factors[name] = math.exp(_DEVIATIONS * error * _slope())
        return factor

    def intervals(self, scores: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """The interval around each of ``scores``, by candidate."""
        return {name: self.interval(name, p) for name, p in scores.items()}


@lru_cache(maxsize=1)
def _slope() -> float:
    """Mean discrimination of the reference tasks: logits of accuracy for each unit of ability."""
    from modelsat.capability.equating import reference_tasks
    from modelsat.capability.tasks import reference

    slopes = [reference(task).discrimination for task in reference_tasks()]
    return sum(slopes) / len(slopes)
