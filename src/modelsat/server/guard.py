"""What stands before the endpoints: API keys, rate and body limits, as one ASGI layer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping, Sequence
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers

from modelsat.errors import OTHERS_RAISE
from modelsat.server.problems import Problem, overloaded, unexpected

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
_CLIENTS_KEPT = 10_000
CLIENT: ContextVar[str] = ContextVar("CLIENT", default="")
"""Whose request is served."""


class Keys:
    """API keys, compared in constant time; only their hashes are kept."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accepts(self, key: str) -> bool:
        """Say whether ``key`` is one of them; the time taken does not depend on which, or on how much is right."""
        given = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        # No early return: every key is compared.
        return sum([hmac.compare_digest(given, digest) for digest in self._digests]) > 0

    def secret(self, purpose: str) -> bytes:
        """A secret that only servers with these keys know, another for each ``purpose``."""
        return hmac.new(b"".join(sorted(self._digests)), purpose.encode(), hashlib.sha256).digest()


class RateLimit:
    """A token bucket for each of a bounded number of clients: ``rate`` requests a second, ``burst`` at once."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_for(self, client: str) -> float:
        """Take one token; 0.0, or the seconds after which there is one."""
        now = self._clock()
        tokens, since = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        taken = tokens >= 1.0
        self._buckets[client] = (tokens - 1.0 if taken else tokens, now)
        while len(self._buckets) > _CLIENTS_KEPT:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1.0 - tokens) / self._rate


class Guard:
    """ASGI layer over ``/v1``: asks for a key, counts requests, reads the body within its limits of size and time.

    Forms of the page (``/page/``) are counted and bounded likewise; the page asks for its own session.

    Args:
        app: What is guarded.
        keys: API keys; none lets everyone in.
        limit: Rate limit, if any.
        max_body_bytes: Largest body.
        body_timeout_s: Seconds the body may take to arrive.
    """

    def __init__(
        self, app: Any, *, keys: Keys, limit: RateLimit | None, max_body_bytes: int, body_timeout_s: float
    ) -> None:
        self._app, self._keys, self._limit = app, keys, limit
        self._max_body_bytes, self._body_timeout_s = max_body_bytes, body_timeout_s

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        form = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith("/page/")
        if scope["type"] != "http" or not (form or scope["path"].startswith("/v1/")):
            await self._pass_on(scope, receive, send)
            return
        try:
            CLIENT.set(self._admit(scope, () if form else self._keys))
            body = await asyncio.wait_for(self._body(scope, receive), self._body_timeout_s)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        except (TimeoutError, asyncio.TimeoutError):
            detail = f"the body did not arrive within {self._body_timeout_s:g} s"
            await Problem(408, "slow-body", detail, headers=_CLOSE).response()(scope, receive, send)
            return
        if body is not None:
            await self._pass_on(scope, _replay(body, receive), send)

    async def _pass_on(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve what was admitted; a foreign error, whose text may quote the prompt, goes no further than here."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except OTHERS_RAISE as error:
            if scope["type"] != "http":
                raise
            problem = unexpected(error)
            if begun:  # half an answer cannot become another: the client sees that it broke off
                raise ConnectionAbortedError("an answer broke off; the line before says why") from None
            await problem.response()(scope, receive, send)

    def _admit(self, scope: Scope, keys: Keys | tuple[()]) -> str:
        """Who asks, once their key and their rate are found in order: the hash of the key, or the address."""
        key = _key(scope)
        if keys and not keys.accepts(key):
            detail = "give an API key of this server: `Authorization: Bearer KEY` or `X-API-Key: KEY`"
            headers = {"www-authenticate": "Bearer", **_CLOSE}
            raise Problem(401, "unauthorised", detail, fields=[("authorization", detail)], headers=headers)
        client = hashlib.sha256(key.encode()).hexdigest() if keys else str((scope.get("client") or ("",))[0])
        if self._limit is not None:
            seconds = self._limit.wait_for(client)
            if seconds:
                raise overloaded(seconds, "too many requests: slow down to the rate limit of this server")
        return client

    async def _body(self, scope: Scope, receive: Any) -> bytes | None:
        """The whole body; ``None`` if the client left."""
        length = Headers(scope=scope).get("content-length", "")
        if length.isdigit() and int(length) > self._max_body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> Problem:
        detail = f"the body is larger than {self._max_body_bytes} bytes: send fewer or shorter prompts a request"
        return Problem(413, "too-large", detail, fields=[("body", detail)], headers=_CLOSE)


_CLOSE = {"connection": "close"}


def _replay(body: bytes, receive: Any) -> Any:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()  # type: ignore[no-any-return]
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _key(scope: Scope) -> str:
    headers = Headers(scope=scope)
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.casefold() == "bearer" else headers.get("x-api-key", "").strip()
