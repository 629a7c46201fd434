"""P(success) of the candidates: what the scorer says, what choosing does to it, and how sure it is."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from modelsat.candidates.candidate import Candidate
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import OTHERS_RAISE, ScoringError
from modelsat.inference.base import ScoreCache, Scorer, Scores, TextScores
from modelsat.policies import Policy
from modelsat.policies.base import POLICIES

logger = logging.getLogger("modelsat")

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
_DEVIATIONS = 1.645
"""Standard errors on either side of a 90 % interval."""


class Engine:
    """Scores texts for candidates. Thread-safe; weights load at first use, exactly once.

    A failed load is not remembered: the next request tries again. ``scorer`` takes the place of the weights: a scorer
    or the address of one. Where the policy was ``fitted_to`` other weights than those that score, the log says so.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        weights: str | os.PathLike[str],
        scorer: Scorer | str | None,
        cache_dir: str | os.PathLike[str] | None,
        cache: ScoreCache | None = None,
        fitted_to: str | None = None,
    ) -> None:
        if isinstance(scorer, str):
            from modelsat.inference.client import RemoteScorer

            scorer = RemoteScorer(scorer)
        self._profiles = [candidate.profile for candidate in candidates]
        self._weights, self._given, self._cache_dir = weights, scorer, cache_dir
        self._cache, self._fitted_to = cache, fitted_to
        self._lock = threading.Lock()
        self._loaded: Scorer | None = None

    @property
    def version(self) -> str:
        """Version of the weights, or the name they were asked for under until they are loaded; never raises."""
        scorer = self._loaded or self._given
        try:
            return scorer.version if scorer is not None else str(self._weights)
        except OTHERS_RAISE:
            return type(scorer).__name__

    def _load(self) -> Scorer:
        """Load the weights, or return what another thread has loaded meanwhile."""
        with self._lock:
            if self._loaded is None:
                scorer = self._given
                if scorer is None:
                    from modelsat.inference import load_scorer

                    weights = self._weights if isinstance(self._weights, str) else Path(self._weights)
                    scorer = load_scorer(weights, cache_dir=self._cache_dir)
                self._compare(scorer.version)
                self._loaded = scorer
            return self._loaded

    def _compare(self, version: str) -> None:
        """Warn where the policy was fitted to scores of other weights than these."""
        if self._fitted_to is None or "@" not in version or version.partition(" ")[0] == self._fitted_to:
            return
        name = self._fitted_to.partition("@")[0]
        other = "" if version.startswith(f"{name}@") else f"give weights={name!r}, or "
        message = "the policy was fitted to scores of %s, and here %s scores: %stune it again"
        logger.warning(message, self._fitted_to, version, other)

    def score(self, texts: Sequence[str], indices: Sequence[int], cache: bool = True) -> list[TextScores]:
        """P(success) of each text for the candidates at ``indices``, and its fields, from one call of the scorer.

        Raises:
            CheckpointError: The weights cannot be used.
            ScoringError: The scorer returned the wrong shape, or values that are not probabilities.
        """
        scorer = self._load() if self._loaded is None else self._loaded
        profiles = [self._profiles[index] for index in indices]
        if self._cache is None or not cache:
            return _checked(scorer, texts, profiles)
        digests = tuple([profile.digest for profile in profiles])
        return self._cache.score(texts, scorer.version, digests, lambda new: _checked(scorer, new, profiles))


def _checked(scorer: Scorer, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> list[TextScores]:
    """What the scorer says of each text, if it can be right."""
    try:
        found = scorer.score(texts, profiles)
    except SystemExit as error:  # a scorer of somebody's own may fail, but not end the program that routes with it
        raise ScoringError("the scorer called sys.exit: a scorer raises an error instead") from error
    if not isinstance(found, Scores):
        raise ScoringError(f"the scorer returned {type(found).__name__}, not modelsat.inference.Scores")
    p = np.asarray(found.p, dtype=np.float64)
    if p.shape != (len(texts), len(profiles)):
        raise ScoringError(f"the scorer returned shape {p.shape} for {len(texts)} texts and {len(profiles)} candidates")
    if not ((p >= 0.0) & (p <= 1.0)).all():
        raise ScoringError("the scorer returned values that are not probabilities; check the checkpoint's files")
    return [TextScores(row, fields, found.version) for row, fields in zip(p.tolist(), found.by_field(), strict=True)]


class Selection(NamedTuple):
    """What choosing does to the logit of P(success): it becomes ``level + slope x logit + size x ln(pool)``.

    The winner of a comparison is also the luckiest of those compared. Fitted by ``recipes/selection.py`` to what chosen
    candidates achieved on held-out prompts. It rises with P and is the same for all candidates of a request: it changes
    no order, only what reaches a target.
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
        shift, slope = self.level + self.size * math.log(min(pool, LARGEST_POOL)), self.slope
        kept = [min(max(p, _EDGE), 1.0 - _EDGE) for p in scores]
        return [1.0 / (1.0 + math.exp(-(shift + slope * math.log(p / (1.0 - p))))) for p in kept]

    def undo(self, scores: Sequence[float]) -> list[float]:
        """What :meth:`correct` was given."""
        pool = len(set(scores))
        if pool < 2:
            return list(scores)
        shift, slope = self.level + self.size * math.log(min(pool, LARGEST_POOL)), self.slope
        kept = [min(max(p, _EDGE), 1.0 - _EDGE) for p in scores]
        return [1.0 / (1.0 + math.exp((shift - math.log(p / (1.0 - p))) / slope)) for p in kept]


def selection_of(weights: str, policy: Policy | str) -> Selection | None:
    """The correction for a version of weights and a policy (or its name).

    ``None`` for weights that nothing was fitted to, and for policies of somebody's own.
    """
    while not isinstance(policy, str):
        if type(policy) is not POLICIES.get(policy.name):
            return None
        policy = getattr(policy, "inner", policy.name)
    return _fitted().get(weights.partition("@")[0].rpartition("/")[2], {}).get(_LIKE.get(policy, ""))


@lru_cache(maxsize=1)
def _fitted() -> Mapping[str, Mapping[str, Selection]]:
    found = json.loads(files("modelsat.router").joinpath("data", DATA).read_text("utf-8"))
    return {
        weights: {name: Selection(*numbers) for name, numbers in entry["policies"].items()}
        for weights, entry in found.items()
    }


class Doubts:
    """Intervals of P(success) for a fixed set of candidates. Thread-safe.

    A profile gives the level of its model with a standard error (:mod:`modelsat.capability.equating`): small with many
    figures, large with few or with figures of relatives. P(success) moves with the level as the accuracy on an average
    task does: by its discrimination, in logits for each unit of ability. The interval says what that leaves open, and
    nothing about how well the network reads the prompt.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._profiles = {candidate.name: candidate.profile for candidate in candidates}
        self._factors: dict[str, float] = {}

    def intervals(self, scores: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """The 90 % interval around each of ``scores``, P(success) by candidate."""
        found = {}
        for name, p in scores.items():
            factor = self._factors.get(name) or self._factor(name)
            inner = min(max(p, _EDGE), 1.0 - _EDGE)
            against = (1.0 - inner) / inner
            found[name] = 1.0 / (1.0 + factor * against), 1.0 / (1.0 + against / factor)
        return found

    def _factor(self, name: str) -> float:
        """What the odds may be off by, either way."""
        from modelsat.capability.equating import equate, level_error

        error = level_error(equate(self._profiles[name], report=False))
        factor = self._factors[name] = math.exp(_DEVIATIONS * error * _slope())
        return factor


@lru_cache(maxsize=1)
def _slope() -> float:
    """Mean discrimination of the reference tasks: logits of accuracy for each unit of ability."""
    from modelsat.capability.equating import reference_tasks
    from modelsat.capability.tasks import reference

    slopes = [reference(task).discrimination for task in reference_tasks()]
    return sum(slopes) / len(slopes)
