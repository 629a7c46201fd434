"""A load generator for loopback: closed-loop clients over keep-alive connections, on asyncio streams."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Measured:
    """What the clients of one run saw.

    Attributes:
        seconds: Duration.
        latencies: Seconds of every answered request.
        outcomes: Requests by HTTP status, or by class of the error where there was none.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Successful requests a second."""
        return self.outcomes["200"] / self.seconds

    def percentile(self, share: int) -> float:
        """Milliseconds within which ``share`` per cent of the requests were answered."""
        if len(self.latencies) < 2:
            return float("nan")
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[share - 1] * 1e3

    @property
    def errors(self) -> str:
        """Everything but 200, counted."""
        return ", ".join(f"{count} x {name}" for name, count in self.outcomes.items() if name != "200") or "none"


class _Client:
    def __init__(self, host: str, port: int, path: str) -> None:
        self._host, self._port, self._path = host, port, path
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, body: bytes) -> str:
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        head = (
            f"POST {self._path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(answer.split("content-length: ", 1)[1].split("\r\n", 1)[0])
        await self._reader.readexactly(length)
        if "connection: close" in answer:
            self.close()
        return answer.split(" ", 2)[1]

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def load(
    host: str,
    port: int,
    path: str,
    body: Callable[[int], object],
    *,
    clients: int,
    seconds: float = float("inf"),
    requests: int | None = None,
) -> Measured:
    """Let ``clients`` ask without a pause, for ``seconds`` or until there were ``requests``.

    Args:
        host: Where the server listens.
        port: Its port.
        path: The endpoint.
        body: The body of a request, by its number.
        clients: Clients that each wait for an answer before they ask again.
        seconds: Duration.
        requests: Number of requests after which the run ends.
    """
    measured = Measured()
    began = time.perf_counter()
    number = 0

    async def client() -> None:
        nonlocal number
        connection = _Client(host, port, path)
        while time.perf_counter() - began < seconds and (requests is None or number < requests):
            number += 1
            content = json.dumps(body(number)).encode()
            asked = time.perf_counter()
            try:
                status = await asyncio.wait_for(connection.post(content), 60)
            except (OSError, EOFError, asyncio.TimeoutError) as error:
                measured.outcomes[type(error).__name__] += 1
                connection.close()
                await asyncio.sleep(0.05)
                continue
            measured.outcomes[status] += 1
            measured.latencies.append(time.perf_counter() - asked)
            if status == "429":
                await asyncio.sleep(0.05)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    measured.seconds = time.perf_counter() - began
    return measured
