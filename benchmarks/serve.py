"""`modelsat serve` under load on the loopback interface: rates, latencies, errors, memory, and a kill under load.

    python benchmarks/serve.py [--seconds 10] [--rounds 3]     1, 16, 64 and 256 clients
    python benchmarks/serve.py --soak 100000                   memory over 100,000 requests
    python benchmarks/serve.py --faults                        kill -9 and restart under load; overload; slow clients

The server is a process of its own, bound to one core with one thread; the clients run on the others. Beside every rate
stands its ratio to `Router.route` in a loop on the same core, measured in the same run, and the requests for each
second of CPU time that the server used: what one core does if it does nothing else, however busy the machine is.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from http_load import Measured, load
from rich.console import Console
from rich.table import Table

from modelsat import Registry, Router
from modelsat.cli.bench import prompt

CLIENTS = (1, 16, 64, 256)
CORE = 0
console = Console(width=140)

IN_PROCESS = """
import json, sys, time
from modelsat import Router
settings = json.load(sys.stdin)
router = Router(settings["names"])
router.warmup()
began, started, done = time.perf_counter(), time.process_time(), 0
while time.perf_counter() - began < settings["seconds"]:
    router.route(settings["prompts"][done % len(settings["prompts"])] + f" {done}")
    done += 1
print(done / (time.perf_counter() - began), done / (time.process_time() - started))
"""


def prompts(tokens: int, count: int = 500) -> list[str]:
    """Different prompts of about ``tokens`` tokens."""
    return [prompt(max(1, tokens - 3), seed) for seed in range(count)]


def on_one_core() -> None:
    """Bind the calling process to one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {CORE})


ADDRESS = re.compile(r"on http://\S+:(\d+)\b")
"""In the first line that the server prints."""


@contextmanager
def serving(names: list[str], port: int = 0, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server process on one core, and its port."""
    command = [sys.executable, "-m", "modelsat", "serve", "--models", ",".join(names), "--port", str(port), *options]
    environment = {**os.environ, "MODELSAT_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=on_one_core)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = ADDRESS.search(line)
        if found is None:
            process.terminate()  # else what it says has no end
            raise SystemExit(line + process.stderr.read())
        reader = threading.Thread(target=process.stderr.read, daemon=True)
        reader.start()
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)
    reader.join()
    process.stderr.close()


def megabytes(process: subprocess.Popen[str]) -> float:
    """Resident memory of a process."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[0]) / 1024


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settle(process: subprocess.Popen[str]) -> None:
    """Wait until a server has worked off what its clients gave up on."""
    before = -1.0
    while (used := cpu_seconds(process)) > before + 0.02:
        before = used
        time.sleep(0.5)


def in_process(names: list[str], texts: list[str], seconds: float) -> tuple[float, float]:
    """Decisions a second, and a second of CPU time, of ``Router.route`` in a loop on the server's core."""
    import json

    run = subprocess.run(
        [sys.executable, "-c", IN_PROCESS],
        input=json.dumps({"names": names, "prompts": texts, "seconds": seconds}),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MODELSAT_THREADS": "1"},
        preexec_fn=on_one_core,
    )
    rate, each_cpu_second = map(float, run.stdout.split())
    return rate, each_cpu_second


def bodies(texts: list[str], mark: str) -> Callable[[int], object]:
    """Bodies of requests, different in every run, as the router keeps the scores of recent texts."""
    return lambda number: {"messages": f"{texts[number % len(texts)]} {number} {mark}"}


def rates(arguments: argparse.Namespace) -> None:
    """Throughput and latency by number of clients; medians over rounds."""
    names = Registry.default().names()[: arguments.candidates]
    for tokens in arguments.tokens:
        texts = prompts(tokens)
        table = Table(
            title=f"/v1/route, {len(names)} candidates, {tokens} tokens, one core, median of {arguments.rounds}",
            title_justify="left",
        )
        for column in (
            "clients",
            "requests/s",
            "ratio",
            "per CPU-s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "errors",
            "MB start",
            "MB end",
        ):
            table.add_column(column, justify="right")
        runs: dict[int, list[tuple[Measured, float, float, float, float]]] = {clients: [] for clients in CLIENTS}
        loops: list[tuple[float, float]] = []
        with serving(names) as (process, port):
            for round_ in range(arguments.rounds):
                settle(process)
                alone, each = in_process(names, texts, arguments.seconds / 2)
                loops.append((alone, each))
                for clients in CLIENTS:
                    before, used = megabytes(process), cpu_seconds(process)
                    run = asyncio.run(
                        load(
                            "127.0.0.1",
                            port,
                            "/v1/route",
                            bodies(texts, f"{round_} {clients}"),
                            clients=clients,
                            seconds=arguments.seconds,
                        )
                    )
                    used = cpu_seconds(process) - used
                    runs[clients].append((run, alone, before, megabytes(process), used))
        for clients, found in runs.items():
            errors = sum((run.outcomes for run, *_ in found), Counter())
            median = [statistics.median(run.percentile(share) for run, *_ in found) for share in (50, 95, 99)]
            table.add_row(
                str(clients),
                f"{statistics.median(run.rate for run, *_ in found):.0f}",
                f"{statistics.median(run.rate / alone for run, alone, *_ in found):.2f} x",
                f"{statistics.median(run.outcomes['200'] / used for run, *_, used in found):.0f}",
                *(f"{value:.0f}" for value in median),
                ", ".join(f"{count} x {name}" for name, count in errors.items() if name != "200") or "none",
                f"{found[0][2]:.0f}",
                f"{found[-1][3]:.0f}",  # after the last round
            )
        console.print(table)
        loop, each = (statistics.median(values) for values in zip(*loops, strict=True))
        console.print(f"Router.route in a loop on the same core: {loop:.0f} a second, {each:.0f} a CPU-second\n")


def soak(arguments: argparse.Namespace) -> None:
    """Memory of the server over many requests; a line as soon as it is known."""
    names = Registry.default().names()[:3]
    with serving(names) as (process, port):
        step = max(1, arguments.soak // 20)
        console.print(f"memory over {arguments.soak:,} requests, 64 clients, short prompts")
        console.print(f"{0:>8,} requests: {megabytes(process):.1f} MB")
        for part in range(1, arguments.soak // step + 1):
            run = asyncio.run(
                load(
                    "127.0.0.1",
                    port,
                    "/v1/route",
                    lambda n, part=part: {"messages": f"Why is {n} not a prime? {part}"},
                    clients=64,
                    requests=step,
                )
            )
            console.print(
                f"{part * step:>8,} requests: {megabytes(process):.1f} MB, {run.rate:.0f}/s, errors: {run.errors}"
            )


def faults(arguments: argparse.Namespace) -> None:
    """A server killed and restarted under load, an overloaded one, and slow clients."""
    names = Registry.default().names()[:3]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logging.getLogger("modelsat").setLevel(logging.ERROR)  # a line for every fallback otherwise
    seen: Counter[str] = Counter()
    stop = threading.Event()
    router = Router(names, scorer=f"http://127.0.0.1:{port}", fallback=names[0])

    def decide(client: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                decision = router.route(f"Why is {number} not a prime? {client}")
                seen["fallback" if decision.fallback else "scored"] += 1
            except Exception as error:
                seen[f"failed: {type(error).__name__}"] += 1
            time.sleep(0.005)

    threads = [threading.Thread(target=decide, args=(client,)) for client in range(8)]
    with serving(names, port) as (process, _):
        for thread in threads:
            thread.start()
        wait_for(lambda: seen["scored"] >= 200)
        process.send_signal(signal.SIGKILL)
        process.wait()
        console.print(f"until kill -9: {dict(seen)}")
    time.sleep(2)
    down = Counter(seen)
    console.print(f"while it was down: {dict(down)}")
    with serving(names, port):
        wait_for(lambda: seen["scored"] - down["scored"] >= 200)
        stop.set()
        for thread in threads:
            thread.join()
    console.print(f"after the restart, further: {dict(seen - down)}")
    overload(names, arguments.seconds)


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until ``condition`` holds, or give up and let the figures tell."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def overload(names: list[str], seconds: float) -> None:
    """More clients than prompts may be in flight, while other clients send their bodies byte by byte."""
    with serving(names, 0, "--max-waiting", "32") as (_, port):
        slow = []
        for _ in range(50):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"POST /v1/route HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            slow.append(client)
        run = asyncio.run(
            load("127.0.0.1", port, "/v1/route", lambda n: {"messages": f"hello {n}"}, clients=128, seconds=seconds)
        )
        for client in slow:
            client.close()
    console.print(
        f"128 clients where 32 may be in flight, beside 50 slow ones: {run.rate:.0f} answered a second, "
        f"{run.errors}, p99 {run.percentile(99):.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--tokens", type=int, nargs="*", default=[20, 100])
    parser.add_argument("--soak", type=int, metavar="REQUESTS")
    parser.add_argument("--faults", action="store_true")
    arguments = parser.parse_args()
    if arguments.soak:
        soak(arguments)
    elif arguments.faults:
        faults(arguments)
    else:
        rates(arguments)


if __name__ == "__main__":
    main()
