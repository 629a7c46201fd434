"""This build and an earlier revision by turns: two processes, one for each, that decide on the same prompts.

The revision is checked out into a temporary worktree and imported from there; interpreter, libraries, thread settings
and prompts are the same.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from .process import SCRIPT

SHIPPED = "modelsat-nano"
ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import json, sys, time
from modelsat import Registry, Router
try:
    from modelsat.request import RequestContext
except ImportError:
    from modelsat.routing import RequestContext
names, routers = Registry.shipped().names(), {}
known = json.loads(sys.stdin.readline())
names = [name for name in names if name in known] if known else names
print(json.dumps(names), flush=True)
chosen = json.loads(sys.stdin.readline())
for line in sys.stdin:
    asked = json.loads(line)
    count = asked["candidates"]
    if count not in routers:
        routers[count] = Router(chosen[:count], weights=asked["weights"], cache=False)
        routers[count].warmup()
    router, context = routers[count], RequestContext(tools=asked["tools"]) if asked.get("tools") else None
    began = time.perf_counter()
    if "batch" in asked:
        router.route_batch(asked["batch"])
    else:
        router.route(asked["messages"], context=context)
    print(time.perf_counter() - began, flush=True)
"""
WORDS = [
    "the",
    "cache",
    "of",
    "orders",
    "was",
    "slow",
    "because",
    "every",
    "service",
    "asks",
    "for",
    "a",
    "proof",
    "that",
    "prices",
    "and",
    "users",
    "agree",
    "again",
]


@dataclass(frozen=True)
class Case:
    """One kind of request: what is sent, among how many candidates, and the ratio of new to old asked for."""

    name: str
    candidates: int
    requests: Sequence[dict[str, Any]]
    at_most: float


@dataclass(frozen=True)
class Compared:
    """Median milliseconds of both, and the median of the ratios of the turns."""

    name: str
    old_ms: float
    new_ms: float
    ratio: float
    at_most: float


class _Worker:
    """A process that decides, with the sources of one revision before all others."""

    def __init__(self, source: Path, weights: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(source / "src")}
        self._weights = weights
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            cwd=source,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, message: Any) -> Any:
        self.tell(message)
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def tell(self, message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def seconds(self, request: dict[str, Any], candidates: int) -> float:
        return float(self.ask({**request, "candidates": candidates, "weights": self._weights}))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """A temporary worktree at a revision."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "earlier"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(target), revision], check=True)
        try:
            yield target
        finally:
            subprocess.run([*git, "remove", "--force", str(target)], check=True)


def cases(rounds: int, bulk: int, texts: Sequence[str]) -> list[Case]:
    """The rows of the table."""

    def words(count: int, seed: int) -> str:
        return " ".join(WORDS[(seed + position * (seed % 7 + 1)) % len(WORDS)] for position in range(count))

    def prompts(tokens: int) -> list[dict[str, Any]]:
        return [{"messages": words(tokens, seed)} for seed in range(rounds)]

    tool = {"type": "object", "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}}}
    tools = [
        {"type": "function", "function": {"name": f"tool_{n}", "description": words(12, n), "parameters": tool}}
        for n in range(30)
    ]
    talk = [
        {
            "messages": [
                {"role": ("user", "assistant")[turn % 2], "content": words(60, seed + turn)} for turn in range(39)
            ]
            + [{"role": "user", "content": words(30, seed)}],
            "tools": tools,
        }
        for seed in range(max(5, rounds // 3))
    ]
    many = [{"batch": list(texts[:bulk])} for _ in range(3)]
    return [
        Case("20 tokens, 10 candidates", 10, prompts(18), 0.25),
        Case("100 tokens, 10 candidates", 10, prompts(98), 0.25),
        Case("100 tokens, 100 candidates", 100, prompts(98), 0.2),
        Case("2,000 tokens, 10 candidates", 10, prompts(2000), 0.25),
        Case("8,000 tokens, 10 candidates", 10, prompts(8000), 0.25),
        Case("40 messages with 30 tools, 10 candidates", 10, talk, 0.3),
        Case(f"bulk, {bulk:,} prompts, 20 candidates", 20, many, 0.25),
    ]


def compare(revision: str, weights: str, wanted: Sequence[Case]) -> list[Compared]:
    """Time every case by turns, and fresh processes too; the earlier revision decides with its modelsat-nano."""
    found = []
    with checkout(revision) as source:
        workers = {"new": _Worker(ROOT, weights), "old": _Worker(source, SHIPPED)}
        names = workers["new"].ask([])
        shared = workers["old"].ask(names)
        for worker in workers.values():
            worker.tell(shared)
        try:
            for case in wanted:
                times: dict[str, list[float]] = {name: [] for name in workers}
                title = track(case.requests, case.name, console=Console(stderr=True), transient=True)
                for number, request in enumerate(title):
                    for name in ("new", "old") if number % 2 else ("old", "new"):
                        if not number and "batch" not in request:
                            workers[name].seconds(request, case.candidates)
                        times[name].append(workers[name].seconds(request, case.candidates))
                ratio = statistics.median(new / old for new, old in zip(times["new"], times["old"], strict=True))
                old, new = (statistics.median(times[name]) * 1e3 for name in ("old", "new"))
                found.append(Compared(case.name, old, new, ratio, case.at_most))
                Console(stderr=True).print(f"{case.name}: {old:.2f} ms, now {new:.2f} ms, {ratio:.3f} x")
        finally:
            for worker in workers.values():
                worker.close()
        found += _fresh(source, weights)
    return found


def _fresh(source: Path, weights: str, rounds: int = 5) -> list[Compared]:
    rows: dict[str, list[list[float]]] = {"old": [], "new": []}
    for _ in range(rounds):
        for name, folder, used in (("old", source, SHIPPED), ("new", ROOT, weights)):
            environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
            command = [sys.executable, "-c", SCRIPT, used]
            ran = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
            rows[name].append(json.loads(ran.stdout.splitlines()[-1]))
    found = []
    for title, column, scale, bound in (
        ("fresh process to its first decision", 0, 1e3, 0.5),
        ("highest memory of that process (MB)", 1, 1.0, 0.7),
    ):
        old, new = (statistics.median(row[column] for row in rows[name]) * scale for name in ("old", "new"))
        found.append(Compared(title, old, new, new / old, bound))
    return found


def table(rows: Sequence[Compared], revision: str) -> Table:
    """Old, new and ratio beside what is asked for."""
    shown = Table(title=f"against {revision}, by turns (ms where nothing else is said)", title_justify="left")
    for column in ("what", "old", "new", "new / old", "asked for", ""):
        shown.add_column(column, justify="left" if column == "what" else "right")
    for row in rows:
        met = "[green]met[/]" if row.ratio <= row.at_most else "[red]missed[/]"
        shown.add_row(
            row.name, f"{row.old_ms:.2f}", f"{row.new_ms:.2f}", f"{row.ratio:.3f}", f"at most {row.at_most:g}", met
        )
    return shown
