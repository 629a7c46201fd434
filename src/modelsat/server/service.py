"""The side that holds the network: scores for profiles by digest, each defined once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from modelsat.capability.profile import CapabilityProfile
from modelsat.inference.base import Scorer, Scores
from modelsat.inference.remote import UnknownProfilesError


class ScoringService:
    """Scores texts for profiles named by digest. Thread-safe; holds a bounded number of profiles.

    Args:
        scorer: The network.
        most_profiles: Profiles kept; the least recently used are dropped and asked for again.
    """

    def __init__(self, scorer: Scorer, most_profiles: int = 4096) -> None:
        self._scorer = scorer
        self._most = most_profiles
        self._profiles: OrderedDict[str, CapabilityProfile] = OrderedDict()
        self._lock = threading.Lock()

    def score(
        self, texts: Sequence[str], digests: Sequence[str], definitions: Sequence[CapabilityProfile] = ()
    ) -> Scores:
        """Scores of each text for each profile.

        Args:
            texts: Not empty, scored as they are.
            digests: Of the profiles.
            definitions: Profiles that may not be known here yet.

        Raises:
            UnknownProfilesError: Profiles were named that are neither known nor defined.
            ScoringError: The network failed.
        """
        return self._scorer.score(texts, self._named(digests, definitions))

    def _named(self, digests: Sequence[str], definitions: Sequence[CapabilityProfile]) -> list[CapabilityProfile]:
        with self._lock:
            self._profiles.update((profile.digest, profile) for profile in definitions)
            if missing := sorted({digest for digest in digests if digest not in self._profiles}):
                raise UnknownProfilesError(missing)
            for digest in digests:
                self._profiles.move_to_end(digest)
            named = [self._profiles[digest] for digest in digests]
            while len(self._profiles) > self._most:
                self._profiles.popitem(last=False)
            return named
