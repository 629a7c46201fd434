"""The tab Replay: stored decisions made again."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from modelsat.errors import ConfigurationError
from modelsat.feedback.summary import known
from modelsat.policies import resolve_policy
from modelsat.server.page.page import Fields, Page, one, window_of
from modelsat.server.page.replay import MOST, SHOWN, Replay, by_prompts, by_scores, stored
from modelsat.server.page.trial import written
from modelsat.server.page.wish import policy_text


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
        most=MOST,
        policies=policies,
        groups=groups,
    )


async def decide_again(page: Page, request: Request, fields: Fields) -> Response:
    """What would have changed."""
    replay, shown = await asyncio.to_thread(_replayed, page, fields)
    names = sorted({*replay.before, *replay.after}, key=lambda name: (-replay.before[name], name))
    return page.render(request, "replayed.html.j2", replay=replay, names=names, changes=replay.changes[:SHOWN], **shown)


def _replayed(page: Page, fields: Fields) -> tuple[Replay, dict[str, Any]]:
    window, span = window_of(fields)
    kept = stored(page.store, window)
    if not kept:
        raise ConfigurationError("there are no decisions in this stretch of time")
    policy = policy_text(one(fields, "with_policy")) or written(page.decider.router)
    weights = one(fields, "weights")
    without = fields.get("without") or []
    if weights:
        found = by_prompts(kept, page.trials.router(policy, weights), without)
    else:
        found = by_scores(kept, resolve_policy(policy), without)
    return found, {"policy": policy, "span": span, "weights_used": weights}
