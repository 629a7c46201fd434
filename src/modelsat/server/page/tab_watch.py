"""The tab Watch: what the decisions of a stretch of time came to, and whether a model is getting worse."""

from __future__ import annotations

import asyncio
import csv
import io
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response

from modelsat.feedback.calibration import SETTLED, Calibrator, Drift, ModelState
from modelsat.feedback.schema import SUMS
from modelsat.feedback.summary import Summary, Window, known, summarise
from modelsat.server.page import charts
from modelsat.server.page.access import HEADERS, Fields, one

if TYPE_CHECKING:
    from modelsat.server.page.page import Page

RANGES: Mapping[str, float] = {"24 hours": 86400.0, "7 days": 7 * 86400.0, "30 days": 30 * 86400.0, "all": 0.0}
"""Stretches of time to look back over, in seconds; 0 for all there is."""
_DRAWN = 5
"""Feedbacks on a model in one stretch of time from which their mean is drawn."""
_LATELY = 50
"""Feedbacks that count as lately, half of all at most."""
_LEAST = 10
_FAR = 4.0
"""Standard errors between lately and before from which the difference is pointed at, however often one looks."""
_SUSPECTED = 0.5
_STANDS = 500
"""Feedbacks on a model for which a change that was noticed is shown."""


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
        hour: {name: sums.score / sums.feedback for name, sums in at.items() if sums.feedback >= _DRAWN}
        for hour, at in summary.series.items()
    }
    trend = {hour: at for hour, at in means.items() if at}
    latency = [(str(bound) if bound else "more", count) for bound, count in summary.latency.items()]
    bins = [(found.expected, found.score, found.count) for found in summary.reliability]
    return {
        "colours": charts.colours(names),
        "shares": charts.shares("Share of decisions by model over time", counts, names, summary.step),
        "costs": charts.sums("Expected cost so far", usd, ("l0", "l1", "l2"), summary.step)
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


def window_of(fields: Fields) -> tuple[Window, str]:
    """Read what a form narrows the decisions to, and the name of the stretch of time."""
    span, policy, group, thread = (one(fields, key) for key in ("span", "policy", "group", "thread"))
    span = span if span in RANGES else "7 days"
    seconds = RANGES[span]
    return Window(time.time() - seconds if seconds else 0.0, policy=policy, group=group, thread=thread), span


@dataclass(frozen=True, slots=True)
class Standing:
    """The feedback on one model, lately and before."""

    model: str
    seen: int  # feedbacks counted
    lately: float | None  # their mean of late, 0..1; none if there are too few to divide
    before: float | None
    drift: Drift | None  # the last change that the test noticed, if it is not long ago
    suspicion: float  # how near the test is to noticing one, 0..1
    tested: bool  # whether the model is known well enough for the test

    @property
    def moved(self) -> float:
        """Distance of feedback lately from that before, in standard errors; below 0 is worse."""
        if self.lately is None or self.before is None:
            return 0.0
        count = _lately(self.seen)
        mean = (count * self.lately + (self.seen - count) * self.before) / self.seen
        variance = max(mean * (1.0 - mean), 0.01) * (1.0 / count + 1.0 / (self.seen - count))
        return (self.lately - self.before) / math.sqrt(variance)

    @property
    def worse(self) -> bool:
        """Whether it got worse, as the test or the plain difference says."""
        return (self.drift is not None and self.drift.direction == "worse") or self.moved < -_FAR

    @property
    def said(self) -> str:
        """The change in words."""
        if self.drift is not None:
            ago = self.seen - self.drift.seen
            return f"{self.drift.direction} by {abs(self.drift.points):.0f} points, {ago:,} feedbacks ago"
        if abs(self.moved) > _FAR:
            return "lower than before" if self.moved < 0 else "higher than before"
        if not self.tested:
            return "too early to say"
        return f"suspected ({100 * self.suspicion:.0f} %)" if self.suspicion >= _SUSPECTED else "no change"


def standings(calibrator: Calibrator) -> list[Standing]:
    """Every model with feedback, those that got worse first; of one with several weights or profiles, the latest."""
    latest: dict[str, ModelState] = {}
    for subject, state in calibrator.models.items():
        if subject.model not in latest or state.time >= latest[subject.model].time:
            latest[subject.model] = state
    found = [_standing(model, state) for model, state in latest.items()]
    return sorted(found, key=lambda standing: (not standing.worse, standing.moved, standing.model))


def headline(found: Iterable[Standing]) -> str:
    """The answer in a sentence."""
    found = list(found)
    if not found:
        return ""
    if worse := [standing.model for standing in found if standing.worse]:
        return f"Yes: {', '.join(worse)}."
    early = [standing.model for standing in found if not standing.tested]
    if len(early) == len(found):
        return "Too early to say: there is too little feedback on every model."
    if early:
        return f"Too early to say of {', '.join(early)}; no change was noticed in the others."
    return "None that was noticed: the feedback on every model stays within chance."


def _lately(seen: int) -> int:
    return min(_LATELY, seen // 2)


def _standing(model: str, state: ModelState) -> Standing:
    count = _lately(state.seen)
    lately = before = None
    if count >= _LEAST and len(state.recent) >= count:
        total = sum(outcome for _, outcome, _ in islice(reversed(state.recent), count))
        lately, before = total / count, (state.score - total) / (state.seen - count)
    drift = state.drifts[-1] if state.drifts and state.seen - state.drifts[-1].seen <= _STANDS else None
    tested = drift is not None or state.deviation < SETTLED
    return Standing(model, state.seen, lately, before, drift, state.test.suspicion, tested)
