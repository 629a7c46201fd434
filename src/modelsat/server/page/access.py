"""Who may see the page, and what a form holds: sessions, tokens against forged forms, headers of every answer, fields.

A session is a signed cookie, so the server keeps nothing. Its signature is made with a secret of the server's API keys:
sessions end when the keys change, and servers with the same keys share them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qs

from fastapi import Request
from fastapi.responses import Response

from modelsat.errors import ConfigurationError
from modelsat.inference.client import is_loopback
from modelsat.server.guard import Keys, RateLimit
from modelsat.server.problems import Problem, overloaded

COOKIE = "modelsat_session"
LIFETIME_S = 12 * 3600
"""Seconds after which a session ends."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every answer of the page."""
Fields = Mapping[str, Sequence[str]]
"""The fields of a form or an address."""
_TRIES_A_SECOND, _TRIES_AT_ONCE = 0.2, 10


class Sessions:
    """Makes and reads the cookie, and the token that forms carry.

    Args:
        keys: The server's API keys; without any, everyone has a session.
        clock: Seconds since the epoch.
    """

    def __init__(self, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self._keys, self._clock = keys, clock
        self._secret = keys.secret("page") if keys else secrets.token_bytes(32)
        self._tries = RateLimit(_TRIES_A_SECOND, _TRIES_AT_ONCE)

    @property
    def asks(self) -> bool:
        """Whether an API key is asked for."""
        return bool(self._keys)

    def opened(self, key: str, client: str) -> str | None:
        """A new session for whoever knows an API key; ``None`` for another ``key``.

        Raises:
            Problem: 429 after too many tries from one address.
        """
        if self._keys:
            if wait := self._tries.wait_for(client):
                raise overloaded(wait, "too many tries: wait a moment")
            if not self._keys.accepts(key.strip()):
                return None
        said = f"{round(self._clock()) + LIFETIME_S}.{secrets.token_urlsafe(12)}"
        return f"{said}.{self._signed('session', said)}"

    def read(self, request: Request) -> str | None:
        """The session of a request; ``None`` if it has none, a forged one, or one that has ended."""
        cookie = request.cookies.get(COOKIE, "")
        said, _, signature = cookie.rpartition(".")
        if not _same(signature, self._signed("session", said)):
            return None
        until = said.partition(".")[0]
        return cookie if until.isdigit() and int(until) > self._clock() else None

    def token(self, session: str) -> str:
        """The token that a form of ``session`` must carry."""
        return self._signed("form", session)

    def check(self, session: str, token: str) -> None:
        """Refuse a form that was not made for ``session``.

        Raises:
            Problem: 403.
        """
        if not _same(token, self.token(session)):
            raise Problem(403, "forged-form", "this form is not of your session: load the page again")

    def keep(self, response: Response, session: str, request: Request) -> None:
        """Put ``session`` into the answer's cookie."""
        response.set_cookie(
            COOKIE,
            session,
            max_age=LIFETIME_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    def _signed(self, what: str, said: str) -> str:
        return hmac.new(self._secret, f"{what} {said}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


async def form(request: Request) -> Fields:
    """The fields of a form; the guard has bounded the body."""
    return parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)


def one(fields: Fields, name: str) -> str:
    """The first value of a field, without space around it; empty if there is none."""
    return (fields.get(name) or [""])[0].strip()


def number(fields: Fields, name: str) -> float | None:
    """The number in a field; ``None`` if it is empty.

    Raises:
        ConfigurationError: It holds something else.
    """
    if not (text := one(fields, name)):
        return None
    try:
        value = float(text)
    except ValueError:
        raise ConfigurationError(f"{name.replace('_', ' ')}: {text[:40]!r} is not a number") from None
    return int(value) if value.is_integer() else value


def check_host(request: Request, listens_on: str) -> None:
    """Refuse another site's name for a server of this machine alone, which a browser may be led to use.

    Raises:
        Problem: 403.
    """
    if is_loopback(listens_on) and not is_loopback(request.url.hostname or ""):
        raise Problem(403, "other-host", "this server answers its own machine alone: open it as http://127.0.0.1")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
