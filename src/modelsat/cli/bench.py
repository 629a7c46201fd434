"""``modelsat bench``: how fast this machine decides."""

from __future__ import annotations

import json
import random
import statistics
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli.console import JSONOption, WeightsOption, examples, grid, note, output, progress, say

if TYPE_CHECKING:
    from modelsat.inference.base import Scorer

EXAMPLES = examples(
    "modelsat bench",
    "modelsat bench --rounds 10 --json",
)
SENTENCE = (
    "explain why the derivative of a function can vanish at a point without being an extremum and give one example "
    "for each case then compare with second order conditions used in economics when cost depends on many variables"
)
SIZES = ((20, 10), (100, 5), (100, 10), (100, 100), (1000, 10))
"""Words of the prompt, candidates."""
BULK_CANDIDATES = 20


def bench(
    weights: WeightsOption = "modelsat-nano",
    rounds: Annotated[int, typer.Option(min=1, help="Decisions per size; the median is shown.")] = 30,
    prompts: Annotated[int, typer.Option(min=1, help="Number of prompts in the bulk run.")] = 200,
    as_json: JSONOption = False,
) -> None:
    """Measure this machine: time of a decision, bulk rate, agreement of the backends. Downloads nothing.

    Prompts are random words, all different; the score cache is off.
    """
    from modelsat.inference import load_scorer

    rows = [_decisions(weights, words, count, rounds) for words, count in SIZES]
    scorer = load_scorer(weights, backend="auto", keep=False)
    result = {
        "weights": scorer.version,
        "decisions": rows,
        "bulk": _bulk(scorer, prompts),
        "agreement": _agreement(scorer, weights),
    }
    if as_json:
        typer.echo(json.dumps(result, indent=1))
    else:
        _show(result)


def prompt(words: int, seed: int) -> str:
    """Return random words, different for every seed, so that nothing can be cached."""
    return " ".join(random.Random(seed).choices(SENTENCE.split(), k=words))  # noqa: S311


def _decisions(weights: str, words: int, count: int, rounds: int) -> dict[str, float]:
    from modelsat import Registry, Router

    router = Router(Registry.default().names()[:count], weights=weights, cache=False)
    router.warmup()
    times = []
    with progress(f"{words} words, {count} candidates", rounds) as advance:
        for seed in range(-3, rounds):
            text = prompt(words, seed)
            began = time.perf_counter()
            router.route(text)
            if seed >= 0:
                times.append((time.perf_counter() - began) * 1e3)
                advance()
    p95 = sorted(times)[min(len(times) - 1, round(0.95 * len(times)))]
    return {"words": words, "candidates": count, "median_ms": statistics.median(times), "p95_ms": p95}


def _bulk(scorer: Scorer, prompts: int) -> dict[str, float]:
    from modelsat import Registry

    profiles = list(Registry.default())[:BULK_CANDIDATES]
    scorer.score([SENTENCE], profiles)  # profiles are encoded before the clock starts
    texts = [prompt(10 + seed % 150, seed) for seed in range(prompts)]
    began = time.perf_counter()
    scorer.score(texts, profiles)
    taken = time.perf_counter() - began
    return {"prompts": prompts, "candidates": BULK_CANDIDATES, "prompts_per_s": prompts / taken}


def _agreement(scorer: Scorer, weights: str) -> dict[str, float] | None:
    """Measure how far the scorer is from the torch backend; nothing where that, or its weights, are missing."""
    import numpy as np

    from modelsat import Registry
    from modelsat.errors import ModelSATError
    from modelsat.inference import load_scorer

    profiles = list(Registry.default())[:BULK_CANDIDATES]
    texts = [prompt(20 + seed, seed) for seed in range(16)]
    try:
        other = load_scorer(weights, backend="torch", keep=False)
    except ModelSATError:
        return None
    ours, reference = (s.score(texts, profiles).p for s in (scorer, other))
    return {
        "mean_difference": float(np.abs(ours - reference).mean()),
        "same_choice": float((ours.argmax(axis=1) == reference.argmax(axis=1)).mean()),
    }


def _show(result: dict[str, Any]) -> None:
    table = grid(">words", ">candidates", ">median ms", ">p95 ms")
    for row in result["decisions"]:
        cells = (f"{row['words']}", f"{row['candidates']}", f"{row['median_ms']:.1f}", f"{row['p95_ms']:.1f}")
        table.add_row(*cells)
    console, bulk, agreement = output(), result["bulk"], result["agreement"]
    console.print(f"[bold]{result['weights']}[/], one decision", highlight=False)
    console.print(table)
    say(f"bulk: {bulk['prompts_per_s']:.0f} prompts a second ({bulk['prompts']} prompts, {bulk['candidates']} models)")
    if agreement is None:
        note("no torch, or no torch weights: the backends were not compared")
    else:
        say(
            f"against the torch backend: mean difference of P {agreement['mean_difference']:.5f}, "
            f"same choice {agreement['same_choice']:.1%}"
        )
