"""What stands before the network: calls share its passes, and profiles are named by digest, each defined once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

import numpy as np

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ScorerUnavailableError
from modelsat.inference.base import Scorer, Scores
from modelsat.inference.batching import Batcher, ScorerBusyError
from modelsat.inference.remote import UnknownProfilesError

_Job = tuple[str, Sequence[CapabilityProfile]]
_PROFILES_KEPT = 4096
_BYTES_KEPT = 64 << 20
"""Memory of the profiles kept, about."""


class BatchingScorer:
    """A :class:`~modelsat.inference.base.Scorer` whose concurrent calls share passes of the network. Thread-safe.

    A call that finds the network busy joins the next pass with every other call for the same candidates. Long calls are
    cut, so that short ones get their turn between the parts.

    Args:
        scorer: The network.
        max_batch: Most texts of a pass.
        wait_ms: Longest wait for company while the network is idle; 0 starts at once.
        timeout_s: Seconds after which a caller gives up.
        observe: Called with the number of texts and the seconds of every pass.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        max_batch: int = 32,
        wait_ms: float = 0.0,
        timeout_s: float = 10.0,
        observe: Callable[[int, float], None] = lambda texts, seconds: None,
    ) -> None:
        self._scorer = scorer
        self._max_batch, self._timeout_s = max_batch, timeout_s
        self._batcher: Batcher[_Job, Scores] = Batcher(self._run, max_batch, observe, wait_ms / 1000.0)

    @property
    def version(self) -> str:
        """Version of the weights."""
        return self._scorer.version

    def score(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        """Scores; see :class:`~modelsat.inference.base.Scorer`.

        Raises:
            ScorerUnavailableError: No result within ``timeout_s``, or the scorer was closed.
            ScoringError: The network failed.
        """
        deadline = time.monotonic() + self._timeout_s
        key = tuple([profile.digest for profile in profiles])
        rows: list[Scores] = []
        for start in range(0, len(texts), self._max_batch):
            rows += self._part(key, [(text, profiles) for text in texts[start : start + self._max_batch]], deadline)
        if not rows:
            return Scores(np.empty((0, len(profiles)), dtype=np.float32), self.version)
        return Scores.joined(rows)

    def close(self) -> None:
        """Stop: the pass that runs is finished, calls that wait fail."""
        self._batcher.close(self._timeout_s)

    def _part(self, key: Hashable, jobs: Sequence[_Job], deadline: float) -> list[Scores]:
        futures: list[Future[Scores]] = []
        try:
            futures = self._batcher.submit_all(key, jobs, self._timeout_s)
            return [future.result(max(0.0, deadline - time.monotonic())) for future in futures]
        except (FutureTimeout, TimeoutError):
            raise ScorerUnavailableError(f"no scores within {self._timeout_s:g} s: the server is overloaded") from None
        except ScorerBusyError as error:
            raise ScorerUnavailableError(f"the server takes no more for now: {error}") from None
        finally:
            for future in futures:
                future.cancel()

    def _run(self, _key: Hashable, jobs: Sequence[_Job]) -> list[Scores | BaseException]:
        scores = self._scorer.score([text for text, _ in jobs], jobs[0][1])
        return [scores.part(row, row + 1) for row in range(len(jobs))]


class ScoringService:
    """Scores texts for profiles named by digest. Thread-safe; holds a bounded number of profiles.

    The least recently used profiles are dropped and asked for again.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._profiles: OrderedDict[str, CapabilityProfile] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def score(self, texts: Sequence[str], digests: Sequence[str], definitions: Sequence[CapabilityProfile]) -> Scores:
        """Scores of each text for each profile.

        Args:
            texts: Not empty, scored as they are.
            digests: Of the profiles.
            definitions: Profiles that may not be known here yet.

        Raises:
            UnknownProfilesError: Profiles were named that are neither known nor defined.
            ScoringError: The network failed.
        """
        with self._lock:
            for profile in definitions:
                if profile.digest not in self._profiles:
                    self._bytes += _size(profile)
                    self._profiles[profile.digest] = profile
            known = dict.fromkeys(digest for digest in digests if digest in self._profiles)
            for digest in known:
                self._profiles.move_to_end(digest)
            named = [self._profiles[digest] for digest in digests if digest in known]
            while len(self._profiles) > _PROFILES_KEPT or self._bytes > _BYTES_KEPT:
                self._bytes -= _size(self._profiles.popitem(last=False)[1])
            if missing := sorted(set(digests).difference(known)):
                raise UnknownProfilesError(missing)
        return self._scorer.score(texts, named)


def _size(profile: CapabilityProfile) -> int:
    return 1000 + sum(1000 + len(said.task) + len(said.description) for said in profile.statements)
