"""A deterministic scorer and profiles, for every test folder."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.profile import CapabilityProfile
from modelsat.inference.base import Scores

WIDTH = 8


def fake_embedding(profile: CapabilityProfile) -> NDArray[np.float32]:
    """Numbers that stand for a profile, shape (8,); the first is the accuracy of its first statement."""
    digest = hashlib.sha256(profile.digest.encode()).digest()
    row = np.frombuffer(digest[:WIDTH], dtype=np.uint8).astype(np.float32) / 255.0
    row[0] = profile.statements[0].accuracy
    return row


class FakeEncoder:
    """Profiles to capability embeddings.

    Attributes:
        encoded: The number of profiles of each call.
    """

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def __call__(self, profiles: Sequence[CapabilityProfile]) -> NDArray[np.float32]:
        self.encoded.append(len(profiles))
        return np.stack([fake_embedding(profile) for profile in profiles])


class FakeScorer:
    """A scorer without a network. P(success) is scripted by model accuracy, or follows from a hash of text and profile.

    Args:
        scripted: P(success) by the accuracy of a profile's first statement; everything else is hashed.
        version: Version of the pretended weights.
        delay_s: Seconds each call of ``score`` takes.
        error: Raised by every call of ``score``.
        transform: Applied to the scores before they are returned.

    Attributes:
        calls: The texts of each call of ``score``.
    """

    def __init__(
        self,
        scripted: Mapping[float, float] | None = None,
        *,
        version: str = "fake@1",
        delay_s: float = 0.0,
        error: BaseException | None = None,
        transform: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
    ) -> None:
        self.scripted = {round(accuracy, 6): score for accuracy, score in (scripted or {}).items()}
        self._version = version
        self.delay_s = delay_s
        self.error = error
        self.transform = transform
        self.calls: list[list[str]] = []
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        return self._version

    def score(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        with self._lock:
            self.calls.append(list(texts))
        if self.delay_s:
            time.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        rows = [fake_embedding(profile) for profile in profiles]
        p = np.array([[self._probability(text, row) for row in rows] for text in texts], np.float32)
        return Scores(p if self.transform is None else self.transform(p), self.version)

    def _probability(self, text: str, row: NDArray[np.float32]) -> float:
        scripted = self.scripted.get(round(float(row[0]), 6))
        if scripted is not None:
            return scripted
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass") + row.tobytes()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32


def make_profile(name: str, accuracy: float = 0.5) -> CapabilityProfile:
    """A profile of one figure."""
    return CapabilityProfile.from_benchmarks(name, {"MMLU": accuracy})
