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
    if settings.host not in ("127.0.0.1", "::1", "localhost") and not api_keys(settings):
        logger.warning("the server listens on %s without API keys: whoever reaches it may use it", settings.host)
    server_for(app, settings).run(sockets=[listening])


def server_for(app: FastAPI, settings: ServerSettings) -> uvicorn.Server:
    """The uvicorn server of ``app``; run it with a socket of :func:`bind`."""
    config = uvicorn.Config(
        app,
        http=_protocol(settings.body_timeout_s),
        ws="none",
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


def _protocol(head_timeout_s: float) -> type[asyncio.Protocol]:
    """The HTTP protocol of uvicorn, with a limit on the time that the head of a request may take."""

    class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _head: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._head = self.loop.call_later(head_timeout_s, self._too_slow)

        def data_received(self, data: bytes) -> None:
            if self._head is None and (self.cycle is None or self.cycle.response_complete):
                self._head = self.loop.call_later(head_timeout_s, self._too_slow)
            super().data_received(data)
            if self._head is not None and self.cycle is not None and not self.cycle.response_complete:
                self._head.cancel()
                self._head = None

        def connection_lost(self, exc: Exception | None) -> None:
            if self._head is not None:
                self._head.cancel()
            super().connection_lost(exc)

        def _too_slow(self) -> None:
            self._head = None
            if not self.transport.is_closing():
                self.transport.close()

    return Protocol
