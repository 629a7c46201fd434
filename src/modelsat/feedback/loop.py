"""The feedback loop of a router: what it keeps of decisions, and what it learns from feedback."""

from __future__ import annotations

import copy
import logging
import math
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar, TypedDict

from pydantic import field_validator
from typing_extensions import Unpack

from modelsat._logging import shown
from modelsat.errors import ConfigurationError, FeedbackStoreError
from modelsat.feedback.base import (
    KEEP_DAYS,
    KEEP_DECISIONS,
    DecisionRecord,
    FeedbackStore,
    Retention,
    Unreadable,
    check_feedback,
)
from modelsat.feedback.calibration import HALF_LIFE, Calibrator, Drift, Subject
from modelsat.feedback.offsets import chance, explored
from modelsat.feedback.sqlite import SQLiteStore
from modelsat.feedback.writer import QUEUE, Pruner, StoreWriter
from modelsat.validation import Settings, finite, share

logger = logging.getLogger("modelsat")

HISTORY = 20_000
"""Feedbacks read at the start, the latest ones."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Scores of one request after feedback."""

    scores: list[float]  # P(success) of each candidate, feedback counted in
    decide_on: list[float]  # what the policy is given: `scores`, or a draw of them
    explored: bool


@dataclass(frozen=True, slots=True)
class FeedbackState:
    """How the loop does, for operators.

    Attributes:
        store: Where feedback is kept.
        problem: Why the store cannot be used now; ``None`` if it can.
        waiting: Records that wait to be written.
        written: Records written by this process.
        dropped: Records lost to a full queue.
        refused: Feedback refused by the store: unknown decision, or a second one.
        set_aside: Records that could not be written, and were put where an operator finds them.
        unreadable: Records in the store that could not be read or learned from, and were passed over.
        last_success: When this process last wrote to the store, in seconds since the epoch; ``None`` if never.
        counted: Feedbacks that correct the scores.
        drifts: Models that changed, oldest first.
        pruned: Old decisions that this process dropped from the store.
    """

    store: str
    problem: str | None
    waiting: int
    written: int
    dropped: int
    refused: int
    set_aside: int
    unreadable: int
    last_success: float | None
    counted: int
    drifts: tuple[Drift, ...]
    pruned: int = 0


class FeedbackOptions(TypedDict, total=False):
    """The settings of a :class:`Feedback` as keyword arguments, for type checkers."""

    explore: float
    seed: int
    keep_prompts: bool
    keep_days: float
    keep_decisions: float
    half_life: float
    half_life_days: float
    refresh_s: float
    wait_s: float
    queue_size: int


class FeedbackSettings(Settings):
    """The settings of a :class:`Feedback`, which says what each does."""

    label: ClassVar[str] = "feedback settings"

    explore: float = 0.0
    seed: int = 0
    keep_prompts: bool = False
    keep_days: float = KEEP_DAYS
    keep_decisions: float = KEEP_DECISIONS
    half_life: float = HALF_LIFE
    half_life_days: float = math.inf
    refresh_s: float = 5.0
    wait_s: float = 2.0
    queue_size: int = QUEUE

    @field_validator("explore", mode="before")
    @classmethod
    def _is_a_share(cls, value: Any) -> Any:
        return share(value, "explore", 0.05)

    @field_validator("keep_days", "keep_decisions", "half_life", "half_life_days", "queue_size", mode="before")
    @classmethod
    def _is_positive(cls, value: Any) -> Any:
        if value != math.inf and not (finite(value) or 0.0) > 0.0:
            raise ConfigurationError(f"must be a number above 0, not {shown(value)}")
        return value


class Feedback:
    """Keeps decisions and feedback, corrects scores by it, notices drift, and explores if asked to.

    Thread-safe. Several routers and processes may share a store; each learns from what all of them write.

    Args:
        store: A file, ``"redis://host:port"``, or a :class:`~modelsat.feedback.FeedbackStore`.
        explore (float): Share of decisions that are made on a draw (top-two Thompson sampling), 0..1; 0 by default.
        seed (int): Of the draws. The same prompt with the same feedback counted gives the same decision.
        keep_prompts (bool): Keep the text that was scored, so that an export can train. Off by default.
        keep_days (float): Days for which a decision without feedback is kept, 30 by default; infinity keeps it.
        keep_decisions (float): Decisions kept at most, 500,000 by default; the oldest are dropped first, with the
            feedback on them. Infinity keeps all.
        half_life (float): Feedbacks on a model after which an observation counts half; 1,000 by default.
        half_life_days (float): Days after which it counts half; infinite by default.
        refresh_s (float): How often the feedback of other processes is read, in seconds; 5 by default.
        wait_s (float): How long :meth:`give` waits for the store, in seconds; 2 by default.
        queue_size (int): Records that wait for the store at most; 10,000 by default.

    Attributes:
        store: Where decisions and feedback are kept.
        calibrator: What was learned.

    Raises:
        ConfigurationError: A value that cannot be right, an unknown setting, or a store of another version or program.
        MissingDependencyError: The client of Redis is not installed.
    """

    def __init__(self, store: FeedbackStore | str | PathLike[str], **settings: Unpack[FeedbackOptions]) -> None:
        self._settings = given = FeedbackSettings(**settings)
        self.keep_prompts = given.keep_prompts
        self._records = True
        self.store = open_store(store)
        self.calibrator = Calibrator(given.half_life, given.half_life_days)
        self._reader = _Reader(self.store, self.calibrator)
        self._pruner = Pruner(self.store, Retention(given.keep_days, given.keep_decisions))
        self._writer = StoreWriter(
            self.store, self._reader.catch_up, self._pruner, size=given.queue_size, refresh_s=given.refresh_s
        )
        self._finalizer = weakref.finalize(self, StoreWriter.close, self._writer)
        try:
            self._reader.catch_up()
        except FeedbackStoreError as error:
            self._writer.report(error)
        finally:
            self.store.close()
        self._writer.start()

    def __repr__(self) -> str:
        return f"Feedback({self.store.name!r}, {self.calibrator.counted} counted)"

    def __deepcopy__(self, memo: dict[int, Any]) -> Feedback:
        """A copy of a router shares the loop."""
        return self

    def unrecorded(self) -> Feedback:
        """The same loop for decisions that are only tried: feedback is counted in, nothing is kept or explored."""
        view = copy.copy(self)
        view._settings, view._records = self._settings.model_copy(update={"explore": 0.0}), False
        return view

    @property
    def state(self) -> FeedbackState:
        """How the loop does."""
        writer = self._writer
        return FeedbackState(
            store=self.store.name,
            problem=writer.problem,
            waiting=writer.waiting,
            written=writer.written,
            dropped=writer.dropped,
            refused=writer.refused,
            set_aside=writer.set_aside,
            unreadable=self._reader.unreadable,
            last_success=writer.last_success,
            counted=self.calibrator.counted,
            drifts=self.calibrator.drifts,
            pruned=self._pruner.pruned,
        )

    def judge(
        self, text: str, subjects: Sequence[Subject], row: Sequence[float], shares: Mapping[str, float]
    ) -> Judged:
        """Count feedback in, and decide whether to explore; takes no lock and never waits.

        Args:
            text: What was scored.
            subjects: The candidates.
            row: The network's P(success), as many.
            shares: Fields of the prompt.
        """
        scores = self.calibrator.correct(subjects, row, shares)
        explore = self._settings.explore
        if not explore or len(row) < 2:
            return Judged(scores, scores, False)
        rng = chance(self._settings.seed, text, self.calibrator.counted)
        offsets = [self.calibrator.offset(subject) for subject in subjects]
        drawn = explored(explore, offsets, row, scores, shares, rng)
        return Judged(scores, scores, False) if drawn is None else Judged(scores, drawn, True)

    def keep(self, record: DecisionRecord) -> None:
        """Hand a decision over to be written; never waits. A full queue drops it, which is logged and counted."""
        if self._records:
            self._writer.put(record)

    def give(self, decision_id: str, score: float, source: str = "user") -> None:
        """Keep feedback on a decision and learn from it.

        Waits until it is written, at most ``wait_s`` seconds. If the store is locked or away longer than that, the
        feedback waits in memory and is written once the store can be used; that is logged.

        Args:
            decision_id: ``decision.id``.
            score: 0 (bad) to 1 (good).
            source: Who says so: ``"user"``, ``"judge"``, ``"test"``, ...

        Raises:
            InvalidFeedbackError: The score is not a number in 0..1, or an argument is not text.
            UnknownDecisionError: The store does not hold the decision.
            DuplicateFeedbackError: There is feedback on it already; the first counts.
            FeedbackStoreError: The store cannot be used and the queue is full: nothing was recorded.
        """
        done = self._writer.feed(check_feedback(decision_id, score, source))
        try:
            done.result(timeout=0.0 if self._writer.problem else self._settings.wait_s)
        except FutureTimeoutError:
            done.add_done_callback(_log_refusal)
            logger.warning("feedback waits for the store %s to be usable again", self.store.name)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything is written; False if that took too long."""
        return self._writer.flush(timeout_s)

    def close(self) -> None:
        """Write what waits and stop the thread. Done by itself at the end of the program."""
        self._finalizer()


class _Reader:
    """Feeds the calibrator from the store; used by one thread at a time."""

    def __init__(self, store: FeedbackStore, calibrator: Calibrator) -> None:
        self._store, self._calibrator, self._position = store, calibrator, ""
        self._not_learned = Unreadable(store.name)

    @property
    def unreadable(self) -> int:
        """Records passed over: the store could not read them, or nothing could be learned from them."""
        return len(getattr(self._store, "unreadable", ())) + len(self._not_learned)

    def catch_up(self) -> None:
        """Read what is new."""
        first = not self._position
        self._calibrator.quiet = first and not self._calibrator.counted
        for observation in self._store.observations(self._position, HISTORY if first else None):
            self._not_learned.read(f"feedback {observation.position}", self._calibrator.observe, observation)
            self._position = observation.position


def open_store(target: Any, *, create: bool = True) -> FeedbackStore:
    """A store by what it is called.

    Args:
        target: A store; the path of an SQLite file; or a URL ``redis://host:port/db`` (``rediss://``, ``unix://``).
        create: Make an SQLite file that is not there.

    Raises:
        ConfigurationError: It is none of these.
        MissingDependencyError: The client of Redis is not installed.
    """
    if isinstance(target, str) and target.startswith(("redis://", "rediss://", "unix://")):
        from modelsat.feedback.redis import RedisStore

        return RedisStore(target)
    if isinstance(target, str) and "://" in target:
        scheme = target.partition("://")[0]
        raise ConfigurationError(f"no feedback store is reached by {scheme}://: give a file, or redis://host:port")
    if isinstance(target, (str, PathLike)) and str(target).strip():
        return SQLiteStore(target, create=create)
    if isinstance(target, FeedbackStore) and not isinstance(target, type):
        return target
    raise ConfigurationError(f"a feedback store is a file, redis://host:port or a FeedbackStore, not {target!r}")


def resolve_feedback(feedback: Any) -> Feedback | None:
    """What a router was given, as a :class:`Feedback`; raises as :class:`Feedback` does."""
    if feedback is None or isinstance(feedback, Feedback):
        return feedback
    if not isinstance(feedback, Mapping):
        return Feedback(feedback)
    if "store" not in feedback or not all(isinstance(name, str) for name in feedback):
        raise ConfigurationError("feedback: give a file, redis://host:port, or `store` with settings")
    return Feedback(**feedback)


def _log_refusal(done: Future[None]) -> None:
    if (error := done.exception()) is not None:
        logger.warning("%s", error)
