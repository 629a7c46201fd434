"""P(success) of a candidate that is chosen: the winner of a comparison is also the luckiest of those compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from modelsat.policies import Policy
from modelsat.policies.base import POLICIES

DATA = "selection.json"
LARGEST_POOL = 20
"""Candidates up to which the correction was fitted; it grows no further in larger pools."""
_LIKE = {
    "best": "best",
    "budget": "tradeoff",
    "cascade": "cheapest",
    "cheapest": "cheapest",
    "knob": "best",
    "near_best": "best",
    "tradeoff": "tradeoff",
}
"""Whose correction a policy takes: a budget weighs costs, and the first of a cascade is the cheapest good enough."""
_EDGE = 1e-6


class Selection(NamedTuple):
    """What choosing does to the logit of P(success): it becomes ``level + slope x logit + size x ln(pool)``.

    Fitted by ``recipes/selection.py`` to what chosen candidates achieved on held-out prompts. It rises with P and is
    the same for all candidates of a request: it changes no order, only what reaches a target.
    """

    level: float
    slope: float
    size: float

    def correct(self, scores: Sequence[float]) -> list[float]:
        """P(success) of each candidate, were it the one chosen of ``scores``.

        Candidates of equal P (one model at three providers) count once; of one alone nothing is chosen.
        """
        pool = len(set(scores))
        if pool < 2:
            return list(scores)
        shift = self._shift(pool)
        return [1.0 / (1.0 + math.exp(-(shift + self.slope * _logit(p)))) for p in scores]

    def undo(self, scores: Sequence[float]) -> list[float]:
        """What :meth:`correct` was given."""
        pool = len(set(scores))
        if pool < 2:
            return list(scores)
        shift = self._shift(pool)
        return [1.0 / (1.0 + math.exp((shift - _logit(p)) / self.slope)) for p in scores]

    def _shift(self, pool: int) -> float:
        return self.level + self.size * math.log(min(pool, LARGEST_POOL))


def selection_of(weights: str, policy: Policy | str) -> Selection | None:
    """The correction for a version of weights and a policy (or its name).

    ``None`` for weights that nothing was fitted to, and for policies of somebody's own.
    """
    inner = policy
    while not isinstance(inner, str):
        if type(inner) is not POLICIES.get(inner.name):
            return None
        if not hasattr(inner, "inner"):
            break
        inner = inner.inner
    name = inner if isinstance(inner, str) else inner.name
    return _fitted().get(weights.partition("@")[0].rpartition("/")[2], {}).get(_LIKE.get(name, ""))


def _logit(p: float) -> float:
    p = min(max(p, _EDGE), 1.0 - _EDGE)
    return math.log(p / (1.0 - p))


@lru_cache(maxsize=1)
def _fitted() -> Mapping[str, Mapping[str, Selection]]:
    found = json.loads(files("modelsat.router").joinpath("data", DATA).read_text("utf-8"))
    return {
        weights: {name: Selection(*numbers) for name, numbers in entry["policies"].items()}
        for weights, entry in found.items()
    }
