"""Where the time of a decision goes: CPU time of each stage, one thread, by kind of request.

    MODELSAT_THREADS=1 python benchmarks/stages.py [--rounds 200]

Prompts are those of ``benchmarks/route.py --against``. Each figure is a median over decisions, whose stages run one
after another: each finds the caches of the processor as the others left them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table
from speed import machine
from speed.against import cases

from modelsat import Registry, Router
from modelsat.inference.local import BatchedScorer, ONNXScorer
from modelsat.network.instruction import InstructionTokenizer
from modelsat.request import RequestContext
from modelsat.request.envelopes import EnvelopeReader
from modelsat.router import plan
from modelsat.router.pipeline import Pipeline

NETWORK = "network"
STAGES: tuple[tuple[str, Any, str], ...] = (
    ("read messages", EnvelopeReader, "turns"),
    ("choose text", plan, "extract_from_turns"),
    ("count tokens", plan, "find_needs"),
    ("costs", plan.Expected, "costs"),
    ("constraints", plan.Planner, "_strike"),
    ("tokenise", InstructionTokenizer, "ids"),
    (NETWORK, ONNXScorer, "_run"),
    ("other scoring", BatchedScorer, "score"),
    ("policy, decision", Pipeline, "_choose"),
)
WITHIN = {"other scoring": ("tokenise", NETWORK)}
"""Stages that another one calls, whose time is theirs."""


class Clock:
    """Seconds of CPU time that each stage of the decision in progress took."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}

    def watch(self, stage: str, owner: Any, name: str) -> None:
        """Time every call of a function from now on."""
        timed: Callable[..., Any] = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return timed(*arguments, **options)
            finally:
                self.taken[stage] = self.taken.get(stage, 0.0) + time.thread_time() - began

        setattr(owner, name, watched)


def measure(clock: Clock, router: Router, request: dict[str, Any]) -> dict[str, float]:
    """Microseconds by stage of one decision, and in all."""
    context = RequestContext(tools=request["tools"]) if request.get("tools") else None
    clock.taken.clear()
    began = time.thread_time()
    router.route(request["messages"], context=context)
    whole = time.thread_time() - began
    taken = dict(clock.taken)
    for stage, parts in WITHIN.items():
        taken[stage] -= sum(taken[part] for part in parts)
    taken["rest"] = whole - sum(taken.values())
    return {stage: seconds * 1e6 for stage, seconds in {**taken, "all": whole}.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="decisions of each kind")
    rounds = parser.parse_args().rounds
    if os.environ.get("MODELSAT_THREADS") != "1":
        parser.error("set MODELSAT_THREADS=1: the time of other threads would not be counted")
    clock = Clock()
    for stage, owner, name in STAGES:
        clock.watch(stage, owner, name)
    names = Registry.shipped().names()
    kinds = [case for case in cases(20, 0, []) if "batch" not in case.requests[0]]
    columns = {}
    for case in kinds:
        router = Router(names[: case.candidates], cache=False)
        router.warmup()
        found = [measure(clock, router, case.requests[n % len(case.requests)]) for n in range(rounds + 20)][20:]
        columns[case.name] = {stage: statistics.median(row[stage] for row in found) for stage in found[0]}
    table = Table("microseconds", *(case.name.replace(" candidates", "") for case in kinds))
    outside = {name: column["all"] - column[NETWORK] for name, column in columns.items()}
    for stage in (*(stage for stage, _, _ in STAGES), "rest", "all"):
        table.add_row(stage, *(f"{column[stage]:,.0f}" for column in columns.values()))
    table.add_row("all but the network", *(f"{outside[case.name]:,.0f}" for case in kinds))
    console = Console(width=140, highlight=False)
    console.print(machine.describe())
    console.print(table)


if __name__ == "__main__":
    main()
