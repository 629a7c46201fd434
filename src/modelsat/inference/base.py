"""The one interface between the router and the network, and the cache of its scores."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError

Floats = NDArray[np.float32]
Key = tuple[str, tuple[str, ...], bytes]
"""Version of the weights, digests of the candidates' profiles, hash of the text."""


class TextScores(NamedTuple):
    """What a scorer says of one text."""

    p: Sequence[float]  # P(success) for each profile
    fields: Mapping[str, float]  # shares of the fields, by name
    version: str


@dataclass(frozen=True, slots=True)
class Scores:
    """What a scorer says of some texts.

    Attributes:
        p: Calibrated P(success), shape (texts, profiles).
        version: Version of the weights that gave them.
        fields: Names of the fields that the weights tell apart, e.g. ``"mathematics"``; none if they know none.
        shares: Share of each field in each text, shape (texts, fields); not looked at without fields.
    """

    p: Floats
    version: str
    fields: tuple[str, ...] = ()
    shares: Floats = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))

    def part(self, start: int, end: int) -> Scores:
        """The scores of the texts from ``start`` up to ``end``."""
        return Scores(self.p[start:end], self.version, self.fields, self.shares[start:end])

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of one call that was cut in parts; their fields are left out where weights of others answered.

        Args:
            parts: At least one.
        """
        last = parts[-1]
        if len(parts) == 1:
            return last
        p = np.concatenate([part.p for part in parts])
        if not last.fields or any(part.fields != last.fields for part in parts):
            return cls(p, last.version)
        return cls(p, last.version, last.fields, np.concatenate([part.shares for part in parts]))

    def by_field(self, least: float = 0.02) -> list[dict[str, float]]:
        """The shares of each text by name, rounded to a thousandth; those below ``least`` are left out."""
        if not self.fields:
            return [{}] * len(self.p)
        return [
            {name: round(share, 3) for name, share in zip(self.fields, row, strict=True) if share >= least}
            for row in self.shares.tolist()
        ]


@runtime_checkable
class Scorer(Protocol):
    """Turns texts and capability profiles into probabilities of success.

    Implementations are thread-safe: several threads may call :meth:`score` at once. What they derive from a profile
    they keep to themselves, by its :attr:`~modelsat.capability.CapabilityProfile.digest`.
    """

    @property
    def version(self) -> str:
        """Name and content hash of the weights, e.g. ``"modelsat-nano@1a2b3c4d5e6f"``."""
        ...

    def score(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        """P(success) of each text for each profile, and the fields of each text.

        Args:
            texts: Not empty; long ones are cut to head and tail within the checkpoint's token budget.
            profiles: Of the candidates; at least one.

        Raises:
            ScoringError: The network returned something that is not a probability.
        """
        ...


class ScoreCache:
    """A bounded least-recently-used cache of rows of scores, each for a limited time. Thread-safe.

    It keeps scores and not decisions: policies, constraints and prices act on every request as ever. Rows are kept
    under a hash of the text that is scored, so no prompt is held.

    Args:
        size: Rows that are kept.
        ttl_s: Seconds that a row is good for.
        clock: Seconds that only ever grow.

    Raises:
        ConfigurationError: ``size`` or ``ttl_s`` is not positive.
    """

    def __init__(self, size: int = 4096, ttl_s: float = 600.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        if size < 1 or not ttl_s > 0:
            raise ConfigurationError(f"a score cache needs a positive size and ttl_s, not {size} and {ttl_s}")
        self._size, self._ttl, self._clock = size, ttl_s, clock
        self._rows: OrderedDict[Key, tuple[float, TextScores]] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as an empty cache of the same bounds."""
        return partial(ScoreCache, clock=self._clock), (self._size, self._ttl)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def counts(self) -> dict[str, int]:
        """``hits`` and ``misses`` so far."""
        with self._lock:
            return {"hits": self._hits, "misses": self._misses}

    def clear(self) -> None:
        """Forget all rows."""
        with self._lock:
            self._rows.clear()

    def score(
        self,
        texts: Sequence[str],
        version: str,
        digests: tuple[str, ...],
        compute: Callable[[Sequence[str]], Sequence[TextScores]],
    ) -> list[TextScores]:
        """Scores of every text; those not at hand are computed, equal texts once. What ``compute`` raises is passed on.

        ``version`` is that of the weights that score, ``digests`` are those of the candidates' profiles.
        """
        hashes = [hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest() for said in texts]
        rows: dict[bytes, TextScores] = {}
        now = self._clock()
        with self._lock:
            for text in hashes:
                kept = self._rows.get(key := (version, digests, text))
                if kept is not None and kept[0] > now:
                    self._rows.move_to_end(key)
                    rows[text] = kept[1]
                    self._hits += 1
                else:
                    self._misses += 1
        missing = {text: said for text, said in zip(hashes, texts, strict=True) if text not in rows}
        if missing:
            fresh = dict(zip(missing, compute(list(missing.values())), strict=True))
            rows.update(fresh)
            until = self._clock() + self._ttl
            with self._lock:
                for text, scores in fresh.items():
                    key = (scores.version, digests, text)
                    self._rows[key] = (until, scores)
                    self._rows.move_to_end(key)
                while len(self._rows) > self._size:
                    self._rows.popitem(last=False)
        return [rows[text] for text in hashes]


def resolve_cache(cache: ScoreCache | bool) -> ScoreCache | None:
    """The cache that a router asks for: its own with ``True``, none with ``False``, or the one given.

    Raises:
        ConfigurationError: It is something else.
    """
    if isinstance(cache, ScoreCache):
        return cache
    if isinstance(cache, bool):
        return ScoreCache() if cache else None
    raise ConfigurationError(f"cache must be True, False or a ScoreCache, not {type(cache).__name__}")


def chunks(texts: Sequence[str], most: int, characters: int) -> list[list[str]]:
    """Texts in groups of ``most`` texts and so many ``characters`` at most, or of one text."""
    found: list[list[str]] = []
    size = 0
    for text in texts:
        if not found or len(found[-1]) >= most or size + len(text) > characters:
            found.append([])
            size = 0
        found[-1].append(text)
        size += len(text)
    return found
