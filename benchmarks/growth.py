"""How the time of a decision grows: with the prompt's length, with the candidates, with the threads.

    python benchmarks/growth.py --base DIR_OF_ALL_MINILM_L6_V2 [--json FILE]
    python benchmarks/growth.py --base DIR_OF_ALL_MINILM_L6_V2 --plot docs/growth.svg --update docs/speed.md

Every figure is a median beside that of one sentence-transformers all-MiniLM-L6-v2 encode of the same prompts, by turns.
Candidates are the models of the registry, and beyond those made-up variants of them. Every number of threads has a
process of its own, in which the encode has as many.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track
from speed import machine
from speed.growth_report import Point, Sweep, draw, rich_table, update
from speed.turns import by_turns

from modelsat import CapabilityProfile, Registry, Router
from modelsat.cli.bench import prompt

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
CANDIDATES = (2, 5, 10, 20, 50, 100, 200, 500)
THREADS = (1, 2, 4, 8, 16)
TOKENS, COUNT = 100, 10
"""Tokens of the prompt and candidates where something else grows."""


def pool(count: int) -> list[CapabilityProfile]:
    """Profiles of the registry, then variants of them with lower accuracies."""
    shipped = list(Registry.shipped())
    profiles = []
    for index in range(count):
        lap, profile = index // len(shipped), shipped[index % len(shipped)]
        if lap:
            statements = tuple(
                statement.model_copy(update={"accuracy": statement.accuracy * (1 - lap / 20)})
                for statement in profile.statements
            )
            profile = profile.model_copy(update={"model": f"{profile.model} variant {lap}", "statements": statements})
        profiles.append(profile)
    return profiles


def measure(given: argparse.Namespace, sizes: list[tuple[int, int, int]], title: str) -> list[Point]:
    """One point for each (x, tokens, candidates)."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(given.base, device="cpu")
    points = []
    for x, tokens, count in sizes:
        with tempfile.TemporaryDirectory() as folder:
            router = Router(pool(count), weights=given.weights, cache=False, cache_dir=folder)
            router.warmup()
        texts = [prompt(tokens - 2, seed) for seed in range(given.rounds + 3)]
        functions = {"encode": lambda text: encoder.encode(text), "route": router.route}
        turns = by_turns(functions, texts, f"{title} {x}", warmup=3)
        points.append(Point(x, turns.median("encode"), turns.median("route"), turns.ratio("route", "encode")))
    return points


def version(weights: str) -> str:
    """Name and hash of the weights."""
    router = Router(pool(2), weights=weights)
    router.warmup()
    return router.versions["weights"]


def in_processes(given: argparse.Namespace) -> list[Point]:
    """A fresh process for each number of threads."""
    points = []
    for threads in track(THREADS, description="threads", console=Console(stderr=True), transient=True):
        command = [sys.executable, __file__, "--base", given.base, "--weights", given.weights]
        command += ["--rounds", str(given.rounds), "--only-point", str(threads)]
        environment = {**os.environ, "MODELSAT_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        points.append(Point(**json.loads(ran.stdout.splitlines()[-1])))
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--base", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder of the yardstick"
    )
    parser.add_argument("--weights", default="modelsat-nano")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--plot", type=Path, help="draw the figures here, e.g. docs/growth.svg")
    parser.add_argument("--update", type=Path, help="rewrite the tables between the markers of this file")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--only-point", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_point:
        print(json.dumps(asdict(measure(given, [(given.only_point, TOKENS, COUNT)], "threads")[0])))
        return
    console = Console(highlight=False)
    console.print(machine.describe())
    sweeps = [
        Sweep("prompt tokens", f"{COUNT} candidates", measure(given, [(n, n, COUNT) for n in LENGTHS], "tokens")),
        Sweep("candidates", f"{TOKENS} tokens", measure(given, [(n, TOKENS, n) for n in CANDIDATES], "candidates")),
        Sweep("threads", f"{TOKENS} tokens, {COUNT} candidates", in_processes(given)),
    ]
    for sweep in sweeps:
        console.print(rich_table(sweep))
    if given.json:
        content = {"machine": machine.describe(), "rounds": given.rounds, "sweeps": [asdict(s) for s in sweeps]}
        given.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    if given.plot:
        draw(sweeps, given.plot)
    if given.update:
        update(
            given.update, sweeps, f"{version(given.weights)} on {machine.describe()}; medians of {given.rounds} rounds"
        )


if __name__ == "__main__":
    main()
