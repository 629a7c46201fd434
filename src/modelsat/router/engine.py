"""The part of the router that holds the scorer: loads it once, keeps its scores, checks what it returns."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modelsat.candidates.candidate import Candidate
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ScoringError
from modelsat.inference.base import Scorer, Scores, TextScores
from modelsat.inference.cache import ScoreCache

logger = logging.getLogger("modelsat")


class Engine:
    """Scores texts for candidates. Thread-safe; weights load at first use, exactly once.

    A failed load is not remembered: the next request tries again.

    Args:
        candidates: Whom to score.
        weights: Name or folder of a checkpoint.
        scorer: A scorer in place of the weights, or the address of one.
        cache_dir: Where capability embeddings are kept.
        cache: Where scores are kept.
        fitted_to: Version of the weights that the policy was fitted to; others are warned of.
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
        self._cache, self._fitted_to = cache, fitted_to
        self._profiles = [candidate.profile for candidate in candidates]
        self._weights = weights
        self._given = _remote(scorer) if isinstance(scorer, str) else scorer
        self._cache_dir = cache_dir
        self._lock = threading.Lock()
        self._loaded: Scorer | None = None

    @property
    def version(self) -> str:
        """Version of the weights; before they are loaded, the name they were asked for under."""
        scorer = self._loaded or self._given
        return scorer.version if scorer is not None else str(self._weights)

    def load(self) -> Scorer:
        """Load the weights, or return what is there.

        Raises:
            CheckpointError: The weights cannot be used.
        """
        if (loaded := self._loaded) is not None:
            return loaded
        with self._lock:
            if self._loaded is None:
                scorer = self._given if self._given is not None else _load_scorer(self._weights, self._cache_dir)
                self._compare(scorer.version)
                self._loaded = scorer
            return self._loaded

    def _compare(self, version: str) -> None:
        """Warn where the policy was fitted to scores of other weights than these."""
        if self._fitted_to is None or "@" not in version or version.partition(" ")[0] == self._fitted_to:
            return
        name = self._fitted_to.partition("@")[0]
        other = "" if version.startswith(f"{name}@") else f"give weights={name!r}, or "
        logger.warning(
            "the policy was fitted to scores of %s, and here %s scores: %stune it again",
            self._fitted_to,
            version,
            other,
        )

    def score(self, texts: Sequence[str], indices: Sequence[int], cache: bool = True) -> list[TextScores]:
        """P(success) of each text for the candidates at ``indices``, and its fields, from one call of the scorer.

        Args:
            texts: Not empty.
            indices: Positions of the candidates to score.
            cache: Whether kept scores will do, and these are kept.

        Raises:
            CheckpointError: The weights cannot be used.
            ScoringError: The scorer returned the wrong shape, or values that are not probabilities.
        """
        scorer = self.load()
        profiles = [self._profiles[index] for index in indices]
        if self._cache is None or not cache:
            return _checked(scorer, texts, profiles)
        digests = tuple([profile.digest for profile in profiles])
        return self._cache.score(texts, scorer.version, digests, lambda new: _checked(scorer, new, profiles))


def _remote(url: str) -> Scorer:
    from modelsat.inference.client import RemoteScorer

    return RemoteScorer(url)


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


def _load_scorer(weights: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None) -> Scorer:
    from modelsat.inference import load_scorer

    return load_scorer(weights if isinstance(weights, str) else Path(weights), cache_dir=cache_dir)
