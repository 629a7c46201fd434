"""The tab Models: the registry, figures of one's own, and the aptitude test."""

from __future__ import annotations

import asyncio
from functools import partial

from fastapi import Request
from fastapi.responses import Response

from modelsat.errors import ConfigurationError
from modelsat.server.page.catalogue import side_by_side
from modelsat.server.page.page import Fields, Page, one


async def models(page: Page, request: Request, fields: Fields) -> Response:
    """The registry with search, one model, or two beside each other."""
    query, name, other = one(fields, "q"), one(fields, "model"), one(fields, "with")
    look = page.catalogue
    entries, count = await asyncio.to_thread(look.search, query)
    model = await asyncio.to_thread(look.model, name) if name else None
    second = await asyncio.to_thread(look.model, other) if name and other else None
    return page.render(
        request,
        "models.html.j2",
        query=query,
        entries=entries,
        count=count,
        model=model,
        second=second,
        rows=side_by_side(model, second) if model and second else [],
        only_list=request.headers.get("hx-target") == "list",
        added=one(fields, "added"),
        allowed=page.examiner.allowed,
        test=page.examiner.progress,
    )


async def add(page: Page, request: Request, fields: Fields) -> Response:
    """Keep figures of a model."""
    given = (one(fields, name) for name in ("name", "benchmarks", "source"))
    made = await asyncio.to_thread(page.catalogue.add, *given)
    return await models(page, request, {"model": [made.model], "added": [made.model]})


async def examine(page: Page, request: Request, fields: Fields) -> Response:
    """Begin an aptitude test, and show how it stands."""
    budget = one(fields, "budget")
    try:
        usd = float(budget) if budget else None
    except ValueError:
        raise ConfigurationError(f"budget: {budget[:40]!r} is no number") from None
    begin = partial(
        page.examiner.start,
        one(fields, "test_model"),
        api_base=one(fields, "api_base"),
        api_key=one(fields, "api_key"),
        name=one(fields, "test_name"),
        tasks=[task.strip() for task in one(fields, "tasks").split(",") if task.strip()],
        budget_usd=usd,
    )
    await asyncio.to_thread(begin)
    return await examination(page, request, fields)


async def examination(page: Page, request: Request, _fields: Fields) -> Response:
    """How the test stands."""
    return page.render(request, "examination.html.j2", test=page.examiner.progress)


async def stop(page: Page, request: Request, fields: Fields) -> Response:
    """End the test."""
    await asyncio.to_thread(page.examiner.stop)
    return await examination(page, request, fields)
