"""What routing costs in LiteLLM's proxy: our callback beside plain simple-shuffle and LiteLLM's complexity heuristic.

    python benchmarks/litellm_proxy.py [--rounds 60] [--blocks 6] [--weights NAME_OR_FOLDER] [--same]

One stock proxy process on the loopback interface with one worker, on a backend process that answers at once. The same
deployments stand behind a group that is not routed, one that is, and an auto router with LiteLLM's heuristic. Single
requests go to them by turns; with 16 clients, blocks of requests do. No two prompts are equal; with --same all are, so
that scores are kept and what is left is the cost of routing beside the network. Prints medians, what is added, the
ratios, and the memory of the worker beside that of a proxy without us.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from rich.console import Console
from rich.table import Table

from modelsat.storage.checkpoint import SHIPPED

KEY = "sk-5b1d8c40e7f2a936"
GROUPS = ("plain", "routed", "heuristic")
CLIENTS = 16
number = itertools.count(1000)
outcomes: Counter[bool] = Counter()
"""Requests to the routed group, by whether they were routed in time."""
LIMITS = {"throughput": 0.9, "memory_mb": 120.0}
SENTENCE = (
    "explain why the derivative of a function can vanish at point without being extremum and give one example for each "
    "case then compare with second order conditions used in economics engineering when cost depends on many variables "
)

BACKEND = """
import json, sys
import uvicorn

usage = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}
message = {"role": "assistant", "content": "It can vanish at a saddle."}
choice = {"index": 0, "message": message, "finish_reason": "stop"}
body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
data = json.dumps(body).encode()
headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="single requests of each kind to each group")
    parser.add_argument("--blocks", type=int, default=6, help="blocks of requests by 16 clients to each group")
    parser.add_argument("--requests", type=int, default=160, help="requests in a block")
    parser.add_argument("--weights", default=SHIPPED, help="name or folder of the weights (default: %(default)s)")
    parser.add_argument("--same", action="store_true", help="send the same text every time: its scores are kept")
    arguments = parser.parse_args()
    if arguments.same:
        global number
        number = itertools.count(1000, 0)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), arguments))


async def measure(folder: Path, arguments: argparse.Namespace) -> None:
    port = free_port()
    config = configuration(f"http://127.0.0.1:{port}/v1", arguments.weights)
    bare = {**config, "litellm_settings": {}}
    with (folder / "log").open("wb") as log:
        backend = subprocess.Popen([sys.executable, "-c", BACKEND, str(port)], stdout=log, stderr=log)
    try:
        async with proxy(folder, bare) as (client, process):
            without = await memory_mb(client, process, "plain")
        async with proxy(folder, config) as (client, process):
            added = await memory_mb(client, process, "routed") - without
            report(
                await singles(client, arguments.rounds), await together(client, arguments.blocks, arguments.requests)
            )
            print(f"memory of a worker: {without:.0f} MB without modelsat, {added:.0f} MB added")
    finally:
        backend.terminate()
        backend.wait()


@asynccontextmanager
async def proxy(
    folder: Path, config: Mapping[str, Any]
) -> AsyncIterator[tuple[httpx.AsyncClient, subprocess.Popen[bytes]]]:
    """A proxy and its client."""
    file, port = folder / "config.yaml", free_port()
    file.write_text(yaml.safe_dump(config), "utf-8")
    start = "from litellm import run_server; run_server()"
    options = ["--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", start, *options], stdout=log, stderr=log, env=environment)
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits) as client:
            await ready(client, process, folder / "log")
            yield client, process
    finally:
        process.terminate()
        process.wait()


async def memory_mb(client: httpx.AsyncClient, process: subprocess.Popen[bytes], group: str) -> float:
    """Resident memory of the worker after forty requests to ``group``."""
    for _ in range(40):
        await ask(client, group, prompts()["100 tokens"])
    return psutil.Process(process.pid).memory_info().rss / 1e6


def configuration(url: str, weights: str) -> dict[str, Any]:
    def entry(name: str, model: str) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": f"openai/{model}", "api_base": url, "api_key": "none"}}

    models = ("gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo")
    tiers = {"SIMPLE": "small", "MEDIUM": "small", "COMPLEX": "large", "REASONING": "large"}
    auto = {"model": "auto_router/complexity_router", "complexity_router_config": {"tiers": tiers}}
    return {
        "model_list": [
            *(entry(group, model) for group in ("plain", "routed") for model in models),
            *(entry(name, model) for name in ("small", "large") for model in models),
            {"model_name": "heuristic", "litellm_params": {**auto, "complexity_router_default_model": "small"}},
        ],
        "litellm_settings": {
            "callbacks": ["litellm_modelsat.proxy.handler"],
            "modelsat": {"weights": weights, "groups": {"routed": {"policy": "cheapest(target=0.8)"}}},
        },
        "general_settings": {"master_key": KEY},
    }


def prompts() -> dict[str, list[dict[str, str]]]:
    words = (SENTENCE * 3).split()
    turn = " ".join(words[:60])
    talk = [{"role": "user" if n % 2 == 0 else "assistant", "content": turn} for n in range(11)]
    return {
        "100 tokens": [{"role": "user", "content": " ".join(words[:85])}],
        "12 messages": [{"role": "system", "content": turn}, *talk],
    }


async def ask(client: httpx.AsyncClient, group: str, messages: Sequence[Mapping[str, str]]) -> float:
    """Milliseconds of one request."""
    last = messages[-1]
    asked = [*messages[:-1], {**last, "content": f"{next(number)} {last['content']}"}]
    began = time.perf_counter()
    response = await client.post(
        "/v1/chat/completions",
        json={"model": group, "messages": asked},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    taken = (time.perf_counter() - began) * 1000
    response.raise_for_status()
    if group == "routed":
        outcomes["x-modelsat-score" in response.headers] += 1
    return taken


async def singles(client: httpx.AsyncClient, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds by kind of prompt and group, one request at a time, by turns."""
    times: dict[tuple[str, str], list[float]] = {}
    for kind, messages in prompts().items():
        for turn in range(rounds + 5):
            for group in GROUPS:
                taken = await ask(client, group, messages)
                if turn >= 5:
                    times.setdefault((kind, group), []).append(taken)
    return times


async def together(client: httpx.AsyncClient, blocks: int, requests: int) -> dict[str, list[float]]:
    """Requests a second by group, 16 clients at once, by turns."""
    messages = prompts()["100 tokens"]
    rates: dict[str, list[float]] = {}

    async def one(group: str) -> float:
        left = iter(range(requests))

        async def work() -> None:
            for _ in left:
                await ask(client, group, messages)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(CLIENTS)))
        return requests / (time.perf_counter() - began)

    for turn in range(blocks + 1):
        for group in GROUPS:
            rate = await one(group)
            if turn:
                rates.setdefault(group, []).append(rate)
    return rates


def report(times: Mapping[tuple[str, str], Sequence[float]], rates: Mapping[str, Sequence[float]]) -> None:
    console = Console()
    console.print(f"LiteLLM {metadata.version('litellm')}")
    table = Table("1 client, p50", *GROUPS, "routed adds", "heuristic adds", "routed / plain", title="milliseconds")
    for kind in prompts():
        middle = {group: statistics.median(times[kind, group]) for group in GROUPS}
        added = {
            group: statistics.median(a - b for a, b in zip(times[kind, group], times[kind, "plain"], strict=True))
            for group in GROUPS
        }
        cells = [f"{middle[group]:.1f}" for group in GROUPS]
        ratio = middle["routed"] / middle["plain"]
        table.add_row(kind, *cells, f"{added['routed']:.1f}", f"{added['heuristic']:.1f}", f"{ratio:.2f}")
    console.print(table)
    shares = [ours / plain for ours, plain in zip(rates["routed"], rates["plain"], strict=True)]
    heuristic = [other / plain for other, plain in zip(rates["heuristic"], rates["plain"], strict=True)]
    rate = {group: statistics.median(values) for group, values in rates.items()}
    table = Table(
        f"{CLIENTS} clients, 100 tokens", *GROUPS, "routed / plain", "heuristic / plain", title="requests a second"
    )
    share = f"{statistics.median(shares):.2f} ({min(shares):.2f}-{max(shares):.2f})"
    table.add_row(
        "median of blocks", *(f"{rate[group]:.0f}" for group in GROUPS), share, f"{statistics.median(heuristic):.2f}"
    )
    console.print(table)
    console.print(f"routed in time: {outcomes[True]} of {outcomes.total()} requests")
    console.print(
        f"wanted: no more added than the heuristic adds, {LIMITS['throughput']:.0%} of plain throughput at least, "
        f"{LIMITS['memory_mb']:g} MB added at most"
    )


async def ready(client: httpx.AsyncClient, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if (await client.get("/health/liveliness")).status_code == 200:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.2)
    raise SystemExit(f"the proxy did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
