"""The part of the router that holds the network: loads it once, encodes the candidates, checks what it returns."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsat.candidates.candidate import Candidate
from modelsat.errors import ScoringError
from modelsat.inference.base import FieldScorer, Scorer
from modelsat.inference.cache import ScoreCache
from modelsat.inference.fields import named
from modelsat.storage.cache import CapabilityCache

logger = logging.getLogger("modelsat")

_SUBSETS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is there once the weights are: the scorer, the capability embeddings (candidates, width), and their hash."""

    scorer: Scorer
    capabilities: NDArray[np.float32]
    profiles: str


class Engine:
    """Scores instructions for candidates. Thread-safe; weights load at first use, exactly once.

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
        self._scorer = _remote(scorer) if isinstance(scorer, str) else scorer
        self._cache_dir = cache_dir
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        self._subsets: dict[tuple[int, ...], NDArray[np.float32]] = {}

    @property
    def version(self) -> str:
        """Version of the weights; before they are loaded, the name they were asked for under."""
        if self._loaded is not None:
            return self._loaded.scorer.version
        return self._scorer.version if self._scorer is not None else str(self._weights)

    def load(self) -> Loaded:
        """Load the weights and encode the candidates' profiles, or return what is there.

        Raises:
            CheckpointError: The weights cannot be used.
            ScoringError: The capability embeddings are not finite or have the wrong shape.
        """
        if (loaded := self._loaded) is not None:
            return loaded
        with self._lock:
            if self._loaded is None:
                scorer = self._scorer if self._scorer is not None else _load_scorer(self._weights, self._cache_dir)
                capabilities = self._encode(scorer)
                self._loaded = Loaded(scorer, capabilities, hashlib.sha256(capabilities.tobytes()).hexdigest())
                self._compare(scorer.version)
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

    def _encode(self, scorer: Scorer) -> NDArray[np.float32]:
        if getattr(scorer, "keeps_profiles", False):  # it returns references to profiles that it holds itself
            return scorer.encode_profiles(self._profiles)
        return CapabilityCache(scorer.version, self._cache_dir).get_or_encode(self._profiles, scorer.encode_profiles)

    def score(self, instructions: Sequence[str], indices: tuple[int, ...], cache: bool = True) -> NDArray[np.float64]:
        """P(success), shape (len(instructions), len(indices)), from one call of the scorer.

        Args:
            instructions: Non-empty texts.
            indices: Positions of the candidates to score.
            cache: Whether kept scores will do, and these are kept.

        Raises:
            ScoringError: The scorer returned the wrong shape, or values that are not probabilities.
        """
        loaded = self.load()
        kept = self._cache if cache and instructions else None
        if kept is None or getattr(loaded.scorer, "keeps_profiles", False):
            return self._compute(loaded, instructions, indices)
        return kept.score(
            instructions,
            f"{loaded.scorer.version} {loaded.profiles}",
            indices,
            lambda texts: self._compute(loaded, texts, indices),
        )

    def _compute(self, loaded: Loaded, instructions: Sequence[str], indices: tuple[int, ...]) -> NDArray[np.float64]:
        with _contained():
            scores = loaded.scorer.score(instructions, self._rows(loaded, indices))
        return _checked(scores, len(instructions), len(indices))

    def score_with_fields(
        self, instructions: Sequence[str], indices: tuple[int, ...], cache: bool = True
    ) -> tuple[NDArray[np.float64], list[dict[str, float]]]:
        """As :meth:`score`, and the shares of the fields in each instruction; none where the scorer knows no fields."""
        scorer = self.load().scorer
        if not isinstance(scorer, FieldScorer) or not scorer.fields:
            return self.score(instructions, indices, cache), [{}] * len(instructions)
        with _contained():
            scores, shares = scorer.score_with_fields(instructions, self._rows(self.load(), indices))
        return _checked(scores, len(instructions), len(indices)), named(scorer.fields, shares)

    def _rows(self, loaded: Loaded, indices: tuple[int, ...]) -> NDArray[np.float32]:
        if len(indices) == len(self._profiles):
            return loaded.capabilities
        rows = self._subsets.get(indices)
        if rows is None:
            if len(self._subsets) >= _SUBSETS_KEPT:
                self._subsets = {}
            rows = self._subsets[indices] = np.ascontiguousarray(loaded.capabilities[list(indices)])
        return rows


def _remote(url: str) -> Scorer:
    from modelsat.inference.client import RemoteScorer

    return RemoteScorer(url)


@contextmanager
def _contained() -> Iterator[None]:
    """A scorer of somebody's own may fail, but not end the program that routes with it."""
    try:
        yield
    except SystemExit as error:
        raise ScoringError("the scorer called sys.exit: a scorer raises an error instead") from error


def _checked(found: NDArray[np.float32], instructions: int, candidates: int) -> NDArray[np.float64]:
    scores = np.asarray(found, dtype=np.float64)
    if scores.shape != (instructions, candidates):
        raise ScoringError(
            f"the scorer returned shape {scores.shape} for {instructions} instructions and {candidates} candidates"
        )
    if not ((scores >= 0.0) & (scores <= 1.0)).all():
        raise ScoringError("the scorer returned values that are not probabilities; check the checkpoint's files")
    return scores


def _load_scorer(weights: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None) -> Scorer:
    from modelsat.inference import load_scorer

    return load_scorer(weights if isinstance(weights, str) else Path(weights), cache_dir=cache_dir)
