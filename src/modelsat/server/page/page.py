"""The page's addresses, and what all tabs share: templates, sessions, the store."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jinja2
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.feedback.base import QueryableStore
from modelsat.server.decider import Decider
from modelsat.server.guard import Keys
from modelsat.server.page import charts, tab_models, tab_replay, tab_try, tab_watch
from modelsat.server.page.access import HEADERS, Fields, Sessions, check_host, form, one
from modelsat.server.page.examination import Examiner
from modelsat.server.page.trial import Trials
from modelsat.server.page.wish import KNOBS
from modelsat.server.problems import Problem

FOLDER = Path(__file__).parent
_STATIC = {
    "htmx.min.js": "text/javascript",
    "page.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_KEPT_S = 86400
View = Callable[["Page", Request, Fields], Awaitable[Response]]


class Page:
    """Renders the page of one server.

    Args:
        decider: What the server decides with.
        keys: The server's API keys.
    """

    def __init__(self, decider: Decider, keys: Keys) -> None:
        self.decider, self.sessions = decider, Sessions(keys)
        self.trials, self.examiner = Trials(decider), Examiner(decider.settings)
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
            "ranges": tab_watch.RANGES,
        }
        self._templates = environment

    def routes(self) -> APIRouter:
        """Four tabs, the parts that htmx swaps, signing in, and the files they need."""
        router = APIRouter(include_in_schema=False)

        def at(path: str, view: View, method: str = "GET", free: bool = False) -> None:
            async def answer(request: Request) -> Response:
                return await self._answer(request, view, free)

            router.add_api_route(path, answer, methods=[method], response_model=None)

        at("/", tab_try.form)
        at("/page/try", tab_try.decide, "POST")
        at("/watch", tab_watch.watch)
        at("/page/watch.csv", tab_watch.export)
        at("/replay", tab_replay.form)
        at("/page/replay", tab_replay.decide_again, "POST")
        at("/models", tab_models.models)
        at("/page/models", tab_models.add, "POST")
        at("/page/test", tab_models.examination)
        at("/page/test", tab_models.examine, "POST")
        at("/page/test/stop", tab_models.stop, "POST")
        at("/login", _login, free=True)
        at("/page/login", _sign_in, "POST", free=True)
        at("/page/logout", _sign_out, "POST")
        router.add_api_route("/page/static/{name}", _file, response_model=None)
        return router

    async def _answer(self, request: Request, view: View, free: bool) -> Response:
        """One view, for whoever has a session, with what went wrong as a part of the page."""
        try:
            check_host(request, self.decider.settings.host)
            session = self.sessions.read(request)
            fresh = None if session or self.sessions.asks else self.sessions.opened("", "")
            request.state.session = session or fresh or ""
            if not request.state.session and not free:
                if "hx-request" in request.headers:
                    return Response(status_code=204, headers={**HEADERS, "hx-redirect": "/login"})
                return RedirectResponse("/login", 303, headers=HEADERS)
            fields: Fields
            if request.method == "POST":
                fields = await form(request)
                self.sessions.check(request.state.session, one(fields, "token"))
            else:
                fields = {name: request.query_params.getlist(name) for name in request.query_params}
            response = await view(self, request, fields)
            if fresh:
                self.sessions.keep(response, fresh, request)
            return response
        except Problem as problem:
            return self.render(request, "error.html.j2", problem.status, message=problem.detail)
        except ModelSATError as error:
            return self.render(request, "error.html.j2", 422, message=str(error))

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


async def _file(name: str) -> Response:
    if name not in _STATIC:
        raise Problem(404, "not-found", "Not Found")
    headers = {**HEADERS, "cache-control": f"max-age={_KEPT_S}"}
    return FileResponse(FOLDER / "static" / name, media_type=_STATIC[name], headers=headers)


async def _login(page: Page, request: Request, _fields: Fields) -> Response:
    if not page.sessions.asks:
        return RedirectResponse("/", 303, headers=HEADERS)
    return page.render(request, "login.html.j2", wrong=False)


async def _sign_in(page: Page, request: Request, fields: Fields) -> Response:
    client = request.client.host if request.client is not None else ""
    session = page.sessions.opened(one(fields, "key"), client)
    if session is None:
        return page.render(request, "login.html.j2", 401, wrong=True)
    response = RedirectResponse("/", 303, headers=HEADERS)
    page.sessions.keep(response, session, request)
    return response


async def _sign_out(page: Page, request: Request, _fields: Fields) -> Response:
    response = RedirectResponse("/login", 303, headers=HEADERS)
    page.sessions.keep(response, "", request)
    return response


def _change(share: float) -> str:
    """A change, with as many decimals as tell it from all or nothing."""
    digits = 1 if 0.99 < abs(share) < 1.0 or 0 < abs(share) < 0.1 else 0
    return f"{100 * share:+,.{digits}f} %".replace("-", "−")


def _signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
