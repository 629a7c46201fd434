"""Scores of a server that are known already: routers keep none of those, and agents send one user turn many times."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelsat.capability.profile import CapabilityProfile
    from modelsat.inference.base import Scorer

TEXTS = 4_096
"""Texts whose scores are kept."""


class RememberingScorer:
    """A scorer that scores a text once. Thread-safe; keeps digests and scores, never texts.

    What its scorer returns is remembered as it is, but for scores that are not finite.

    Args:
        scorer: What scores.
        texts: Texts whose scores are kept; those not asked for longest are forgotten first.
    """

    def __init__(self, scorer: Scorer, texts: int = TEXTS) -> None:
        self._scorer = scorer
        self._texts = texts
        self._known: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the scorer's own."""
        return getattr(self._scorer, name)

    @property
    def version(self) -> str:
        """Version of the weights."""
        return self._scorer.version

    def encode_profiles(self, profiles: Sequence[CapabilityProfile]) -> NDArray[np.float32]:
        """Capability embeddings, shape (len(profiles), width)."""
        return self._scorer.encode_profiles(profiles)

    def score(self, instructions: Sequence[str], capabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """P(success), shape (len(instructions), len(capabilities)); new texts in one pass, others from memory."""
        candidates = hashlib.sha256(np.ascontiguousarray(capabilities).tobytes()).digest()
        keys = [hashlib.sha256(candidates + text.encode("utf-8", "surrogatepass")).digest() for text in instructions]
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
            for key in found:
                self._known.move_to_end(key)
        new = {key: text for key, text in zip(keys, instructions, strict=True) if key not in found}
        if new:
            rows = np.asarray(self._scorer.score(list(new.values()), capabilities))
            if rows.shape != (len(new), len(capabilities)):
                return rows if len(new) == len(keys) else self._scorer.score(instructions, capabilities)
            found.update(zip(new, rows, strict=True))
            self._keep({key: row for key, row in zip(new, rows, strict=True) if np.isfinite(row).all()})
        return np.stack([found[key] for key in keys])

    def _keep(self, rows: dict[bytes, NDArray[np.float32]]) -> None:
        with self._lock:
            self._known.update(rows)
            while len(self._known) > self._texts:
                self._known.popitem(last=False)
