"""Scores that were just computed, kept for a while: the same conversation is often routed again."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from modelsat.errors import ConfigurationError
from modelsat.inference.base import TextScores

Key = tuple[str, tuple[str, ...], bytes]
"""Version of the weights, digests of the candidates' profiles, hash of the text."""


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
        """Scores of every text, computed for those that are not at hand.

        Args:
            texts: Equal ones are computed once.
            version: Version of the weights that score; those of others are not taken.
            digests: Of the candidates' profiles.
            compute: Scores of some of the texts. What it raises is passed on, and nothing is kept.
        """
        hashes = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        rows = self._find(version, digests, hashes)
        missing = {key: text for key, text in zip(hashes, texts, strict=True) if key not in rows}
        if missing:
            fresh = dict(zip(missing, compute(list(missing.values())), strict=True))
            self._keep(digests, fresh)
            rows.update(fresh)
        return [rows[key] for key in hashes]

    def _find(self, version: str, digests: tuple[str, ...], hashes: Sequence[bytes]) -> dict[bytes, TextScores]:
        found = {}
        now = self._clock()
        with self._lock:
            for text in hashes:
                key = (version, digests, text)
                kept = self._rows.get(key)
                if kept is not None and kept[0] > now:
                    self._rows.move_to_end(key)
                    found[text] = kept[1]
                    self._hits += 1
                else:
                    self._misses += 1
        return found

    def _keep(self, digests: tuple[str, ...], rows: dict[bytes, TextScores]) -> None:
        until = self._clock() + self._ttl
        with self._lock:
            for text, scores in rows.items():
                key = (scores.version, digests, text)
                self._rows[key] = (until, scores)
                self._rows.move_to_end(key)
            while len(self._rows) > self._size:
                self._rows.popitem(last=False)


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
