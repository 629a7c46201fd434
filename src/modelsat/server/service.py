"""The side that holds the network: scores for profiles by digest, each encoded once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from modelsat.capability.profile import CapabilityProfile
from modelsat.inference.base import Scorer
from modelsat.inference.remote import Floats, Scores, UnknownProfilesError

_SETS_KEPT = 256


class ScoringService:
    """Scores texts for profiles named by digest. Thread-safe; holds a bounded number of capability embeddings.

    Args:
        scorer: The network.
        most_profiles: Embeddings kept; the least recently used are dropped and asked for again.
    """

    def __init__(self, scorer: Scorer, most_profiles: int = 4096) -> None:
        self._scorer = scorer
        self._most = most_profiles
        self._rows: OrderedDict[str, Floats] = OrderedDict()
        self._sets: OrderedDict[tuple[str, ...], Floats] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """Version of the weights."""
        return self._scorer.version

    def score(
        self, instructions: Sequence[str], named: Sequence[str], definitions: Sequence[CapabilityProfile] = ()
    ) -> Scores:
        """P(success) of each instruction for each profile, shape (instructions, profiles).

        Args:
            instructions: Non-empty texts, scored as they are.
            named: Digests of profiles.
            definitions: Profiles that may not be known here yet.

        Raises:
            UnknownProfilesError: Profiles were named that are neither known nor defined.
            ScoringError: The network failed.
        """
        capabilities = self.capabilities(named, definitions)
        scores = self._scorer.score(instructions, capabilities)
        return Scores(self._scorer.version, scores)

    def capabilities(self, named: Sequence[str], definitions: Sequence[CapabilityProfile] = ()) -> Floats:
        """Capability embeddings, shape (len(named), width); the same array for the same names.

        Raises:
            UnknownProfilesError: Profiles were named that are neither known nor defined.
        """
        key = tuple(named)
        with self._lock:
            if (found := self._sets.get(key)) is not None:
                self._sets.move_to_end(key)
                return found
        defined = {profile.digest: profile for profile in definitions}
        with self._lock:
            fresh = [profile for digest, profile in defined.items() if digest not in self._rows]
        encoded = (
            dict(zip((p.digest for p in fresh), self._scorer.encode_profiles(fresh), strict=True)) if fresh else {}
        )
        with self._lock:
            return self._stack(key, encoded)

    def _stack(self, key: tuple[str, ...], encoded: dict[str, Floats]) -> Floats:
        self._rows.update(encoded)
        missing = sorted({digest for digest in key if digest not in self._rows})
        if missing:
            raise UnknownProfilesError(missing)
        for digest in key:
            self._rows.move_to_end(digest)
        rows = np.stack([self._rows[digest] for digest in key])
        rows.flags.writeable = False
        self._sets[key] = rows
        while len(self._sets) > _SETS_KEPT:
            self._sets.popitem(last=False)
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)
        return rows
