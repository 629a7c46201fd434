"""What the tests' OpenAI-compatible servers have in common: a thread on the loopback interface, and its address."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import Self


class LoopbackServer:
    """A server that runs while it is entered; a context manager.

    Args:
        handler: Answers requests, with this server as its attribute ``state``.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        bound = type(handler.__name__, (_Quiet, handler), {"state": self})
        self._http = _Server(("127.0.0.1", 0), bound)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass
