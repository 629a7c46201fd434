"""Many prompts at once: decisions of the router's batch, against the yardstick's own batched run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress
from sentence_transformers import SentenceTransformer

from modelsat import Registry, Router

from . import prompts

CANDIDATES = 20
BATCH = 32
ROUNDS = 3


@dataclass(frozen=True)
class Bulk:
    """Prompts a second of both, medians of the rounds, and the median of the rounds' ratios."""

    prompts: str
    candidates: int
    encode_per_s: float
    route_per_s: float
    ratio: float


def bulk(encoder: SentenceTransformer, weights: str, count: int) -> Bulk:
    """Time both by turns on the same prompts, all of them in each turn."""
    texts, what = prompts.real_or_made(count)
    router = Router(Registry.shipped().names()[:CANDIDATES], weights=weights, cache=False)
    functions: list[Callable[[list[str]], object]] = [
        lambda batch: encoder.encode(batch, batch_size=BATCH, show_progress_bar=False),
        router.route_batch,
    ]
    for function in functions:
        function(texts[:BATCH])
    rates: list[list[float]] = [[], []]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("bulk", total=2 * ROUNDS)
        for number in range(ROUNDS):
            for index in (0, 1) if number % 2 == 0 else (1, 0):
                began = time.perf_counter()
                functions[index](texts)
                rates[index].append(len(texts) / (time.perf_counter() - began))
                progress.advance(task)
    ratio = statistics.median(ours / theirs for theirs, ours in zip(*rates, strict=True))
    return Bulk(what, CANDIDATES, statistics.median(rates[0]), statistics.median(rates[1]), ratio)
