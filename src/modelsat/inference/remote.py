"""What every scorer elsewhere has in common, over HTTP or Ray: references, versions, and an embedded stand-in."""

from __future__ import annotations

import logging
import os
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsat._logging import ThrottledLog
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError, ModelSATError, ScoringError
from modelsat.inference.base import Scorer
from modelsat.inference.references import digests, references

logger = logging.getLogger("modelsat")

Floats = NDArray[np.float32]

_PROMPTS = 64
_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Scores:
    """What a scorer elsewhere answered.

    Attributes:
        weights: Version of the weights that gave the scores.
        scores: P(success), shape (instructions, profiles).
    """

    weights: str
    scores: Floats


class UnknownProfilesError(ModelSATError, LookupError):
    """The server has not seen a profile, or has forgotten it; the client sends it then.

    Attributes:
        missing: Digests of the profiles.
    """

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(f"{len(missing)} profiles are not known here: send their definitions with the request")
        self.missing = tuple(missing)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.missing,)


class ReferencingScorer(ABC):
    """A :class:`~modelsat.inference.base.Scorer` whose network runs elsewhere. Thread-safe.

    :meth:`encode_profiles` returns references (:mod:`modelsat.inference.references`), not embeddings, so they are never
    cached on disk; the other side encodes each profile once.

    Args:
        place: Where the network runs, for messages and as the version until there was an answer.
        embedded: A scorer in this process, or the weights to load it from, that scores when the other side cannot.
            Without one, failures raise and the router takes its fallback model.
    """

    keeps_profiles = True
    """Tells the router that these capabilities are references: not to be cached."""

    def __init__(self, place: str, embedded: Scorer | str | os.PathLike[str] | None = None) -> None:
        self.place = place
        self._profiles: dict[str, CapabilityProfile] = {}
        self._last = place
        self._here = threading.local()
        self._stand_in = None if embedded is None else _StandIn(embedded)
        self._fallbacks: Counter[str] = Counter()
        self._log = ThrottledLog(logger)
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """Version of the weights that gave this thread's last scores; else of the last answer; else the place."""
        version: str = getattr(self._here, "version", self._last)
        return version

    @property
    def fallbacks(self) -> Counter[str]:
        """How often the embedded scorer stood in, by class of error; a copy."""
        with self._lock:
            return self._fallbacks.copy()

    def encode_profiles(self, profiles: Sequence[CapabilityProfile]) -> Floats:
        """References to ``profiles``, shape (len(profiles), 8). Nothing is sent yet."""
        self._profiles.update((profile.digest, profile) for profile in profiles)
        return references(profiles)

    def score(self, instructions: Sequence[str], capabilities: Floats) -> Floats:
        """P(success), shape (len(instructions), len(capabilities)), from the other side or the embedded scorer.

        Raises:
            ScoringError: The other side could not be reached or refused, and there is no embedded scorer.
        """
        named = digests(capabilities)
        parts = [self._part(chunk, named) for chunk in _chunks(instructions)]
        self._here.version = self._last = parts[-1].weights if parts else self._last
        scores = [part.scores for part in parts]
        return np.concatenate(scores) if scores else np.empty((0, len(named)), dtype=np.float32)

    def _part(self, instructions: Sequence[str], named: tuple[str, ...]) -> Scores:
        try:
            return self._checked(self._ask_all(instructions, named), len(instructions), len(named))
        except ModelSATError as error:
            if self._stand_in is None:
                raise
            self._count(error)
            return self._stand_in.score(instructions, self._defined(named))

    def _ask_all(self, instructions: Sequence[str], named: tuple[str, ...]) -> Scores:
        try:
            return self._ask(instructions, named, ())
        except UnknownProfilesError as error:
            return self._ask(instructions, named, self._defined(error.missing))

    def _checked(self, answer: Scores, rows: int, columns: int) -> Scores:
        if answer.scores.shape != (rows, columns):
            raise ScoringError(f"{self.place} answered shape {answer.scores.shape} where {(rows, columns)} was asked")
        return answer

    def _defined(self, named: Sequence[str]) -> list[CapabilityProfile]:
        try:
            return [self._profiles[digest] for digest in named]
        except KeyError as error:
            raise ScoringError(f"profile {error} was never handed to this scorer's encode_profiles") from error

    def _count(self, error: ModelSATError) -> None:
        name = type(error).__name__
        with self._lock:
            self._fallbacks[name] += 1
        self._log.log(logging.WARNING, name, "the embedded scorer stands in for %s: %s: %s", self.place, name, error)

    @abstractmethod
    def _ask(
        self, instructions: Sequence[str], named: tuple[str, ...], definitions: Sequence[CapabilityProfile]
    ) -> Scores:
        """Ask the other side once, retries included.

        Raises:
            UnknownProfilesError: It lacks profiles; the call is made again with their definitions.
            ScoringError: It failed.
        """


class _StandIn:
    """The embedded scorer: loaded when it is first needed, profiles encoded once."""

    def __init__(self, given: Scorer | str | os.PathLike[str]) -> None:
        self._given = given
        self._scorer: Scorer | None = None
        self._rows: dict[str, Floats] = {}
        self._lock = threading.Lock()

    def score(self, instructions: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        with self._lock:
            scorer = self._scorer = self._scorer or self._load()
            missing = [profile for profile in profiles if profile.digest not in self._rows]
            if missing:
                rows: Mapping[str, Floats] = dict(
                    zip((p.digest for p in missing), scorer.encode_profiles(missing), strict=True)
                )
                self._rows.update(rows)
            capabilities = np.stack([self._rows[profile.digest] for profile in profiles])
        return Scores(f"{scorer.version} (embedded)", scorer.score(instructions, capabilities))

    def _load(self) -> Scorer:
        if not isinstance(self._given, str | os.PathLike):
            return self._given
        from modelsat.inference import load_scorer

        return load_scorer(self._given)


def _chunks(instructions: Sequence[str]) -> list[Sequence[str]]:
    """Instructions in groups that a server takes in one request."""
    chunks: list[list[str]] = []
    size = 0
    for text in instructions:
        if not chunks or len(chunks[-1]) >= _PROMPTS or size + len(text) > _CHARACTERS:
            chunks.append([])
            size = 0
        chunks[-1].append(text)
        size += len(text)
    return list(chunks)


def check_url(url: str) -> str:
    """The address of a server without a slash at its end.

    Raises:
        ConfigurationError: It is no http or https address.
    """
    import httpx

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ConfigurationError(f"scorer={url!r} is no address: write http://host:port ({error})") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"scorer={url!r} is no address: write http://host:port")
    if parsed.userinfo:
        raise ConfigurationError("the scorer's address holds a password: give the key as api_key instead")
    return str(parsed).rstrip("/")
