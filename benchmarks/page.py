"""The page over many decisions: how long Watch takes beside an export, and what an open page does to `/v1/route`.

    python benchmarks/page.py [--decisions 1000000] [--rounds 6] [--seconds 20] [--store FILE.sqlite]

Fills a feedback store (five models, two policies, four groups, thirty days, feedback on a tenth of the decisions),
exports it once with `modelsat feedback export`, and asks every tab of a `modelsat serve` for its answer over the same
store. Then `/v1/route` is asked at a steady rate, by turns with nobody looking and with Watch open on all decisions,
which a browser asks for again every ten seconds. Beside every wall-clock time stands the CPU time of the process that
worked: on a machine that does other things, that alone can be compared.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
from rich.console import Console
from rich.table import Table

from modelsat.feedback.base import DecisionRecord, thread_key
from modelsat.feedback.sqlite import SQLiteStore

MODELS = ("gpt-5.4", "gpt-5-mini", "gpt-5-nano", "claude-sonnet-4-5", "Qwen3-8B")
PRICES = dict(zip(MODELS, (0.02, 0.004, 0.0008, 0.03, 0.0002), strict=True))
DAYS, PART, POLL_S, RATE = 30, 20_000, 10.0, 20
TABS = {
    "Watch, all": "/watch?span=all",
    "Watch, 7 days": "/watch?span=7+days",
    "Watch, 7 days, one group": "/watch?span=7+days&group=g1",
    "Watch, one thread": "/watch?span=all&thread=thread+77",
    "CSV, all": "/page/watch.csv?span=all",
    "Replay": "/replay",
}
console = Console(width=140)


def fill(path: Path, count: int) -> None:
    """A store of ``count`` decisions, feedback on a tenth of them."""
    rng, now, store = Random(1), time.time(), SQLiteStore(path)
    for start in range(0, count, PART):
        records = [_record(number, rng, now) for number in range(start, min(count, start + PART))]
        store.add_decisions(records)
        with store._transaction() as database:  # one transaction: add_feedback makes one of each
            database.executemany(
                "INSERT INTO feedback (decision, score, source, time) VALUES (?, ?, ?, ?)",
                [
                    (record.id, float(rng.random() < (record.probability or 0.0)), "user", now)
                    for record in records[::10]
                ],
            )
    store.close()


def _record(number: int, rng: Random, now: float) -> DecisionRecord:
    hard = rng.random()
    scores = {name: 0.97 - hard * drop for name, drop in zip(MODELS, (0.2, 0.35, 0.6, 0.18, 0.7), strict=True)}
    chosen = min((name for name in MODELS if scores[name] >= 0.77), key=PRICES.__getitem__, default=MODELS[0])
    return DecisionRecord(
        *(f"{number:032x}", now - DAYS * 86400 * rng.random(), chosen, scores[chosen], scores),
        {"mathematics": 0.5, "computer science": 0.2},
        policy="cheapest" if number % 5 else "knob",
        weights="modelsat-nano@1",
        profile="0123456789abcdef",
        thread=thread_key(f"thread {number // 8}"),
        group=f"g{number % 4}",
        costs={name: price * rng.uniform(0.3, 3.0) for name, price in PRICES.items()},
        excluded={"o3-pro": "region"} if number % 10 == 0 else {},
        target_met=scores[chosen] >= 0.77,
        elapsed_ms=rng.lognormvariate(1.5, 0.6),
    )


def export(path: Path, folder: Path) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one ``modelsat feedback export``."""
    command = [sys.executable, "-m", "modelsat", "feedback", "export", str(path), "-o", str(folder / "out.parquet")]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the export failed: {process.returncode}")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime


@contextmanager
def serving(path: Path) -> Iterator[tuple[int, str]]:
    """A server over the store: its process id and its address."""
    command = [sys.executable, "-m", "modelsat", "serve", "--models", ",".join(MODELS), "--port", "0"]
    command += ["--policy", "cheapest(target=0.8)", "--feedback", str(path), "--no-log-decisions"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        while (line := process.stderr.readline()) and "http://" not in line:
            pass
        found = re.search(r"http://[\d.]+:\d+", line)
        if found is None:
            raise SystemExit("the server did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process.pid, found[0]
    finally:
        process.terminate()
        process.wait(60)


def cpu(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(pid: int, ask: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """Median wall-clock seconds of ``ask``, and mean CPU seconds of the process."""
    ask()
    walls, before = [], cpu(pid)
    for _ in range(times):
        started = time.perf_counter()
        ask()
        walls.append(time.perf_counter() - started)
    return statistics.median(walls), (cpu(pid) - before) / times


def tabs(pid: int, address: str, exported: tuple[float, float]) -> None:
    """How long each tab takes beside the export."""
    table = Table("", "seconds", "of the export", "CPU seconds", "of the export", title="Tabs", title_justify="left")
    table.add_row("feedback export", f"{exported[0]:.2f}", "1", f"{exported[1]:.2f}", "1")
    with httpx.Client(base_url=address, timeout=300) as client:
        client.get("/")
        for name, where in TABS.items():
            found = timed(pid, lambda where=where: client.get(where).raise_for_status())  # type: ignore[misc]
            shares = [own / whole for own, whole in zip(found, exported, strict=True)]
            table.add_row(name, f"{found[0]:.3f}", f"{shares[0]:.3f}", f"{found[1]:.3f}", f"{shares[1]:.3f}")
    console.print(table)


def beside(pid: int, address: str, seconds: float, rounds: int) -> None:
    """`/v1/route` with nobody looking and with Watch open, by turns."""
    latencies: dict[bool, list[float]] = {False: [], True: []}
    used: dict[bool, float] = {False: 0.0, True: 0.0}
    by_turn: list[float] = []
    with httpx.Client(base_url=address, timeout=60) as client:
        number = 0
        for turn in range(2 * rounds):
            looking = turn % 2 == 1
            with _page_open(address) if looking else _nobody():
                own, before = [], cpu(pid)
                end = time.perf_counter() + seconds
                due = time.perf_counter()
                while due < end:
                    time.sleep(max(0.0, due - time.perf_counter()))
                    started = time.perf_counter()
                    client.post("/v1/route", json={"messages": f"Why is item {number} blue? " * 8}).raise_for_status()
                    own.append(time.perf_counter() - started)
                    number, due = number + 1, max(due + 1 / RATE, time.perf_counter())
            used[looking] += cpu(pid) - before
            latencies[looking] += own
            by_turn.append(_p95(own))
    table = Table("/v1/route", "requests", "p50 ms", "p95 ms", "p99 ms", "server's CPU ms a request")
    for looking, name in ((False, "nobody looks"), (True, "Watch open")):
        times = sorted(latencies[looking])
        quantiles = statistics.quantiles(times, n=100)
        row = [f"{1e3 * quantiles[q - 1]:.2f}" for q in (50, 95, 99)]
        table.add_row(name, f"{len(times)}", *row, f"{1e3 * used[looking] / len(times):.2f}")
    console.print(table)
    change = _p95(latencies[True]) / _p95(latencies[False]) - 1
    console.print(
        f"p95 with the page open: {change:+.1%}; ms by turn: {', '.join(f'{1e3 * p95:.1f}' for p95 in by_turn)}"
    )


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[18]


@contextmanager
def _nobody() -> Iterator[None]:
    yield


@contextmanager
def _page_open(address: str) -> Iterator[None]:
    """Asks for Watch over all decisions as an open page does."""
    closed = threading.Event()

    def look() -> None:
        with httpx.Client(base_url=address, timeout=300) as client:
            client.get("/watch?span=all")
            while not closed.wait(POLL_S):
                client.get("/watch?span=all", headers={"hx-request": "true"})

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        closed.set()
        thread.join()


def main() -> None:
    """Fill, export, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--store", type=Path, help="use this store, made if it is not there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.store or Path(folder) / "feedback.sqlite"
        if not path.exists():
            started = time.process_time()
            fill(path, arguments.decisions)
            each = (time.process_time() - started) / arguments.decisions
            console.print(f"filled: {arguments.decisions:,} decisions, {1e6 * each:.0f} µs of CPU each")
        console.print(f"{path.stat().st_size / 1e6:,.0f} MB; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        exported = export(path, Path(folder))
        with serving(path) as (pid, address):
            tabs(pid, address, exported)
            beside(pid, address, arguments.seconds, arguments.rounds)


if __name__ == "__main__":
    main()
