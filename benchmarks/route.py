"""Time of a whole decision against one sentence-transformers all-MiniLM-L6-v2 encode, in one process, by turns.

    python benchmarks/route.py --base DIR_OF_ALL_MINILM_L6_V2 [--rounds 40]

Prints medians and their ratios, the time to a first decision in a fresh process, and that process's memory.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from sentence_transformers import SentenceTransformer

from modelsat import Registry, Router

SENTENCE = (
    "explain why the derivative of a function can vanish at point without being extremum and give one example for each "
    "case then compare with second order conditions used in economics engineering when cost depends on many variables"
)

FIRST_DECISION = """
import time
began = time.perf_counter()
from modelsat import Router
decision = Router(["gpt-5", "claude-sonnet-4", "gemini-2.5-flash"]).route("Why is the sky blue?")
taken = time.perf_counter() - began
import re
from pathlib import Path
print(taken, int(re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


def prompt(tokens: int, seed: int) -> str:
    """A prompt of about ``tokens`` tokens, different for every seed, so that nothing can be cached."""
    return " ".join(random.Random(seed).choices(SENTENCE.split(), k=tokens - 2))


def compare(
    encode: Callable[[str], object], route: Callable[[str], object], tokens: int, rounds: int
) -> tuple[float, float]:
    """Median milliseconds of both, taken turn by turn on the same prompts after a warm-up."""
    times: tuple[list[float], list[float]] = ([], [])
    for index in range(-5, rounds):
        text = prompt(tokens, index)
        for function, taken in zip((encode, route), times, strict=True):
            began = time.perf_counter()
            function(text)
            if index >= 0:
                taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--base", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder of the yardstick"
    )
    parser.add_argument("--weights", default="modelsat-nano")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    console = Console()
    yardstick = SentenceTransformer(arguments.base, device="cpu")
    names = Registry.shipped().names()
    table = Table(title="one decision against one all-MiniLM-L6-v2 encode of the same prompt", title_justify="left")
    for column in ("prompt tokens", "candidates", "encode ms", "route ms", "ratio"):
        table.add_column(column, justify="right")
    medians: dict[tuple[int, int], float] = {}
    for tokens, count in ((20, 10), (100, 5), (100, 10), (100, 100), (180, 10)):
        router = Router(names[:count], weights=arguments.weights, cache=False)
        router.warmup()
        encode, route = compare(lambda text: yardstick.encode(text), router.route, tokens, arguments.rounds)
        medians[tokens, count] = route
        table.add_row(str(tokens), str(count), f"{encode:.1f}", f"{route:.1f}", f"{route / encode:.2f} x")
    console.print(table)
    console.print(f"100 candidates against 5, 100 tokens: {medians[100, 100] / medians[100, 5]:.2f} x")
    output = subprocess.run([sys.executable, "-c", FIRST_DECISION], check=True, capture_output=True, text=True).stdout
    seconds, memory = map(float, output.split())
    console.print(f"fresh process to first decision: {seconds:.2f} s; peak memory: {memory:.0f} MB")


if __name__ == "__main__":
    main()
