"""The one way of every request through the router: planned, scored, chosen, recorded."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelsat.candidates.candidate import Candidate
from modelsat.capability.sight import sight
from modelsat.errors import OTHERS_RAISE, InvalidRequestError, ModelSATError, RoutingError
from modelsat.inference.base import TextScores
from modelsat.policies import Policy
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.router.arms import Arms
from modelsat.router.decision import RoutingDecision
from modelsat.router.fallback import Fallback, as_own
from modelsat.router.learning import Learning
from modelsat.router.plan import NAMED, Plan, Planner, scored
from modelsat.router.rules import Ruler, Rules, profiles_version
from modelsat.router.scoring import Doubts, Engine, selection_of

Contexts = Sequence[RequestContext | None] | RequestContext | None
"""What comes with a batch: one context for each request, or one for all."""


@dataclass(slots=True)
class Request:
    """What came in, then what rules made of it and its plan, then its decision or what went wrong."""

    messages: Any
    context: RequestContext | None
    rules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    plan: Plan | None = None
    outcome: RoutingDecision | ModelSATError | None = None


def read_batch(batch: Any, contexts: Any) -> list[Request]:
    """Each request of ``batch`` with its context.

    Raises:
        InvalidRequestError: ``batch`` is not a list, or there are not as many contexts as requests.
    """
    if isinstance(batch, (str, bytes, Mapping)) or not isinstance(batch, Sequence):
        raise InvalidRequestError(f"a batch is a list of requests, not a single {type(batch).__name__}")
    if contexts is None or isinstance(contexts, RequestContext):
        return [Request(messages, contexts) for messages in batch]
    if not isinstance(contexts, Sequence) or len(contexts) != len(batch):
        raise InvalidRequestError(
            f"contexts must be one RequestContext, or a list of {len(batch)}, one for each request"
        )
    return [Request(messages, context) for messages, context in zip(batch, contexts, strict=True)]


class Pipeline:
    """Decides for the candidates of one router. Thread-safe.

    Without ``fallback`` failures stay errors; without ``learning`` nothing is kept; ``ruler`` narrows requests before
    they are planned; ``arms`` assigns conversations to the arms of a trial.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        rules: Rules,
        planner: Planner,
        engine: Engine,
        fallback: Fallback | None,
        learning: Learning | None,
        ruler: Ruler | None,
        arms: Arms | None,
    ) -> None:
        self._candidates = tuple(candidates)
        self._positions = {candidate.name: position for position, candidate in enumerate(candidates)}
        self._profiles = profiles_version(candidates)
        self._rules, self._planner, self._engine = rules, planner, engine
        self._fallback, self._learning, self._ruler, self._arms = fallback, learning, ruler, arms
        self._doubts = Doubts(candidates)
        self._sights: tuple[float, ...] | None = None

    def policy_of(self, arm: str) -> Policy:
        """The policy that decides in an arm of a trial."""
        return self._rules.policy if self._arms is None else self._arms.policy(arm, self._rules.policy)

    def warmup(self) -> None:
        """Score once for all candidates, and place them on the common scales; raises as the engine does."""
        self._engine.score(["Hello"], range(len(self._candidates)))
        self._doubts.intervals(dict.fromkeys(self._positions, 0.5))

    def versions(self, weights: str | None = None) -> dict[str, str]:
        """What decides: ``weights`` (those that are loaded, if not given), ``profiles`` and ``policy``."""
        return {"weights": weights or self._engine.version, "profiles": self._profiles, "policy": self._rules.version}

    def decide(
        self, requests: Sequence[Request], among: Sequence[str] | None, *, cache: bool
    ) -> list[RoutingDecision | ModelSATError]:
        """A decision, or what went wrong, for every request; all are scored with one call of the scorer.

        ``among`` names whom to choose from, all if not given; ``cache`` says whether kept scores will do.
        """
        started = time.perf_counter()
        for request in requests:
            try:
                if self._ruler is not None:
                    narrowed = self._ruler.narrow(request.messages, request.context, among)
                    request.context, request.rules, request.notes = narrowed
                request.plan = self._planner.plan(request.messages, request.context, among)
            except OTHERS_RAISE as error:
                request.outcome = as_own(error)
        self._decide([(request, request.plan) for request in requests if request.plan is not None], cache, started)
        for request in requests:
            if isinstance(request.outcome, ModelSATError) and self._fallback is not None:
                request.outcome = self._fall_back(self._fallback, request, request.outcome, among, started)
        if "opentelemetry.trace" in sys.modules:
            from modelsat.router import tracing

            for request in requests:
                tracing.record(request.outcome, started, getattr(request.context, "trace", None))
        return [request.outcome for request in requests if request.outcome is not None]

    def _decide(self, planned: Sequence[tuple[Request, Plan]], cache: bool, started: float) -> None:
        """Score what was planned, with one call for all candidates that any plan has, and choose."""
        if not planned:
            return
        union = planned[0][1].indices
        if any(plan.indices != union for _, plan in planned):
            union = tuple(sorted({index for _, plan in planned for index in plan.indices}))
        try:
            found = self._engine.score([plan.text for _, plan in planned], union, cache)
        except OTHERS_RAISE as error:
            for request, _ in planned:
                request.outcome = as_own(error)
            return
        column = {index: position for position, index in enumerate(union)}
        for (request, plan), read in zip(planned, found, strict=True):
            if plan.indices != union:
                read = read._replace(p=[read.p[column[index]] for index in plan.indices])
            try:
                request.outcome = self._choose(request, plan, read, started)
            except OTHERS_RAISE as error:
                request.outcome = as_own(error)

    def _with_images(self, plan: Plan, p: Sequence[float]) -> tuple[list[float], str]:
        """P(success) of a request with images, of which the network read the text alone; a note on who moved."""
        if self._sights is None:
            self._sights = tuple([sight(candidate.profile) for candidate in self._candidates])
        shifts = [self._sights[index] for index in plan.indices]
        moved = [self._candidates[index].name for index, shift in zip(plan.indices, shifts, strict=True) if shift]
        odds = [math.exp(-shift) for shift in shifts]
        judged = [one / (one + (1.0 - one) * factor) for one, factor in zip(p, odds, strict=True)]
        return judged, f"judged by their figures on images too: {', '.join(moved[:NAMED])}" if moved else ""

    def _choose(self, request: Request, plan: Plan, read: TextScores, started: float) -> RoutingDecision:
        """What the policy makes of the scores, once they are corrected for choosing and by feedback."""
        if "vision" in plan.needs.abilities:
            p, seen = self._with_images(plan, read.p)
            read, plan = read._replace(p=p), replace(plan, notes=(*plan.notes, seen) if seen else plan.notes)
        arms = self._arms
        arm = "" if arms is None else arms.arm(plan.request.thread or plan.request.turn)
        policy = self._rules.policy if arms is None else arms.policy(arm, self._rules.policy)
        if (selection := selection_of(read.version, policy)) is not None:
            read = read._replace(p=selection.correct(read.p))
        judged = None if self._learning is None else self._learning.judge(plan, read)
        ranked = scored(plan, self._candidates, read.p if judged is None else judged.decide_on, self._doubts)
        choice = policy.choose(ranked, plan.request)
        scores = {candidate.name: candidate.score for candidate in ranked}
        if stray := [name for name in (choice.name, *choice.escalation) if name not in scores]:
            raise RoutingError(f"policy {policy.name!r} chose {stray[0]!r}, which is not among the scored candidates")
        notes = (*plan.notes, *request.notes)
        model, elsewhere = choice.name, False
        if arms is not None:
            model, note = arms.answerer(arm, choice, ranked)
            elsewhere = arms.elsewhere(arm)
            notes = (*notes, note) if note else notes
        shadowed = elsewhere or model != choice.name
        reason = f"shadow, routed would be {choice.name}: {choice.reason}" if shadowed else choice.reason
        intervals = {entry.name: entry.interval for entry in ranked if entry.interval is not None}
        corrections: dict[str, float] = {}
        explored = False
        if judged is not None:
            explored = judged.explored
            names = [self._candidates[index].name for index in plan.indices]
            told = dict(zip(names, judged.scores, strict=True))
            if explored:
                reason = f"explored, on a draw of the scores: {reason}"
                scores = {name: told[name] for name in sorted(told, key=lambda name: (-told[name], name))}
                intervals = self._doubts.intervals(scores)
            before = dict(zip(names, read.p, strict=True))
            corrections = {name: change for name in scores if (change := told[name] - before[name])}
        decision = RoutingDecision(
            model=model,
            effort=self._candidates[self._positions[model]].effort,
            scores=scores,
            costs={candidate.name: candidate.cost for candidate in ranked if candidate.cost is not None},
            excluded={**plan.excluded, **choice.excluded} if choice.excluded else plan.excluded,
            policy=policy.name,
            reason=reason,
            notes=notes,
            escalation=() if shadowed else choice.escalation,
            threshold=choice.threshold,
            target_met=None if explored or shadowed else choice.target_met,
            abstained=choice.abstained and not shadowed,
            intervals=intervals,
            explored=explored,
            corrections=corrections,
            tokens=plan.tokens(self._positions[model]),
            thread=plan.request.thread,
            rules=request.rules,
            arm=arm,
            routed=choice.name if shadowed else None,
            versions=self.versions(read.version),
            elapsed_ms=(time.perf_counter() - started) * 1000.0,
        )
        if self._learning is not None:
            self._learning.keep(plan, read, decision, held=elsewhere)
        return decision

    def _fall_back(
        self,
        fallback: Fallback,
        request: Request,
        error: ModelSATError,
        among: Sequence[str] | None,
        started: float,
    ) -> RoutingDecision | ModelSATError:
        """The decision when ``error`` left nothing scored; an error where nobody is left who may answer."""
        found = fallback.answer(request.messages, request.context, among, error)
        if isinstance(found, ModelSATError):
            return found
        position = self._positions.get(found.model)
        context = request.context if isinstance(request.context, RequestContext) else NO_CONTEXT
        decision = RoutingDecision(
            model=found.model,
            effort="" if position is None else self._candidates[position].effort,
            excluded=found.excluded,
            policy=self._rules.policy.name,
            reason=f"fallback after {found.failure.kind}",
            fallback=True,
            failure=found.failure,
            notes=found.notes,
            thread=context.thread,
            rules=request.rules,
            versions=self.versions(),
            elapsed_ms=(time.perf_counter() - started) * 1000.0,
        )
        if self._learning is not None:
            self._learning.keep_fallback(decision, context.metadata)
        return decision
