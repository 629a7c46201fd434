"""The tab Try: a request, who would answer it, and why."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import Response

from modelsat.router import Router
from modelsat.server.page import charts
from modelsat.server.page.access import Fields, one
from modelsat.server.page.trial import written
from modelsat.server.page.wish import Wish, wish_of

if TYPE_CHECKING:
    from modelsat.server.page.page import Page

_SAMPLES = (
    "What is the capital of Australia?",
    "Write a Python function that merges two sorted lists.",
    "Prove that every finite integral domain is a field.",
)
"""Requests for whoever does not know what to type."""
_CONTEXT = ("metadata", "tools", "response_format", "reasoning", "answer_tokens")


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
        samples=_SAMPLES,
    )


async def decide(page: Page, request: Request, fields: Fields) -> Response:
    """The decision, with what it rests on; beside a second one where that was asked for."""
    wish = wish_of(fields)
    tried = [await page.decider.run(1, lambda: page.trials.decide(wish, wish.policy, wish.weights))]
    if wish.against or wish.against_weights:
        other = (wish.against or wish.policy, wish.against_weights or wish.weights)
        tried.append(await page.decider.run(1, lambda: page.trials.decide(wish, *other)))
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
        snippets=_snippets(wish, router, str(request.base_url).rstrip("/"), page.sessions.asks),
    )


def _snippets(wish: Wish, router: Router, address: str, keyed: bool) -> dict[str, str]:
    """The request and its settings as Python, as YAML for ``modelsat serve`` and as a call of curl."""
    request = wish.request
    names = request.candidates or list(router.names)
    body = request.model_dump(exclude_defaults=True, exclude_none=True)
    policy, constraints = written(router), body.get("constraints") or {}
    options = [f"    {names!r},", f"    policy={policy!r},"]
    options += [f"    constraints={constraints!r},"] if constraints else []
    context = {name: value for name, value in body.items() if name in _CONTEXT}
    call = f"{body['messages']!r}" + (f", context=RequestContext(**{context!r})" if context else "")
    imported = "from modelsat import Router\n" + ("from modelsat.request import RequestContext\n" if context else "")
    python = "\n".join([imported, "router = Router(", *options, ")", f"decision = router.route({call})"])
    yaml = f"candidates: {json.dumps(names)}\npolicy: {policy}"
    yaml += f"\nconstraints: {json.dumps(constraints)}" if constraints else ""
    key = ' -H "Authorization: Bearer $MODELSAT_API_KEY"' if keyed else ""
    sent = shlex.quote(json.dumps(body, ensure_ascii=False))
    curl = f"curl -s {address}/v1/route -H 'content-type: application/json'{key} \\\n  -d {sent}"
    return {"Python": python + "\nprint(decision.explain())", "YAML": yaml, "curl": curl}
