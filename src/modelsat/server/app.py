"""The server as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jinja2
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBearer

from modelsat.inference.base import Scorer
from modelsat.server import problems
from modelsat.server.decider import Decider
from modelsat.server.endpoints import api, health
from modelsat.server.guard import Guard, Keys, RateLimit
from modelsat.server.metrics import Measure
from modelsat.server.settings import ServerSettings, api_keys

_ABOUT = "Decides before any model runs which of your chat models will answer a request well."


def create_app(
    settings: ServerSettings, scorer: Scorer | None = None, *, keys: Keys | None = None, warm: bool = True
) -> FastAPI:
    """Build the application and load the weights.

    Args:
        settings: Settings of the server.
        scorer: The network; loaded from the settings if not given.
        keys: API keys; read as the settings say if not given.
        warm: Run the network once now, so that the first request is quick and bad weights are noticed.

    Raises:
        ModelSATError: The candidates, the weights or a setting cannot be used.
    """
    from modelsat import __version__

    decider = Decider(settings, scorer)
    if warm:
        decider.router.warmup()
    keys = Keys(api_keys(settings)) if keys is None else keys
    page = None
    if settings.ui:
        from modelsat.server.page.page import Page

        page = Page(decider, keys)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        if page is not None:
            await asyncio.to_thread(page.examiner.close)
        decider.close()

    app = FastAPI(
        title="modelsat",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        redoc_url=None,
    )
    app.state.decider = decider
    # The guard checks the key before the body is read; the dependency only describes it.
    app.include_router(api, dependencies=[Depends(HTTPBearer(auto_error=False))] if keys else [])
    app.include_router(health)
    if page is not None:
        app.include_router(page.routes())
    problems.install(app)
    if settings.docs:  # a page of our own: FastAPI's loads its scripts from the internet

        @app.get("/docs", include_in_schema=False)
        async def docs(request: Request) -> HTMLResponse:
            return _described(app.openapi(), str(request.base_url).rstrip("/"))

    limit = settings.rate_limit
    app.add_middleware(
        Guard,
        keys=keys,
        limit=None if limit is None else RateLimit(limit, settings.rate_burst or max(1, round(2 * limit))),
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
    )
    app.add_middleware(Measure, metrics=decider.metrics)
    return app


def _described(description: Mapping[str, Any], address: str) -> HTMLResponse:
    """The documentation page: what the OpenAPI description says, without scripts or anything from elsewhere."""
    loader = jinja2.PackageLoader("modelsat.server.page")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    text = environment.get_template("docs.html.j2").render(**description, address=address)
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    return HTMLResponse(text, headers={"content-security-policy": policy})
