"""Between the router and its feedback: corrected scores before the policy, a record of the decision behind it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelsat.candidates.candidate import Candidate
from modelsat.inference.base import TextScores
from modelsat.router.decision import RoutingDecision
from modelsat.router.plan import Plan

if TYPE_CHECKING:
    from modelsat.feedback import DecisionRecord, Feedback, Subject
    from modelsat.feedback.loop import Judged

_LONGEST_GROUP = 200
_HELD = 10_000
"""Decisions that wait to hear who answered, at most."""


class Learning:
    """One router's part in a feedback loop."""

    def __init__(self, loop: Feedback, candidates: Sequence[Candidate]) -> None:
        self.loop = loop
        self._profiles = [(candidate.name, candidate.profile.digest) for candidate in candidates]
        self._subjects: tuple[str, list[Subject]] = ("", [])
        self._held: OrderedDict[str, tuple[DecisionRecord, Mapping[str, float]]] = OrderedDict()
        self._lock = threading.Lock()

    def judge(self, plan: Plan, read: TextScores) -> Judged:
        """Count feedback in, and decide whether to explore."""
        subjects = self._of(read.version)
        return self.loop.judge(plan.text, [subjects[index] for index in plan.indices], read.p, read.fields)

    def keep(self, plan: Plan, read: TextScores, decision: RoutingDecision, *, held: bool = False) -> None:
        """Hand ``decision`` over to the store; one that is ``held``, once it is known who answered."""
        from modelsat.feedback import DecisionRecord

        names = [self._profiles[index][0] for index in plan.indices]
        subject = self._of(read.version)[plan.indices[names.index(decision.model)]]
        record = DecisionRecord(
            probability=decision.scores[decision.model],
            network={name: round(p, 6) for name, p in zip(names, read.p, strict=True)},
            field=read.fields,
            explored=decision.explored,
            weights=subject.weights,
            profile=subject.profile,
            prompt=plan.text if self.loop.keep_prompts else None,
            target_met=decision.target_met,
            **_circumstances(decision, plan.needs.metadata),
        )
        if not held:
            self.loop.keep(record)
            return
        with self._lock:
            self._held[decision.id] = record, decision.scores
            while len(self._held) > _HELD:
                self._held.popitem(last=False)

    def answered(self, decision_id: str, model: str) -> None:
        """Hand a held decision over, now that a candidate has answered; of one that was not scored, nothing is kept."""
        with self._lock:
            record, scores = self._held.pop(decision_id, (None, {}))
        if record is None or model not in scores:
            return
        profile = next(digest for name, digest in self._profiles if name == model)
        routed = "" if record.routed == model else record.routed
        self.loop.keep(replace(record, model=model, probability=scores[model], profile=profile, routed=routed))

    def keep_fallback(self, decision: RoutingDecision, metadata: Mapping[str, Any]) -> None:
        """Hand a fallback over to the store."""
        from modelsat.feedback import DecisionRecord

        self.loop.keep(DecisionRecord(**_circumstances(decision, metadata)))

    def _of(self, weights: str) -> list[Subject]:
        known, subjects = self._subjects
        if known != weights:
            from modelsat.feedback import Subject

            subjects = [Subject(name, weights, digest) for name, digest in self._profiles]
            self._subjects = (weights, subjects)
        return subjects


def _circumstances(decision: RoutingDecision, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a record holds of any decision."""
    from modelsat.feedback.base import thread_key

    return {
        "id": decision.id,
        "time": time.time(),
        "model": decision.model,
        "policy": decision.policy,
        "thread": thread_key(decision.thread),
        "group": str(metadata.get("group") or "")[:_LONGEST_GROUP],
        "costs": dict(decision.costs),
        "excluded": {name: why.kind for name, why in decision.excluded.items()},
        "fallback": decision.fallback,
        "elapsed_ms": round(decision.elapsed_ms, 3),
        "arm": decision.arm,
        "routed": decision.routed or "",
    }
