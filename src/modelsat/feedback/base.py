"""The one interface of feedback stores, and how a store is named."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from modelsat.errors import ConfigurationError
from modelsat.feedback.records import DecisionRecord, FeedbackRecord, Observation

FORMAT = 1
"""Version of what stores hold."""


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
