"""Dynamic micro-batching: what arrives while the network is busy shares its next pass."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ScorerUnavailableError, ScoringError
from modelsat.inference.base import FieldScorer, Scorer
from modelsat.inference.remote import Floats

logger = logging.getLogger("modelsat")

_POLL_S = 0.5


@dataclass(slots=True)
class _Unit:
    """Texts of one caller, scored together."""

    texts: Sequence[str]
    capabilities: Floats
    since: float = field(default_factory=time.monotonic)
    result: Future[Floats] = field(default_factory=Future)


class BatchingScorer:
    """A :class:`~modelsat.inference.base.Scorer` whose concurrent calls share passes of the network. Thread-safe.

    A call that finds the network idle waits at most ``wait_ms`` for company; one that finds it busy joins the next
    pass with every other call for the same candidates. Long calls are cut, so that short ones get their turn between
    the parts.

    Args:
        scorer: The network.
        max_batch: Most texts of a pass.
        wait_ms: Longest wait for company while the network is idle; 0 starts at once.
        timeout_s: Seconds after which a caller gives up.
        passes: Passes that may run at the same time.
        observe: Told the number of texts and the seconds of every pass.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        max_batch: int = 32,
        wait_ms: float = 0.0,
        timeout_s: float = 10.0,
        passes: int = 1,
        observe: Callable[[int, float], None] = lambda texts, seconds: None,
    ) -> None:
        self._scorer = scorer
        self._max_batch, self._wait_s, self._timeout_s = max_batch, wait_ms / 1000.0, timeout_s
        self._observe = observe
        self._units: deque[_Unit] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"modelsat-pass-{number}", daemon=True) for number in range(passes)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def version(self) -> str:
        """Version of the weights."""
        return self._scorer.version

    @property
    def waiting(self) -> int:
        """Texts that wait for a pass."""
        with self._changed:
            return sum(len(unit.texts) for unit in self._units)

    def encode_profiles(self, profiles: Sequence[CapabilityProfile]) -> Floats:
        """Capability embeddings, shape (len(profiles), width)."""
        return self._scorer.encode_profiles(profiles)

    def score(self, instructions: Sequence[str], capabilities: Floats) -> Floats:
        """P(success), shape (len(instructions), len(capabilities)).

        Raises:
            ScorerUnavailableError: No result within ``timeout_s``, or the scorer was closed.
            ScoringError: The network failed.
        """
        deadline = time.monotonic() + self._timeout_s
        parts = [
            self._one(instructions[start : start + self._max_batch], capabilities, deadline)
            for start in range(0, len(instructions), self._max_batch)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(capabilities)), dtype=np.float32)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that the network tells of an instruction; none if it knows none."""
        return self._scorer.fields if isinstance(self._scorer, FieldScorer) else ()

    def score_with_fields(self, instructions: Sequence[str], capabilities: Floats) -> tuple[Floats, Floats]:
        """Scores and shares of the fields, in a pass of its own: only routers that learn from feedback ask for them.

        Raises:
            ScoringError: The network failed, or knows no fields.
        """
        if not isinstance(self._scorer, FieldScorer):
            raise ScoringError("these weights know no fields")
        return self._scorer.score_with_fields(instructions, capabilities)

    def close(self) -> None:
        """Stop: the pass that runs is finished, calls that wait fail."""
        with self._changed:
            self._closed = True
            waiting, self._units = list(self._units), deque()
            self._changed.notify_all()
        for unit in waiting:
            _fail(unit, ScorerUnavailableError("the server is shutting down"))
        for thread in self._threads:
            thread.join(timeout=self._timeout_s)

    def _one(self, texts: Sequence[str], capabilities: Floats, deadline: float) -> Floats:
        unit = _Unit(texts, capabilities)
        with self._changed:
            if self._closed:
                raise ScorerUnavailableError("the server is shutting down")
            self._units.append(unit)
            self._changed.notify()
        try:
            return unit.result.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            unit.result.cancel()
            raise ScorerUnavailableError(f"no scores within {self._timeout_s:g} s: the server is overloaded") from None

    def _work(self) -> None:
        while True:
            batch = self._next()
            if batch is None:
                return
            if not batch:
                continue
            try:
                self._run(batch)
            except Exception as error:  # nobody waits in vain, and the thread goes on
                logger.error("a pass could not be handed on: %s", type(error).__name__)
                for unit in batch:
                    if not unit.result.done():
                        unit.result.set_exception(error)

    def _next(self) -> list[_Unit] | None:
        """The units of the next pass; ``None`` once closed."""
        with self._changed:
            while not self._units and not self._closed:
                self._changed.wait(timeout=_POLL_S)
            if self._closed:
                return None
            until = self._units[0].since + self._wait_s
            while self._units and not self._closed and self._joined() < self._max_batch:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(timeout=left)
            return self._take()

    def _joined(self) -> int:
        first = self._units[0].capabilities
        return sum(len(unit.texts) for unit in self._units if unit.capabilities is first)

    def _take(self) -> list[_Unit]:
        """Take the oldest unit and those that may share its pass, oldest first."""
        taken: list[_Unit] = []
        left: deque[_Unit] = deque()
        room = self._max_batch
        for unit in self._units:
            joins = not taken or (unit.capabilities is taken[0].capabilities and len(unit.texts) <= room)
            if not joins:
                left.append(unit)
            elif unit.result.set_running_or_notify_cancel():
                taken.append(unit)
                room -= len(unit.texts)
        self._units = left
        return taken

    def _run(self, batch: list[_Unit]) -> None:
        texts = [text for unit in batch for text in unit.texts]
        began = time.monotonic()
        try:
            scores = self._scorer.score(texts, batch[0].capabilities)
        except BaseException as error:
            self._run_apart(batch, error)
            return
        taken = time.monotonic() - began
        start = 0
        for unit in batch:
            unit.result.set_result(scores[start : start + len(unit.texts)])
            start += len(unit.texts)
        self._observe(len(texts), taken)

    def _run_apart(self, batch: list[_Unit], error: BaseException) -> None:
        """One caller's text must not fail the others: each is scored by itself."""
        if len(batch) == 1:
            batch[0].result.set_exception(error)
            return
        for unit in batch:
            try:
                unit.result.set_result(self._scorer.score(unit.texts, unit.capabilities))
            except BaseException as own:
                unit.result.set_exception(own)


def _fail(unit: _Unit, error: Exception) -> None:
    if unit.result.set_running_or_notify_cancel():
        unit.result.set_exception(error)
