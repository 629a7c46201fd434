"""What every scorer elsewhere has in common, over HTTP or Ray.

The process that holds the network encodes profiles; everyone else names them by their digests and sends a definition
where the other side asks for it. So a profile is sent once, and new weights there need nothing from their clients.
"""

from __future__ import annotations

import logging
import os
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modelsat._logging import ThrottledLog
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ModelSATError, ScoringError
from modelsat.inference.base import Scorer, Scores, chunks

logger = logging.getLogger("modelsat")

_PROMPTS = 64
_CHARACTERS = 100_000


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


class DistantScorer(ABC):
    """A :class:`~modelsat.inference.base.Scorer` whose network runs elsewhere. Thread-safe.

    Args:
        place: Where the network runs, for messages and as the version until there was an answer.
        embedded: A scorer in this process, or the weights to load it from, that scores when the other side cannot.
            Without one, failures raise and the router takes its fallback model.

    Attributes:
        version: Version of the weights that gave the other side's last answer; the place until there was one.
    """

    def __init__(self, place: str, embedded: Scorer | str | os.PathLike[str] | None = None) -> None:
        self.place = self.version = place
        self._embedded = embedded
        self._fallbacks: Counter[str] = Counter()
        self._log = ThrottledLog(logger)
        self._lock = threading.Lock()

    @property
    def fallbacks(self) -> Counter[str]:
        """How often the embedded scorer stood in, by class of error; a copy."""
        with self._lock:
            return self._fallbacks.copy()

    def score(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        """Scores from the other side or the embedded scorer; see :class:`~modelsat.inference.base.Scorer`.

        Raises:
            ScoringError: The other side could not be reached or refused, and there is no embedded scorer.
        """
        if not texts:
            return Scores(np.empty((0, len(profiles)), dtype=np.float32), self.version)
        return Scores.joined([self._part(chunk, profiles) for chunk in chunks(texts, _PROMPTS, _CHARACTERS)])

    def _part(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        try:
            answer = self._ask_all(texts, profiles)
        except ModelSATError as error:
            if self._embedded is None:
                raise
            name = type(error).__name__
            with self._lock:
                self._fallbacks[name] += 1
            message = "the embedded scorer stands in for %s: %s: %s"
            self._log.log(logging.WARNING, name, message, self.place, name, error)
            found = self._stand_in().score(texts, profiles)
            return replace(found, version=f"{found.version} (embedded)")
        self.version = answer.version
        return answer

    def _ask_all(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        digests = tuple([profile.digest for profile in profiles])
        try:
            answer = self._ask(texts, digests, ())
        except UnknownProfilesError as error:
            missing = set(error.missing)
            answer = self._ask(texts, digests, [profile for profile in profiles if profile.digest in missing])
        if answer.p.shape != (len(texts), len(profiles)):
            raise ScoringError(
                f"{self.place} answered shape {answer.p.shape} where {(len(texts), len(profiles))} was asked"
            )
        if answer.fields and answer.shares.shape != (len(texts), len(answer.fields)):
            raise ScoringError(f"{self.place} answered shares of shape {answer.shares.shape} for {len(texts)} texts")
        return answer

    def _stand_in(self) -> Scorer:
        """The embedded scorer, loaded when it is first needed."""
        with self._lock:
            if isinstance(self._embedded, str | os.PathLike):
                from modelsat.inference import load_scorer

                self._embedded = load_scorer(self._embedded)
            assert self._embedded is not None  # noqa: S101 - asked for only where there is one
            return self._embedded

    @abstractmethod
    def _ask(self, texts: Sequence[str], digests: tuple[str, ...], definitions: Sequence[CapabilityProfile]) -> Scores:
        """Ask the other side once, retries included; ``definitions`` are the profiles that it lacks.

        Raises:
            UnknownProfilesError: It lacks profiles; the call is made again with their definitions.
            ScoringError: It failed.
        """
