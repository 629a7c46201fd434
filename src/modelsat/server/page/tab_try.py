"""The tab Try: a request, who would answer it, and why."""

from __future__ import annotations

from functools import partial

from fastapi import Request
from fastapi.responses import Response

from modelsat.server.page import charts
from modelsat.server.page.page import Fields, Page, one
from modelsat.server.page.snippets import snippets
from modelsat.server.page.trial import written
from modelsat.server.page.wish import wish_of

SAMPLES = (
    "What is the capital of Australia?",
    "Write a Python function that merges two sorted lists.",
    "Prove that every finite integral domain is a field.",
)
"""Requests for whoever does not know what to type."""


async def form(page: Page, request: Request, fields: Fields) -> Response:
    """The form."""
    router = page.decider.router
    return page.render(
        request,
        "try.html.j2",
        candidates=router.candidates,
        own=written(router),
        own_weights=router.versions["weights"],
        messages=one(fields, "messages"),
        samples=SAMPLES,
    )


async def decide(page: Page, request: Request, fields: Fields) -> Response:
    """The decision, with what it rests on; beside a second one where that was asked for."""
    wish = wish_of(fields)
    tried = [await page.decider.run(1, partial(page.trials.decide, wish))]
    if wish.compare:
        tried.append(await page.decider.run(1, partial(page.trials.decide, wish, second=True)))
    router = page.trials.router(wish.policy, wish.weights, wish.abstain)
    first = tried[0]
    names = [row.name for row in first.rows]
    priced = [(row.name, row.cost, row.p, row.low, row.high) for row in first.rows if row.cost is not None]
    model = first.decision.model
    return page.render(
        request,
        "tried.html.j2",
        tried=tried,
        curve=charts.choices(f"Expected cost and P(success); {model} answers", priced, model, first.frontier)
        if priced
        else "",
        band=charts.steps("Who is chosen as the knob moves", first.sweep.steps, first.sweep.at, names)
        if first.sweep
        else "",
        colours=charts.colours(names),
        snippets=snippets(wish, router, str(request.base_url).rstrip("/"), page.sessions.asks),
    )
