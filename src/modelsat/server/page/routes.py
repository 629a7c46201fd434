"""The page's addresses: four tabs, the parts that htmx swaps, signing in, and the files they need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from modelsat.errors import ModelSATError
from modelsat.server.page import tab_models, tab_replay, tab_try, tab_watch
from modelsat.server.page.access import HEADERS, check_host, form
from modelsat.server.page.page import FOLDER, Fields, Page, one
from modelsat.server.problems import Problem

_STATIC = {
    "htmx.min.js": "text/javascript",
    "page.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_KEPT_S = 86400
View = Callable[[Page, Request, Fields], Awaitable[Response]]


def router_of(page: Page) -> APIRouter:
    """The page's addresses."""
    router = APIRouter(include_in_schema=False)

    def at(path: str, view: View, method: str = "GET", free: bool = False) -> None:
        router.add_api_route(path, partial(_answer, page, view, free), methods=[method], response_model=None)

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
        fields: Fields
        if request.method == "POST":
            fields = await form(request)
            page.sessions.check(request.state.session, one(fields, "token"))
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
