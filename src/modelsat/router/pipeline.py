"""The one way of every request through the router: planned, scored, chosen, recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from modelsat.candidates.candidate import Candidate
from modelsat.errors import ModelSATError, RoutingError
from modelsat.inference.base import TextScores
from modelsat.policies import Policy
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.request.exclusion import Exclusion
from modelsat.router import tracing
from modelsat.router.arms import Arms
from modelsat.router.batch import Request
from modelsat.router.decision import RoutingDecision
from modelsat.router.doubt import Doubts
from modelsat.router.engine import Engine
from modelsat.router.failures import as_own
from modelsat.router.fallback import Fallback
from modelsat.router.learning import Learning
from modelsat.router.plan import Plan, Planner, Selection, scored, select
from modelsat.router.ruler import Ruler
from modelsat.router.rules import Rules, profiles_version
from modelsat.router.selection import selection_of


class Pipeline:
    """Decides for the candidates of one router. Thread-safe.

    Args:
        candidates: All candidates.
        rules: Policy and constraints.
        planner: Reads requests, and knows who may answer.
        engine: Scores.
        fallback: Finds who answers when nothing could be scored.
        learning: Counts feedback in, and keeps decisions; ``None`` without a store.
        ruler: Applies rules before anything is planned; ``None`` without rules.
        arms: Assigns conversations to the arms of a trial; ``None`` without one.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        rules: Rules,
        planner: Planner,
        engine: Engine,
        fallback: Fallback,
        learning: Learning | None,
        ruler: Ruler | None = None,
        arms: Arms | None = None,
    ) -> None:
        self._candidates = {candidate.name: candidate for candidate in candidates}
        self._order = tuple(candidates)
        self._positions = {candidate.name: position for position, candidate in enumerate(candidates)}
        self.everyone = Selection(tuple(range(len(self._order))), {})
        self._profiles = profiles_version(candidates)
        self._rules, self._planner, self._engine = rules, planner, engine
        self._fallback, self._learning, self._ruler, self._arms = fallback, learning, ruler, arms
        self._doubts = Doubts(candidates)

    def policy_of(self, arm: str) -> Policy:
        """The policy that decides in an arm of a trial."""
        return self._rules.policy if self._arms is None else self._arms.policy(arm, self._rules.policy)

    def warmup(self) -> None:
        """Score once for all candidates, and place them on the common scales; raises as the engine does."""
        self._engine.score(["Hello"], self.everyone.indices)
        self._doubts.intervals(dict.fromkeys(self._candidates, 0.5))

    def excluded(self, messages: Any, context: RequestContext | None) -> dict[str, Exclusion]:
        """The candidates that may not answer, with the reason for each; nothing is scored."""
        request = Request(messages, context)
        if self._ruler is not None:
            self._ruler.narrow(request, None)
        return self._planner.exclude(self._order, messages, request.context)[0]

    def versions(self, weights: str | None = None) -> dict[str, str]:
        """What decides: ``weights`` (those that are loaded, if not given), ``profiles`` and ``policy``."""
        return {"weights": weights or self._engine.version, "profiles": self._profiles, "policy": self._rules.version}

    def decide(
        self, requests: Sequence[Request], asked: Sequence[str] | None, *, cache: bool, fall_back: bool
    ) -> list[RoutingDecision | ModelSATError]:
        """A decision, or what went wrong, for every request; all are scored with one call of the scorer.

        Args:
            requests: As they came in.
            asked: Names to choose from; all if not given.
            cache: Whether kept scores will do.
            fall_back: Whether the fallback stands in for what went wrong.
        """
        started = time.perf_counter()
        for request in requests:
            with _caught(request):
                notes = () if self._ruler is None else self._ruler.narrow(request, asked)
                selection = self.everyone if asked is None else select(tuple(self._candidates), asked)
                request.plan = self._planner.plan(request.messages, request.context, selection)
                if request.rules or notes:
                    request.plan = replace(request.plan, rules=request.rules, notes=(*request.plan.notes, *notes))
        planned = [(request, request.plan) for request in requests if request.plan is not None]
        with _caught(*[request for request, _ in planned]):
            found = self._score([plan for _, plan in planned], cache) if planned else []
            for (request, plan), read in zip(planned, found, strict=True):
                with _caught(request):
                    request.outcome = self._choose(plan, read, started)
        for request in requests:
            if isinstance(request.outcome, ModelSATError) and fall_back:
                request.outcome = self._fall_back(request, request.outcome, asked, started)
        _trace(requests, started)
        return [request.outcome for request in requests if request.outcome is not None]

    def _score(self, plans: Sequence[Plan], cache: bool) -> list[TextScores]:
        """P(success) of each plan's candidates, from one call of the scorer for all candidates that any plan has."""
        union = plans[0].indices
        if any(plan.indices != union for plan in plans):
            union = tuple(sorted({index for plan in plans for index in plan.indices}))
        column = {index: position for position, index in enumerate(union)}
        return [
            read if plan.indices == union else read._replace(p=[read.p[column[index]] for index in plan.indices])
            for plan, read in zip(plans, self._engine.score([plan.text for plan in plans], union, cache), strict=True)
        ]

    def _choose(self, plan: Plan, read: TextScores, started: float) -> RoutingDecision:
        """What the policy makes of the scores, once they are corrected for choosing and by feedback."""
        arm = "" if self._arms is None else self._arms.arm(plan.request.thread or plan.request.turn)
        policy = self.policy_of(arm)
        if (selection := selection_of(read.version, policy)) is not None:
            read = read._replace(p=selection.correct(read.p))
        judged = None if self._learning is None else self._learning.judge(plan, read)
        ranked = scored(plan, self._order, read.p if judged is None else judged.decide_on, self._doubts)
        choice = policy.choose(ranked, plan.request)
        known = {candidate.name for candidate in ranked}
        if stray := [name for name in (choice.name, *choice.escalation) if name not in known]:
            raise RoutingError(f"policy {policy.name!r} chose {stray[0]!r}, which is not among the scored candidates")
        model, note = (choice.name, "") if self._arms is None else self._arms.answerer(arm, choice, ranked)
        elsewhere = self._arms is not None and self._arms.elsewhere(arm)
        shadowed = elsewhere or model != choice.name
        reason = f"shadow, routed would be {choice.name}: {choice.reason}" if shadowed else choice.reason
        explored = judged is not None and judged.explored
        names = [self._order[index].name for index in plan.indices]
        scores = {candidate.name: candidate.score for candidate in ranked}
        if judged is not None and explored:
            told = dict(zip(names, judged.scores, strict=True))
            scores = {name: told[name] for name in sorted(told, key=lambda name: (-told[name], name))}
        decision = RoutingDecision(
            model=model,
            effort=self._candidates[model].effort,
            scores=scores,
            costs={candidate.name: candidate.cost for candidate in ranked if candidate.cost is not None},
            excluded={**plan.excluded, **choice.excluded} if choice.excluded else plan.excluded,
            policy=policy.name,
            reason=f"explored, on a draw of the scores: {reason}" if explored else reason,
            notes=(*plan.notes, note) if note else plan.notes,
            escalation=() if shadowed else choice.escalation,
            threshold=choice.threshold,
            target_met=None if explored or shadowed else choice.target_met,
            abstained=choice.abstained and not shadowed,
            intervals=self._doubts.intervals(scores)
            if explored
            else {entry.name: entry.interval for entry in ranked if entry.interval is not None},
            explored=explored,
            corrections={} if judged is None else _corrections(names, read.p, judged.scores, list(scores)),
            tokens=plan.tokens(self._positions[model]),
            thread=plan.request.thread,
            rules=plan.rules,
            arm=arm,
            routed=choice.name if shadowed else None,
            versions=self.versions(read.version),
            elapsed_ms=(time.perf_counter() - started) * 1000.0,
        )
        if self._learning is not None:
            self._learning.keep(plan, read, decision, held=elsewhere)
        return decision

    def _fall_back(
        self, request: Request, error: ModelSATError, asked: Sequence[str] | None, started: float
    ) -> RoutingDecision | ModelSATError:
        """The decision when ``error`` left nothing scored; an error where nobody is left who may answer."""
        found = self._fallback.answer(request, error, asked)
        if isinstance(found, ModelSATError):
            return found
        candidate = self._candidates.get(found.model)
        context = request.context if isinstance(request.context, RequestContext) else NO_CONTEXT
        decision = RoutingDecision(
            model=found.model,
            effort=candidate.effort if candidate is not None else "",
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


@contextmanager
def _caught(*requests: Request) -> Iterator[None]:
    """The one place where what goes wrong on the way becomes the outcome of the requests that it concerns."""
    try:
        yield
    except Exception as error:
        for request in requests:
            request.outcome = as_own(error)


def _corrections(
    names: Sequence[str], network: Sequence[float], corrected: Sequence[float], order: Sequence[str]
) -> dict[str, float]:
    """What feedback added, by candidate, for those whose score it changed."""
    found = {name: after - before for name, before, after in zip(names, network, corrected, strict=True)}
    return {name: found[name] for name in order if found[name]}


def _trace(requests: Sequence[Request], started: float) -> None:
    if (tracer := tracing.tracer()) is not None:
        for request in requests:
            within = request.context.trace if isinstance(request.context, RequestContext) else None
            tracing.record(tracer, request.outcome, started, within)
