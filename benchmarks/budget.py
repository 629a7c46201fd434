"""How close the policy ``budget`` comes to the best fixed price of money that hindsight knows.

    python benchmarks/budget.py [--requests 5000]

Simulated requests of varying difficulty and length, three candidates, one request every half second. "hindsight" is the
choice of the highest P(success) - price x cost with the one price that spends exactly the budget over all requests.
"""

from __future__ import annotations

import argparse
import random

from rich.console import Console
from rich.table import Table

from modelsat.policies import Budget, Scored

BUDGETS = (0.5, 1.0, 2.5, 5.0, 10.0)
CANDIDATES = (("small", 0.9, 0.8, 0.0003), ("medium", 0.95, 0.45, 0.002), ("large", 0.97, 0.2, 0.012))
"""Name, P(success) on the easiest request, what is lost on the hardest, USD for a request of median length."""


def draw(rng: random.Random) -> list[Scored]:
    hard, length = rng.random(), rng.lognormvariate(0, 1)
    return [Scored(name, top - slope * hard, price * length) for name, top, slope, price in CANDIDATES]


def spend(requests: list[list[Scored]], usd_per_1k: float) -> tuple[float, float, float]:
    """Mean P(success), USD per 1,000 requests, and the most that any window held, under the policy."""
    now = [0.0]
    budget = Budget(usd_per_1k, clock=lambda: now[0])
    quality = spent = worst = 0.0
    for request in requests:
        now[0] += 0.5
        name = budget.choose(request).name
        chosen = next(candidate for candidate in request if candidate.name == name)
        quality, spent = quality + chosen.score, spent + (chosen.cost or 0.0)
        count, total = budget.spent
        worst = max(worst, total / count)
    return quality / len(requests), spent / len(requests) * 1e3, worst * 1e3


def hindsight(requests: list[list[Scored]], usd_per_1k: float) -> float:
    """Mean P(success) with the one price of money that spends the budget."""

    def at(price: float) -> tuple[float, float]:
        chosen = [max(request, key=lambda c: c.score - price * (c.cost or 0.0)) for request in requests]
        count = len(requests)
        return sum(c.cost or 0.0 for c in chosen) / count * 1e3, sum(c.score for c in chosen) / count

    low, high = 0.0, 1e5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle)[0] > usd_per_1k else (low, middle)
    return at(high)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000)
    rng = random.Random(0)
    requests = [draw(rng) for _ in range(parser.parse_args().requests)]
    table = Table("budget, USD per 1,000", "spent", "dearest window", "mean P(success)", "hindsight")
    for usd_per_1k in BUDGETS:
        quality, spent, worst = spend(requests, usd_per_1k)
        best = hindsight(requests, usd_per_1k)
        table.add_row(f"{usd_per_1k:g}", f"{spent:.3f}", f"{worst:.3f}", f"{quality:.3f}", f"{best:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
