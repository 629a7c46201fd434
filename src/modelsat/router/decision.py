"""The one decision type, shared by every way into the router."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from modelsat.errors import ModelSATError, RoutingError
from modelsat.request.exclusion import Exclusion


@dataclass(frozen=True, slots=True)
class Failure:
    """Why nothing was scored.

    Attributes:
        kind: Name of the class of the error, e.g. ``"ScorerUnavailableError"``; for an error that is not ours, its own.
        message: The error's text; that of a foreign error may quote the prompt.
    """

    kind: str
    message: str

    @classmethod
    def of(cls, error: ModelSATError) -> Failure:
        """The failure that ``error`` stands for."""
        return cls(type(foreign(error) or error).__name__, str(error))


def foreign(error: ModelSATError) -> BaseException | None:
    """The error of other code that ``error`` stands for; ``None`` where it is our own."""
    return error.__cause__ if type(error) is RoutingError else None


class RoutingDecision(BaseModel):
    """Which candidate answers, and why.

    Attributes:
        model: Name of the chosen candidate.
        effort: Reasoning effort to ask the chosen candidate for; empty to leave it to the provider.
        scores: P(success) of every scored candidate, were it the one chosen, 0..1, best first: choosing the highest
            also finds the most overrated, and that is taken off. Empty after a fallback.
        excluded: Candidates that could not be chosen, with the reason for each.
        policy: Name of the policy that chose.
        reason: Why this candidate, in a sentence.
        fallback: True if routing failed and nothing was scored: the configured fallback answers, or the cheapest
            candidate that may where the fallback may not.
        failure: What failed, where ``fallback`` is true.
        notes: What a reader should know: parts that were not scored, a shortened prompt.
        elapsed_ms: Wall-clock time of the decision in milliseconds.
        versions: Versions of what decided: ``weights``, ``profiles`` and ``policy`` (content hashes; the last covers
            constraints and facts).
        costs: Expected USD of this request, of every candidate with a price that was not struck.
        escalation: Candidates to ask next, in order, if the answer fails a check (policy ``cascade``).
        threshold: Score of that check (0..1) below which the answer is escalated.
        intervals: 90 % interval of the P(success) of every scored candidate, as far as its profile leaves the model's
            level open: a model with few figures has a wide one. How well the network reads the prompt is not in it.
        abstained: True if the policy does not know who is good enough (``abstain``), and named its choice all the same.
        target_met: Whether the P(success) of the chosen candidate reaches the policy's target; ``None`` without one.
        explored: True if the policy was given a draw of the scores, to learn about candidates.
        corrections: What feedback added to the network's P(success), of every candidate whose score it changed.
        thread: Identifier of the conversation, where the request named one.
        tokens: ``prompt``: estimated tokens of the whole prompt; ``completion``: expected tokens of the chosen
            candidate's answer.
        rules: Names of the rules that applied, in order.
        arm: Part of a trial that the conversation belongs to: ``"shadow"``, ``"canary"``, or of an experiment; empty
            without one.
        routed: Whom the router would have chosen, where the shadow's model answers in its place; ``None`` otherwise.
        id: Unique identifier of this decision.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model: str
    effort: str = ""
    scores: Mapping[str, float] = Field(default_factory=dict)
    excluded: Mapping[str, Exclusion] = Field(default_factory=dict)
    policy: str = "best"
    reason: str = ""
    fallback: bool = False
    failure: Failure | None = None
    notes: tuple[str, ...] = ()
    elapsed_ms: float = 0.0
    versions: Mapping[str, str] = Field(default_factory=dict)
    costs: Mapping[str, float] = Field(default_factory=dict)
    escalation: tuple[str, ...] = ()
    threshold: float | None = None
    intervals: Mapping[str, tuple[float, float]] = Field(default_factory=dict)
    abstained: bool = False
    target_met: bool | None = None
    explored: bool = False
    corrections: Mapping[str, float] = Field(default_factory=dict)
    thread: str | None = None
    tokens: Mapping[str, int] = Field(default_factory=dict)
    rules: tuple[str, ...] = ()
    arm: str = ""
    routed: str | None = None
    id: str = Field(default_factory=lambda: uuid4().hex)

    @property
    def score(self) -> float | None:
        """P(success) of the chosen candidate; ``None`` after a fallback."""
        return self.scores.get(self.model)

    @property
    def cost(self) -> float | None:
        """Expected USD of this request with the chosen candidate; ``None`` if its price is unknown."""
        return self.costs.get(self.model)

    def explain(self) -> str:
        """The decision in one line."""
        parts = [f"{self.model}: {self.reason}" if self.reason else self.model]
        if self.excluded:
            parts.append("excluded: " + ", ".join(f"{name} ({why})" for name, why in self.excluded.items()))
        parts.extend(self.notes)
        return "; ".join(parts) + f" [{self.policy}, {self.elapsed_ms:.1f} ms]"
