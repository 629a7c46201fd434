"""The page's addresses: four tabs, the parts that htmx swaps, signing in, and the files they need."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.feedback.schema import SUMS
from modelsat.feedback.summary import QueryableStore, Summary, Window, known, summarise
from modelsat.policies import resolve_policy
from modelsat.server.decider import Decider
from modelsat.server.guard import Keys
from modelsat.server.page import charts
from modelsat.server.page.access import HEADERS, Sessions, check_host, form
from modelsat.server.page.catalogue import Catalogue, side_by_side
from modelsat.server.page.knobs import KNOBS
from modelsat.server.page.replay import MOST, SHOWN, Replay, by_prompts, by_scores, stored
from modelsat.server.page.snippets import snippets
from modelsat.server.page.trial import Trials, written
from modelsat.server.page.wish import policy_text, wish_of
from modelsat.server.problems import Problem

FOLDER = Path(__file__).parent
RANGES: Mapping[str, float] = {"24 hours": 86400.0, "7 days": 7 * 86400.0, "30 days": 30 * 86400.0, "all": 0.0}
"""Stretches of time to look back over, in seconds; 0 for all there is."""
_STATIC = {
    "htmx.min.js": "text/javascript",
    "page.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_KEPT_S = 86400
View = Callable[["Page", Request, Mapping[str, list[str]]], Awaitable[Response]]


class Page:
    """Renders the page of one server.

    Args:
        decider: What the server decides with.
        keys: The server's API keys.
    """

    def __init__(self, decider: Decider, keys: Keys) -> None:
        import jinja2

        self.decider, self.sessions = decider, Sessions(keys)
        self.trials, self.catalogue = Trials(decider), Catalogue()
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters |= {"usd": charts.usd, "signed": _signed, "day": _day, "change": _change}
        environment.globals |= {
            "bar": charts.bar,
            "knobs": KNOBS,
            "weights": self.trials.weights,
            "ranges": RANGES,
        }
        self._templates = environment

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """One template; a part of it alone where htmx asks."""
        session: str = getattr(request.state, "session", "")
        whole = "hx-request" not in request.headers
        page = self._templates.get_template(template)
        base = {"token": self.sessions.token(session), "signed_in": bool(session) and self.sessions.asks}
        content = page.render(whole=whole, path=request.url.path, **base, **values)
        return Response(content, status, media_type="text/html; charset=utf-8", headers=HEADERS)

    @property
    def store(self) -> QueryableStore:
        """The feedback store.

        Raises:
            ConfigurationError: There is none, or it answers no queries.
        """
        loop = self.decider.router.config.feedback
        if loop is None:
            raise ConfigurationError(
                "this server keeps no decisions: start it with --feedback feedback.sqlite, and they show up here"
            )
        if not isinstance(loop.store, QueryableStore):
            raise ConfigurationError(
                f"the decisions are kept in {loop.store.name}, which cannot be added up here: this page reads SQLite "
                "files; see docs/operations.md for Prometheus and Grafana"
            )
        return loop.store


def router_of(page: Page) -> APIRouter:
    """The page's addresses."""
    router = APIRouter(include_in_schema=False)

    def at(path: str, view: View, method: str = "GET", free: bool = False) -> None:
        router.add_api_route(path, partial(_answer, page, view, free), methods=[method], response_model=None)

    at("/", _try)
    at("/page/try", _decide, "POST")
    at("/watch", _watch)
    at("/page/watch.csv", _export)
    at("/replay", _replay)
    at("/page/replay", _decide_again, "POST")
    at("/models", _models)
    at("/page/models", _add_model, "POST")
    at("/login", _login, free=True)
    at("/page/login", _sign_in, "POST", free=True)
    at("/page/logout", _sign_out, "POST")
    for name, kind in _STATIC.items():
        router.add_api_route(f"/page/static/{name}", partial(_file, name, kind), response_model=None)
    return router


async def _answer(page: Page, view: View, free: bool, request: Request) -> Response:
    """One view, for whoever has a session, with what went wrong as a part of the page."""
    try:
        check_host(request, page.decider.settings.host)
        session = page.sessions.read(request)
        fresh = None if session or page.sessions.asks else page.sessions.opened("", "")
        request.state.session = session or fresh or ""
        if not request.state.session and not free:
            if "hx-request" in request.headers:
                return Response(status_code=204, headers={**HEADERS, "hx-redirect": "/login"})
            return RedirectResponse("/login", 303, headers=HEADERS)
        fields: Mapping[str, list[str]]
        if request.method == "POST":
            fields = await form(request)
            page.sessions.check(request.state.session, (fields.get("token") or [""])[0])
        else:
            fields = {name: request.query_params.getlist(name) for name in request.query_params}
        response = await view(page, request, fields)
        if fresh:
            page.sessions.keep(response, fresh, request)
        return response
    except Problem as problem:
        return page.render(request, "error.html.j2", problem.status, message=problem.detail)
    except ModelSATError as error:
        return page.render(request, "error.html.j2", 422, message=str(error))


async def _file(name: str, kind: str) -> Response:
    return FileResponse(
        FOLDER / "static" / name, media_type=kind, headers={**HEADERS, "cache-control": f"max-age={_KEPT_S}"}
    )


async def _try(page: Page, request: Request, fields: Mapping[str, list[str]]) -> Response:
    router = page.decider.router
    return page.render(
        request,
        "try.html.j2",
        candidates=router.candidates,
        own=written(router),
        own_weights=router.versions["weights"],
        messages=(fields.get("messages") or [""])[0],
    )


async def _decide(page: Page, request: Request, fields: Mapping[str, list[str]]) -> Response:
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


async def _watch(page: Page, request: Request, fields: Mapping[str, list[str]]) -> Response:
    window, span = _window(fields)
    store = page.store
    summary, (policies, groups) = await asyncio.to_thread(lambda: (summarise(store, window), known(store)))
    state = page.decider.router.learning
    return page.render(
        request,
        "watch.html.j2",
        summary=summary,
        window=window,
        span=span,
        policies=policies,
        groups=groups,
        drifts=state.drifts if state is not None else (),
        problem=state.problem if state is not None else None,
        query=request.url.query,
        **_drawn(summary),
    )


def _drawn(summary: Summary) -> dict[str, Any]:
    """The charts of a summary, and the colours of its models."""
    names = list(summary.models)
    if not names:
        return {"colours": {}, "shares": "", "costs": "", "latency": "", "reliability": ""}
    counts = {hour: {name: sums.decisions for name, sums in at.items()} for hour, at in summary.series.items()}
    kinds = ("cost", "best_cost", "cheapest_cost")
    usd = {hour: [sum(getattr(s, k) for s in at.values()) for k in kinds] for hour, at in summary.series.items()}
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
    }


async def _export(page: Page, _request: Request, fields: Mapping[str, list[str]]) -> Response:
    window, _ = _window(fields)
    summary = await asyncio.to_thread(summarise, page.store, window)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("time", "model", *SUMS))
    for row in summary.table():
        writer.writerow([_cell(value) for value in row])
    headers = {**HEADERS, "content-disposition": 'attachment; filename="decisions.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


async def _replay(page: Page, request: Request, fields: Mapping[str, list[str]]) -> Response:
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


async def _decide_again(page: Page, request: Request, fields: Mapping[str, list[str]]) -> Response:
    replay, shown = await asyncio.to_thread(_replayed, page, fields)
    names = sorted({*replay.before, *replay.after}, key=lambda name: (-replay.before[name], name))
    return page.render(request, "replayed.html.j2", replay=replay, names=names, changes=replay.changes[:SHOWN], **shown)


def _replayed(page: Page, fields: Mapping[str, list[str]]) -> tuple[Replay, dict[str, Any]]:
    window, span = _window(fields)
    kept = stored(page.store, window)
    if not kept:
        raise ConfigurationError("there are no decisions in this stretch of time")
    policy = policy_text((fields.get("with_policy") or [""])[0].strip()) or written(page.decider.router)
    weights = (fields.get("weights") or [""])[0]
    without = fields.get("without") or []
    if weights:
        found = by_prompts(kept, page.trials.router(policy, weights), without)
    else:
        found = by_scores(kept, resolve_policy(policy), without)
    return found, {"policy": policy, "span": span, "weights_used": weights}


async def _models(page: Page, request: Request, fields: Mapping[str, list[str]]) -> Response:
    query, name, other = ((fields.get(key) or [""])[0].strip() for key in ("q", "model", "with"))
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
        added=(fields.get("added") or [""])[0],
    )


async def _add_model(page: Page, request: Request, fields: Mapping[str, list[str]]) -> Response:
    name, benchmarks, source = ((fields.get(key) or [""])[0] for key in ("name", "benchmarks", "source"))
    made = await asyncio.to_thread(page.catalogue.add, name, benchmarks, source)
    return await _models(page, request, {"model": [made.model], "added": [made.model]})


async def _login(page: Page, request: Request, _fields: Mapping[str, list[str]]) -> Response:
    if not page.sessions.asks:
        return RedirectResponse("/", 303, headers=HEADERS)
    return page.render(request, "login.html.j2", wrong=False)


async def _sign_in(page: Page, request: Request, fields: Mapping[str, list[str]]) -> Response:
    client = request.client.host if request.client is not None else ""
    session = page.sessions.opened((fields.get("key") or [""])[0], client)
    if session is None:
        return page.render(request, "login.html.j2", 401, wrong=True)
    response = RedirectResponse("/", 303, headers=HEADERS)
    page.sessions.keep(response, session, request)
    return response


async def _sign_out(page: Page, request: Request, _fields: Mapping[str, list[str]]) -> Response:
    response = RedirectResponse("/login", 303, headers=HEADERS)
    page.sessions.keep(response, "", request)
    return response


def _window(fields: Mapping[str, list[str]]) -> tuple[Window, str]:
    """What a form narrows the decisions to, and the name of the stretch of time."""
    span, policy, group, thread = (
        (fields.get(key) or [""])[0].strip() for key in ("span", "policy", "group", "thread")
    )
    span = span if span in RANGES else "7 days"
    seconds = RANGES[span]
    return Window(time.time() - seconds if seconds else 0.0, policy=policy, group=group, thread=thread), span


def _cell(value: Any) -> Any:
    """A value of a CSV file, so that a spreadsheet takes no name for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def _change(share: float) -> str:
    """A change, with as many decimals as tell it from all or nothing."""
    digits = 1 if 0.99 < abs(share) < 1.0 or 0 < abs(share) < 0.1 else 0
    return f"{100 * share:+,.{digits}f} %".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
