"""Time of the policy part of a decision: needs, expected costs, constraints, policy; everything but the network.

    python benchmarks/policy.py [--rounds 300]

Prints microseconds per candidate (the whole policy part of a request, over the number of candidates), medians over
rounds. "plain" has no constraints; "constrained" has every kind of constraint, tools and a thread.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from modelsat import CapabilityProfile
from modelsat.candidates import Candidate, ModelFacts
from modelsat.request import Constraints, RequestContext
from modelsat.request.conversation import extract_from_turns
from modelsat.request.messages import parse_messages
from modelsat.router import Router
from modelsat.router.plan import Planner, scored

POLICIES = (
    "best",
    "cheapest(target=0.7)",
    "tradeoff(value_per_success=0.05)",
    "budget(usd_per_1k=2.5)",
    "sticky(cheapest(target=0.7))",
    "cascade(start=0.5)",
)
SIZES = (3, 10, 100)
CONSTRAINTS = Constraints(
    deny_models=["m7", "old-*"],
    allow_providers=["p0", "p1"],
    deny_regions=["mars"],
    deny_tags=["beta"],
    max_usd_per_request=0.1,
    residency=[{"key": "tenant", "value": "bank", "regions": ["eu", "us"]}],
)
CONTEXT = RequestContext(
    tools=[{"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}],
    metadata={"tenant": "bank"},
    thread="t",
)


def make_candidates(count: int) -> list[Candidate]:
    rng = random.Random(count)
    return [
        Candidate(
            f"m{position}",
            CapabilityProfile.from_benchmarks(f"m{position}", {"MMLU": 0.5}),
            ModelFacts(
                input_usd_per_mtok=rng.uniform(0.1, 5),
                output_usd_per_mtok=rng.uniform(0.5, 20),
                cached_input_usd_per_mtok=0.05,
                context_window=128_000,
                max_output_tokens=8_192,
                abilities={"tools": True, "vision": position % 2 == 0},
                provider=f"p{position % 2}",
                region=("eu", "us")[position % 2],
                latency_ms=rng.uniform(300, 4000),
            ),
        )
        for position in range(count)
    ]


def measure(count: int, policy: str, constrained: bool, rounds: int) -> tuple[float, float]:
    """Median microseconds of the policy part of one request, and of reading the messages, which is not part of it."""
    router = Router(
        make_candidates(count), policy=policy, constraints=CONSTRAINTS if constrained else None, cache_dir="unused"
    )
    planner: Planner = router._pipeline._planner
    context = CONTEXT if constrained else None
    messages: list[Any] = [
        {"role": "user", "content": "word " * 100},
        {"role": "assistant", "content": "word " * 300},
        {"role": "user", "content": "Explain why the derivative of a function can vanish without an extremum. " * 2},
    ]
    rng = random.Random(0)
    whole, reading = [], []
    for position in range(rounds + 20):
        row = [rng.random() for _ in range(count)]
        began = time.perf_counter()
        plan = planner.plan(messages, context, None)
        kept = [row[index] for index in plan.indices]
        router.policy.choose(scored(plan, router.candidates, kept, router._pipeline._doubts), plan.request)
        middle = time.perf_counter()
        extract_from_turns(parse_messages(messages))
        ended = time.perf_counter()
        if position >= 20:
            whole.append((middle - began) - (ended - middle))
            reading.append(ended - middle)
    return statistics.median(whole) * 1e6, statistics.median(reading) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()
    table = Table(title="microseconds per candidate")
    table.add_column("policy")
    for kind in ("plain", "constrained"):
        for size in SIZES:
            table.add_column(f"{kind}, {size}", justify="right")
    for policy in POLICIES:
        cells = [
            f"{measure(size, policy, constrained, arguments.rounds)[0] / size:.1f}"
            for constrained in (False, True)
            for size in SIZES
        ]
        table.add_row(policy, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
