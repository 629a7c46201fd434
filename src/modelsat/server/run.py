"""Running the server: a socket, uvicorn, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from modelsat.errors import ConfigurationError
from modelsat.inference.client import is_loopback
from modelsat.server.settings import ServerSettings, api_keys

logger = logging.getLogger("modelsat")


def bind(settings: ServerSettings) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigurationError: The port is taken, or the address is not of this machine.
    """
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {settings.host}: {error.strerror or error}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; choose another --port"
        ) from error
    return listening


def serve(app: FastAPI, settings: ServerSettings, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished first."""
    if not is_loopback(settings.host) and not api_keys(settings):
        logger.warning("the server listens on %s without API keys: whoever reaches it may use it", settings.host)
    server_for(app, settings).run(sockets=[listening])


def server_for(app: FastAPI, settings: ServerSettings) -> uvicorn.Server:
    """The uvicorn server of ``app``; run it with a socket of :func:`bind`."""
    config = uvicorn.Config(
        app,
        http=_protocol(settings),
        ws="none",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )
    return _Server(config, app)


class _Server(uvicorn.Server):
    """Not ready any more from the moment a signal arrives."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._app.state.decider.draining = True
        super().handle_exit(sig, frame)


def _refusal(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()


class _Bounded(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """The HTTP protocol of uvicorn, with limits on the time and the size of a head, and on the size of a request.

    Heads and what stands around a body are read before or beside every check of ours, and kept in memory.
    """

    seconds: float
    most_head: int
    most_bytes: int
    _timer: asyncio.TimerHandle | None = None
    _bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.seconds, self._too_slow)

    def data_received(self, data: bytes) -> None:
        if self._timer is None and not self._answering:
            self._timer, self._bytes = self.loop.call_later(self.seconds, self._too_slow), 0
        self._bytes += len(data)
        super().data_received(data)
        if self._timer is not None and self._answering:
            self._timer.cancel()
            self._timer = None
        if self.transport.is_closing():
            return
        if self._timer is not None and self._bytes > self.most_head:
            self.transport.write(_refusal("431 Request Header Fields Too Large"))
            self.transport.close()
        elif self._bytes > self.most_bytes:
            if not self.cycle.response_started:
                self.transport.write(_refusal("413 Content Too Large"))
            self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()


def _protocol(settings: ServerSettings) -> type[asyncio.Protocol]:
    head = settings.max_head_bytes
    # A body in chunks is framed: of those that are not tiny, the frames are smaller than what they hold.
    limits = {"seconds": settings.body_timeout_s, "most_head": head, "most_bytes": head + 2 * settings.max_body_bytes}
    return type("_Protocol", (_Bounded,), limits)
