"""A server in a thread, on a free port of the loopback interface."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from modelsat.inference import Scorer
from modelsat.server import ServerSettings, create_app
from modelsat.server.run import bind, server_for


@contextmanager
def serving(scorer: Scorer, **settings: Any) -> Iterator[str]:
    """Serve ``scorer`` and yield the server's address."""
    chosen = ServerSettings(**{"candidates": ["gpt-4o", "gpt-4o-mini"], "port": 0, **settings})
    app = create_app(chosen, scorer)
    listening = bind(chosen)
    server = server_for(app, chosen)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        wait_until_ready(address)
        yield address
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listening.close()


def wait_until_ready(address: str, seconds: float = 60.0, path: str = "/readyz") -> None:
    """Return once the server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(f"{address}{path}", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{address} is not ready")
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
