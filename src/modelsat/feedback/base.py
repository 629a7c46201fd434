"""The one interface of feedback stores, and how a store is named."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from modelsat.errors import ConfigurationError
from modelsat.feedback.records import DecisionRecord, FeedbackRecord, Observation

logger = logging.getLogger("modelsat")

T = TypeVar("T")

KEEP_DAYS = 30.0
"""Days for which a decision without feedback is kept."""
KEEP_DECISIONS = 500_000
"""Decisions kept at most: some 300 MB in SQLite without prompts."""
_DAY_S = 86400.0


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
        except (TypeError, ValueError, KeyError) as error:
            if key not in self._seen:
                self._seen.add(key)
                logger.error(
                    "the feedback store %s holds a record that cannot be read, %s: %s; it is passed over",
                    *(self._store, key, type(error).__name__),
                )
            return None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a store keeps decisions.

    Attributes:
        days: A decision that got no feedback in so many days is dropped; infinity keeps it.
        decisions: Decisions kept at most; beyond, the oldest are dropped, with the feedback on them. Infinity keeps
            all.
    """

    days: float = KEEP_DAYS
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
    if isinstance(target, (str, os.PathLike)) and str(target).strip():
        from modelsat.feedback.sqlite import SQLiteStore

        return SQLiteStore(target, create=create)
    if isinstance(target, FeedbackStore) and not isinstance(target, type):
        return target
    raise ConfigurationError(f"a feedback store is a file, redis://host:port or a FeedbackStore, not {target!r}")
