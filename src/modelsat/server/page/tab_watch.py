"""The tab Watch: what the decisions of a stretch of time came to."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from modelsat.feedback.schema import SUMS
from modelsat.feedback.summary import Summary, known, summarise
from modelsat.server.page import charts
from modelsat.server.page.access import HEADERS
from modelsat.server.page.page import Fields, Page, window_of
from modelsat.server.page.standing import headline, standings

LEAST = 5
"""Feedbacks on a model in one stretch of time from which their mean is drawn."""


async def watch(page: Page, request: Request, fields: Fields) -> Response:
    """Counts, costs and charts."""
    window, span = window_of(fields)
    store = page.store
    summary, (policies, groups) = await asyncio.to_thread(lambda: (summarise(store, window), known(store)))
    loop = page.decider.router.config.feedback
    found = standings(loop.calibrator)
    return page.render(
        request,
        "watch.html.j2",
        summary=summary,
        window=window,
        span=span,
        policies=policies,
        groups=groups,
        standings=found,
        headline=headline(found),
        problem=loop.state.problem,
        query=request.url.query,
        **_drawn(summary),
    )


def _drawn(summary: Summary) -> dict[str, Any]:
    """The charts of a summary, and the colours of its models."""
    names = list(summary.models)
    if not names:
        return {"colours": {}, "shares": "", "costs": "", "latency": "", "reliability": "", "trend": ""}
    counts = {hour: {name: sums.decisions for name, sums in at.items()} for hour, at in summary.series.items()}
    kinds = ("cost", "best_cost", "cheapest_cost")
    usd = {hour: [sum(getattr(s, k) for s in at.values()) for k in kinds] for hour, at in summary.series.items()}
    means = {
        hour: {name: sums.score / sums.feedback for name, sums in at.items() if sums.feedback >= LEAST}
        for hour, at in summary.series.items()
    }
    trend = {hour: at for hour, at in means.items() if at}
    latency = [(str(bound) if bound else "more", count) for bound, count in summary.latency.items()]
    bins = [(found.expected, found.score, found.count) for found in summary.reliability]
    return {
        "colours": charts.colours(names),
        "shares": charts.shares("Share of decisions by model over time", counts, names, summary.step),
        "costs": charts.lines("Expected cost so far", usd, ("l0", "l1", "l2"), summary.step)
        if summary.total.priced
        else "",
        "latency": charts.columns("Time to decide", latency) if sum(count for _, count in latency) else "",
        "reliability": charts.reliability("Feedback against P(success)", bins) if bins else "",
        "trend": charts.averages("Mean feedback by model over time", trend, names, summary.step)
        if len(trend) > 1
        else "",
    }


async def export(page: Page, _request: Request, fields: Fields) -> Response:
    """The same as CSV."""
    window, _ = window_of(fields)
    summary = await asyncio.to_thread(summarise, page.store, window)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("time", "model", *SUMS))
    for row in summary.table():
        writer.writerow([_cell(value) for value in row])
    headers = {**HEADERS, "content-disposition": 'attachment; filename="decisions.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: Any) -> Any:
    """A value of a CSV file, so that a spreadsheet takes no name for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value
