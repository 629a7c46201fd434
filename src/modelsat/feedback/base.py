"""What is kept about decisions and the feedback on them, and the one interface of the stores that keep it."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any, Protocol, TypeVar, runtime_checkable

from modelsat.errors import InvalidFeedbackError

logger = logging.getLogger("modelsat")

T = TypeVar("T")

IMPORTED = "import"
"""Policy of what no router decided: an outcome that was logged elsewhere, in no particular order."""
KEEP_DAYS = 30.0
"""Days for which a decision without feedback is kept."""
KEEP_DECISIONS = 500_000
"""Decisions kept at most: some 300 MB in SQLite without prompts."""
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision, as it is stored: neither the prompt (unless asked for) nor who asked.

    Attributes:
        id: Identifier of the decision.
        time: Seconds since the epoch.
        model: The chosen candidate.
        probability: Its P(success) as decided, feedback counted in; ``None`` after a fallback.
        network: P(success) of every scored candidate before feedback was counted in.
        field: Share of each field in the prompt, adding to at most 1; empty if the scorer knows no fields.
        policy: Name of the policy; ``IMPORTED`` for outcomes logged elsewhere.
        explored: Whether exploration chose.
        weights: Version of the weights.
        profile: Digest of the chosen candidate's profile.
        prompt: The text that was scored, where the store keeps it.
        thread: Hash of the conversation's identifier (:func:`thread_key`); empty where the request named none.
        group: What the request's metadata give under ``group``; empty without it.
        costs: Expected USD of this request, of every candidate that had a price and was not struck.
        excluded: Kind of exclusion (:class:`~modelsat.request.Exclusion`) of every candidate that could not be chosen.
        target_met: Whether the chosen candidate reached the policy's target; ``None`` without one.
        fallback: Whether routing failed and the fallback answered.
        elapsed_ms: Milliseconds that the decision took.
        arm: Part of a trial that the conversation belongs to: ``"shadow"``, ``"canary"``, or of an experiment; empty
            without one.
        routed: The router's own choice, where another model answered; else empty.
    """

    id: str
    time: float
    model: str
    probability: float | None = None
    network: Mapping[str, float] = default(default_factory=dict)
    field: Mapping[str, float] = default(default_factory=dict)
    policy: str = ""
    explored: bool = False
    weights: str = ""
    profile: str = ""
    prompt: str | None = None
    thread: str = ""
    group: str = ""
    costs: Mapping[str, float] = default(default_factory=dict)
    excluded: Mapping[str, str] = default(default_factory=dict)
    target_met: bool | None = None
    fallback: bool = False
    elapsed_ms: float | None = None
    arm: str = ""
    routed: str = ""

    def to_json(self) -> str:
        """As one line of JSON, for stores without columns."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, default=dict)

    @classmethod
    def from_json(cls, text: str | bytes) -> DecisionRecord:
        """Back from :meth:`to_json`; raises ``ValueError`` or ``TypeError`` on anything else."""
        content: dict[str, Any] = json.loads(text)
        return cls(**content)

    def checked(self) -> DecisionRecord:
        """This record, if it holds what the loop computes with.

        Raises:
            TypeError: Scores or shares are not numbers by name, or a name is not text.
            ValueError: One of them is not finite.
        """
        for text in (self.id, self.model, self.policy, self.weights, self.profile, self.arm, self.prompt or ""):
            if not isinstance(text, str):
                raise TypeError("a name is not text")
        for name, values in (("network", self.network), ("field", self.field), ("costs", self.costs)):
            if not isinstance(values, Mapping):
                raise TypeError(f"{name} is not a mapping")
            if not all(math.isfinite(value) for value in values.values()):
                raise ValueError(f"{name} holds a number that is not finite")
        if not math.isfinite(self.time):
            raise ValueError("the time is not finite")
        return self


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """How good an answer was.

    Attributes:
        decision: Identifier of the decision.
        score: 0 (bad) to 1 (good).
        source: Who says so: ``"user"``, ``"judge"``, ``"test"``, ...
        time: Seconds since the epoch.
    """

    decision: str
    score: float
    source: str = "user"
    time: float = default(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Observation:
    """A decision with its feedback, as a store returns it.

    Attributes:
        position: Where it stands in the store's order of feedback; opaque.
        decision: The decision.
        feedback: The feedback on it.
    """

    position: str
    decision: DecisionRecord
    feedback: FeedbackRecord


def thread_key(thread: str | None) -> str:
    """What stands for a conversation in a store: a hash, so that the store names nobody."""
    if not thread:
        return ""
    return hashlib.blake2b(thread.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def check_feedback(decision_id: Any, score: Any, source: Any = "user") -> FeedbackRecord:
    """Make a record of what a caller gave.

    Raises:
        InvalidFeedbackError: The score is not a number in 0..1, or identifier or source is not text.
    """
    if not isinstance(decision_id, str) or not decision_id.strip():
        raise InvalidFeedbackError(f"decision_id must be the id of a decision (decision.id), not {decision_id!r}")
    if not isinstance(source, str) or not source.strip():
        raise InvalidFeedbackError(f"source must say who judged, e.g. 'user' or 'judge', not {source!r}")
    try:
        value = float(score) if not isinstance(score, (str, bytes)) else math.nan
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 0.0 <= value <= 1.0:
        hint = f"; write {value / 100:g} for {value:g} %" if 1.0 < value <= 100.0 else ""
        raise InvalidFeedbackError(
            f"a score is a number from 0 (bad) to 1 (good), not {_shown(score)}{hint}; nothing was recorded"
        )
    return FeedbackRecord(decision_id, value, source.strip())


def _shown(score: Any) -> str:
    """``score`` as a message names it: a number, or what kind of thing it is."""
    if isinstance(score, float) or (isinstance(score, int) and abs(score) < 1_000_000):
        return repr(score)
    return f"a {type(score).__name__}"


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a store holds.

    Attributes:
        decisions: Decisions, with feedback or without.
        feedback: Decisions with feedback.
        prompts: Decisions whose prompt is kept.
    """

    decisions: int
    feedback: int
    prompts: int


@runtime_checkable
class FeedbackStore(Protocol):
    """Keeps decisions and the feedback on them; shared by threads and processes.

    Every method may block, and raises :class:`~modelsat.errors.FeedbackStoreError` if the store cannot be used; the
    next call tries again. Nothing is written halfway.
    """

    @property
    def name(self) -> str:
        """Where it is, without secrets, for messages."""
        ...

    def add_decisions(self, records: Sequence[DecisionRecord]) -> None:
        """Keep decisions; one that is there already stays as it is."""
        ...

    def add_feedback(self, record: FeedbackRecord) -> None:
        """Keep feedback.

        Raises:
            UnknownDecisionError: The store does not hold the decision.
            DuplicateFeedbackError: There is feedback on it already, which stays.
        """
        ...

    def observations(self, after: str = "", last: int | None = None) -> list[Observation]:
        """Decisions with feedback, in the order in which the feedback came.

        Args:
            after: Only those behind this position.
            last: Only that many, counted from the end.
        """
        ...

    def decisions(self) -> Iterator[tuple[DecisionRecord, FeedbackRecord | None]]:
        """Everything there is, by time of the decision as far as the store knows."""
        ...

    def counts(self) -> Counts:
        """How much there is."""
        ...

    def close(self) -> None:
        """Let go of connections; the next call opens them again."""
        ...


@runtime_checkable
class DeadLetterStore(FeedbackStore, Protocol):
    """A store that keeps records which it could not write among the others, for somebody to look at."""

    def set_aside(self, record: str, reason: str) -> None:
        """Keep ``record``, as text, with the ``reason`` why it could not be written."""
        ...


class Unreadable:
    """Records of the store of this name that cannot be read: each is logged once, counted, and passed over."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._seen: set[str] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def read(self, key: str, decode: Callable[..., T], *record: Any) -> T | None:
        """What ``decode`` makes of the ``record`` named ``key``; ``None`` if it cannot be read."""
        try:
            return decode(*record)
        except Exception as error:  # whatever is wrong with one record, the others are read
            if key not in self._seen:
                self._seen.add(key)
                logger.error(
                    "the feedback store %s holds a record that cannot be read, %s: %s; it is passed over",
                    *(self._store, key, type(error).__name__),
                )
            return None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a store keeps decisions."""

    days: float = KEEP_DAYS  # a decision that got no feedback in so many days is dropped; infinity keeps it
    # decisions kept at most; beyond, the oldest are dropped, with the feedback on them. Infinity keeps all
    decisions: float = KEEP_DECISIONS

    def surplus(self, count: int, limit: int) -> int:
        """How many of ``count`` decisions are too many, ``limit`` at most."""
        return int(min(limit, max(0.0, count - self.decisions)))

    def oldest(self, now: float) -> float:
        """Decisions from before then, in seconds since the epoch, are dropped if they got no feedback."""
        return now - self.days * _DAY_S


@runtime_checkable
class PrunableStore(FeedbackStore, Protocol):
    """A store that can drop old decisions. A store of your own need not: then it keeps what it likes."""

    def prune(self, retention: Retention, now: float, limit: int) -> int:
        """Drop decisions that need not be kept at ``now``, oldest first; returns how many.

        At most ``limit`` are dropped in one call, so that others wait for it only briefly.
        """
        ...


@runtime_checkable
class QueryableStore(FeedbackStore, Protocol):
    """A store that answers queries of the tables of :mod:`modelsat.feedback.schema`."""

    def rows(self, query: str, values: Mapping[str, Any] | tuple[Any, ...] = ()) -> list[Any]:
        """The rows that a query gives."""
        ...
