"""What is kept about a decision and about the feedback on it."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

from modelsat.errors import InvalidFeedbackError

IMPORTED = "import"
"""Policy of what no router decided: an outcome that was logged elsewhere, in no particular order."""


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
            TypeError: Scores or shares are not numbers by name.
            ValueError: One of them is not finite.
        """
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
