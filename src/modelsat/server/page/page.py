"""What all tabs share: templates, sessions, the store, and the fields of a form."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from modelsat.errors import ConfigurationError
from modelsat.feedback.base import QueryableStore
from modelsat.feedback.summary import Window
from modelsat.server.decider import Decider
from modelsat.server.guard import Keys
from modelsat.server.page import charts
from modelsat.server.page.access import HEADERS, Sessions
from modelsat.server.page.catalogue import Catalogue
from modelsat.server.page.examination import Examiner
from modelsat.server.page.knobs import KNOBS
from modelsat.server.page.trial import Trials

FOLDER = Path(__file__).parent
RANGES: Mapping[str, float] = {"24 hours": 86400.0, "7 days": 7 * 86400.0, "30 days": 30 * 86400.0, "all": 0.0}
"""Stretches of time to look back over, in seconds; 0 for all there is."""
Fields = Mapping[str, list[str]]


class Page:
    """Renders the page of one server.

    Args:
        decider: What the server decides with.
        keys: The server's API keys.
    """

    def __init__(self, decider: Decider, keys: Keys) -> None:
        import jinja2

        self.decider, self.sessions = decider, Sessions(keys)
        self.trials, self.catalogue, self.examiner = Trials(decider), Catalogue(), Examiner(decider.settings)
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


def one(fields: Fields, name: str) -> str:
    """The first value of a field, without space around it; empty if there is none."""
    return (fields.get(name) or [""])[0].strip()


def window_of(fields: Fields) -> tuple[Window, str]:
    """What a form narrows the decisions to, and the name of the stretch of time."""
    span, policy, group, thread = (one(fields, key) for key in ("span", "policy", "group", "thread"))
    span = span if span in RANGES else "7 days"
    seconds = RANGES[span]
    return Window(time.time() - seconds if seconds else 0.0, policy=policy, group=group, thread=thread), span


def _change(share: float) -> str:
    """A change, with as many decimals as tell it from all or nothing."""
    digits = 1 if 0.99 < abs(share) < 1.0 or 0 < abs(share) < 0.1 else 0
    return f"{100 * share:+,.{digits}f} %".replace("-", "−")


def _signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
