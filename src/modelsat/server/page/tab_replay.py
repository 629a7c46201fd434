"""The tab Replay: stored decisions made again under another policy, among other candidates, or with other weights."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response

from modelsat.errors import ConfigurationError
from modelsat.feedback.base import QueryableStore
from modelsat.feedback.summary import Window, known
from modelsat.policies import Policy, PolicyRequest, Scored, resolve_policy
from modelsat.router import Router, RoutingDecision
from modelsat.server.page.access import Fields, one
from modelsat.server.page.tab_watch import window_of
from modelsat.server.page.trial import written
from modelsat.server.page.wish import policy_text

if TYPE_CHECKING:
    from modelsat.server.page.page import Page

_MOST = 5_000
"""Decisions that are made again at once, the latest."""
_SHOWN = 10
_PART = 64
_WHERE = (
    "time BETWEEN :since AND :until AND (:policy = '' OR policy = :policy) "
    "AND (:group = '' OR request_group = :group) AND (:thread = '' OR 1) AND policy <> 'import'"
)
_OF_THREAD = " AND thread = :thread AND thread <> ''"


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored decision that can be made again."""

    id: str
    time: float
    model: str
    scores: Mapping[str, float]
    costs: Mapping[str, float]
    thread: str
    prompt: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that would have come out otherwise: who would answer, and how P(success) and expected USD change."""

    kept: Kept
    model: str
    points: float
    usd: float | None  # unknown without both prices


@dataclass(slots=True)
class Replay:
    """The differences; P(success) by the scores of the replay, USD of decisions with both prices known."""

    decisions: int = 0
    passed_over: int = 0  # fallbacks, no candidate left, or no prompt where one is needed
    changes: list[Change] = field(default_factory=list)  # the largest change of P first
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    priced: int = 0
    usd_before: float = 0.0
    usd_after: float = 0.0
    p_before: float = 0.0  # a sum, as p_after
    p_after: float = 0.0

    def count(self, kept: Kept, model: str, scores: Mapping[str, float], costs: Mapping[str, float]) -> None:
        """Take in one decision that was made again."""
        self.decisions += 1
        self.before[kept.model] += 1
        self.after[model] += 1
        was, now = scores.get(kept.model, kept.scores[kept.model]), scores[model]
        self.p_before, self.p_after = self.p_before + was, self.p_after + now
        old, new = costs.get(kept.model, kept.costs.get(kept.model)), costs.get(model)
        usd = None if old is None or new is None else new - old
        if old is not None and new is not None:
            self.priced += 1
            self.usd_before, self.usd_after = self.usd_before + old, self.usd_after + new
        if model != kept.model:
            self.changes.append(Change(kept, model, now - was, usd))


async def form(page: Page, request: Request, fields: Fields) -> Response:
    """The form."""
    store = page.store
    policies, groups = await asyncio.to_thread(known, store)
    counts = await asyncio.to_thread(store.counts)
    return page.render(
        request,
        "replay.html.j2",
        candidates=page.decider.router.candidates,
        own=written(page.decider.router),
        counts=counts,
        most=_MOST,
        policies=policies,
        groups=groups,
    )


async def decide_again(page: Page, request: Request, fields: Fields) -> Response:
    """Show what would have changed."""
    replay, shown = await asyncio.to_thread(_replayed, page, fields)
    names = sorted({*replay.before, *replay.after}, key=lambda name: (-replay.before[name], name))
    return page.render(
        request, "replayed.html.j2", replay=replay, names=names, changes=replay.changes[:_SHOWN], **shown
    )


def _replayed(page: Page, fields: Fields) -> tuple[Replay, dict[str, Any]]:
    window, span = window_of(fields)
    kept = _stored(page.store, window)
    if not kept:
        raise ConfigurationError("there are no decisions in this stretch of time")
    policy = policy_text(one(fields, "with_policy")) or written(page.decider.router)
    weights = one(fields, "weights")
    without = fields.get("without") or []
    if weights:
        found = _by_prompts(kept, page.trials.router(policy, weights), without)
    else:
        found = _by_scores(kept, resolve_policy(policy), without)
    return found, {"policy": policy, "span": span, "weights_used": weights}


def _stored(store: QueryableStore, window: Window) -> list[Kept]:
    """The latest decisions of a window, latest first.

    Raises:
        FeedbackStoreError: The store cannot be read.
    """
    values = {**window.values, "since": window.since, "until": window.until, "most": _MOST}
    where = _WHERE + (_OF_THREAD if window.thread else "")
    rows = store.rows(
        f"SELECT id, time, model, network, costs, thread, prompt FROM decisions WHERE {where} "  # noqa: S608
        "ORDER BY time DESC LIMIT :most",
        values,
    )
    found = []
    for identifier, time, model, network, costs, thread, prompt in rows:
        try:
            found.append(Kept(identifier, time, model, json.loads(network), json.loads(costs), thread, prompt))
        except ValueError:
            continue  # the store says so where it is read for feedback
    return found


def _by_scores(kept: Sequence[Kept], policy: Policy, without: Sequence[str]) -> Replay:
    """Decide again by the scores and costs that were stored.

    Args:
        kept: What was decided; made again from the oldest on, as policies may remember.
        policy: Who should answer.
        without: Candidates that are left out.

    Raises:
        ConfigurationError: The policy weighs costs, and the store holds none.
    """
    replay, left_out = Replay(), set(without)
    for entry in reversed(kept):
        ranked = [Scored(name, p, entry.costs.get(name)) for name, p in entry.scores.items() if name not in left_out]
        if not ranked or entry.model not in entry.scores:
            replay.passed_over += 1
            continue
        ranked.sort(key=lambda scored: (-scored.score, scored.cost or 0.0, scored.name))
        choice = policy.choose(ranked, PolicyRequest(entry.thread or None, entry.id))
        replay.count(entry, choice.name, entry.scores, entry.costs)
    return _sorted(replay, kept)


def _by_prompts(kept: Sequence[Kept], router: Router, without: Sequence[str]) -> Replay:
    """Decide again from the prompts, with the weights of ``router``; decisions without a kept prompt are passed over.

    Raises:
        ConfigurationError: No prompt is kept.
        ModelSATError: As :meth:`modelsat.Router.route_batch`.
    """
    replay = Replay()
    names = [name for name in router.names if name not in set(without)]
    usable = [entry for entry in reversed(kept) if entry.prompt is not None and entry.model in entry.scores]
    if not usable:
        raise ConfigurationError(
            "other weights read the prompts again, and the store holds none of these decisions: keep prompts with "
            "feedback={'store': ..., 'keep_prompts': True}"
        )
    replay.passed_over = len(kept) - len(usable)
    for start in range(0, len(usable), _PART):
        part = usable[start : start + _PART]
        for entry, decision in zip(
            part, router.route_each([entry.prompt for entry in part], candidates=names), strict=True
        ):
            if isinstance(decision, RoutingDecision) and not decision.fallback:
                replay.count(entry, decision.model, decision.scores, decision.costs)
            else:
                replay.passed_over += 1
    return _sorted(replay, kept)


def _sorted(replay: Replay, kept: Sequence[Kept]) -> Replay:
    if not replay.decisions and kept:
        raise ConfigurationError("none of these decisions can be made again: no candidate of theirs is left")
    replay.changes.sort(key=lambda change: (-abs(change.points), -abs(change.usd or 0.0)))
    return replay
