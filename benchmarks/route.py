"""Time of a whole decision against one sentence-transformers all-MiniLM-L6-v2 encode, in one process, by turns.

    python benchmarks/route.py --base DIR_OF_ALL_MINILM_L6_V2 [--rounds 40] [--bulk 2000] [--json FILE]
    python benchmarks/route.py --against b4698f7 [--rounds 40] [--bulk 2000] [--json FILE]

In the same turns: semantic-router (where it is installed), kNN over 10,000 stored prompts and matrix factorisation, all
on that encoder. Then prompts a second in bulk, the time of a fresh process to its first decision and its memory. Prints
medians, and what is asked for beside what was measured. ``--against`` times this build and an earlier revision by turns
instead, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sentence_transformers import SentenceTransformer
from speed import against, machine, prompts, rivals
from speed.bulk import Bulk, bulk
from speed.process import Fresh, fresh
from speed.targets import Target
from speed.targets import table as target_table
from speed.turns import by_turns

from modelsat import Registry, Router
from modelsat.cli.bench import prompt

ENCODE, OURS = "encode", "modelsat"
SIZES = ((20, 10), (100, 5), (100, 10), (100, 100), (180, 10))
"""Tokens of the prompt, candidates."""
AT_MOST = {(20, 10): 0.25, (100, 10): 0.35, (100, 100): 0.7}
"""Asked for: time of a decision, in encodes of the same prompt."""
BULK_AT_LEAST, FIRST_S, MEMORY_MB = 2.0, 1.5, 350.0
ERRORS = Console(stderr=True)


@dataclass(frozen=True)
class Measured:
    """One size: median milliseconds of every router and of the encode, and their ratios to the encode."""

    tokens: int
    candidates: int
    ms: dict[str, float]
    ratios: dict[str, float]


def measure(encoder: SentenceTransformer, weights: str, tokens: int, count: int, rounds: int) -> Measured:
    """Time a decision among ``count`` candidates on prompts of about ``tokens`` tokens."""
    router = Router(Registry.shipped().names()[:count], weights=weights, cache=False)
    router.warmup()
    return _measure(encoder, {OURS: router.route}, tokens, count, rounds)


def measure_others(encoder: SentenceTransformer, tokens: int, count: int, rounds: int) -> Measured:
    """Time the other routers on the same prompts."""
    with ERRORS.status(f"preparing other routers among {count} candidates"):
        others = rivals.all_of_them(encoder, Registry.shipped().names()[:count])
    return _measure(encoder, others, tokens, count, rounds)


def _measure(
    encoder: SentenceTransformer, routers: Mapping[str, Callable[[str], object]], tokens: int, count: int, rounds: int
) -> Measured:
    functions = {ENCODE: lambda text: encoder.encode(text), **routers}
    texts = [prompt(tokens - 2, seed) for seed in range(rounds + 5)]
    turns = by_turns(functions, texts, f"{tokens} tokens, {count} candidates: {', '.join(routers)}")
    ratios = {name: turns.ratio(name, ENCODE) for name in routers}
    return Measured(tokens, count, {name: turns.median(name) for name in functions}, ratios)


def targets(rows: list[Measured], many: Bulk | None, process: Fresh) -> list[Target]:
    """What is asked for beside what was measured."""
    found = {(row.tokens, row.candidates): row.ratios[OURS] for row in rows}
    result = [
        Target(f"a decision, {tokens} tokens x {count} candidates", found[tokens, count], bound, "encodes")
        for (tokens, count), bound in AT_MOST.items()
    ]
    if many is not None:
        name = f"prompts a second in bulk, {many.candidates} candidates"
        result.append(Target(name, many.ratio, BULK_AT_LEAST, "x the encode", least=True))
    result.append(Target("fresh process to first decision", process.seconds, FIRST_S, "s"))
    if process.memory_mb is not None:
        result.append(Target("resident memory, highest", process.memory_mb, MEMORY_MB, "MB"))
    return result


def decisions(rows: list[Measured], others: list[Measured]) -> Table:
    """Milliseconds and ratios of every size."""
    table = Table(title="one decision: ms (in encodes of the same prompt by turns)", title_justify="left")
    for column in ("tokens", "candidates", ENCODE, OURS, *rivals.NAMES):
        table.add_column(column, justify="right")
    for row, other in zip(rows, others, strict=True):
        ms, ratios = {**other.ms, **row.ms}, {**other.ratios, **row.ratios}
        cells = [
            f"{ms[name]:.1f} ({ratios[name]:.2f} x)" if name in ms else "not installed"
            for name in (OURS, *rivals.NAMES)
        ]
        table.add_row(str(row.tokens), str(row.candidates), f"{ms[ENCODE]:.1f}", *cells)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--base", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder of the yardstick"
    )
    parser.add_argument("--weights", default="modelsat-nano")
    parser.add_argument("--against", metavar="REVISION", help="an earlier revision of this repository to compare with")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--bulk", type=int, default=2000, metavar="PROMPTS", help="0 leaves the bulk run out")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    console = Console(width=140, highlight=False)
    if arguments.against:
        console.print(machine.describe())
        texts, _ = prompts.real_or_made(arguments.bulk)
        wanted = against.cases(arguments.rounds, arguments.bulk, texts)
        compared = against.compare(arguments.against, arguments.weights, wanted)
        console.print(against.table(compared, arguments.against))
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(row) for row in compared], indent=1) + "\n", "utf-8")
        return
    encoder = SentenceTransformer(arguments.base, device="cpu")
    console.print(machine.describe())
    rows = [measure(encoder, arguments.weights, tokens, count, arguments.rounds) for tokens, count in SIZES]
    ours = {(row.tokens, row.candidates): row.ms[OURS] for row in rows}
    console.print(f"100 candidates against 5, 100 tokens: {ours[100, 100] / ours[100, 5]:.2f} x")
    many = bulk(encoder, arguments.weights, arguments.bulk) if arguments.bulk else None
    if many is not None:
        console.print(
            f"bulk, {many.prompts}: {many.route_per_s:.0f} a second among {many.candidates} candidates, "
            f"encode {many.encode_per_s:.0f} a second"
        )
    with ERRORS.status("fresh processes"):
        process = fresh(arguments.weights)
    # Last, as the threads that the others start slow every later encode of this process.
    others = [measure_others(encoder, tokens, count, arguments.rounds) for tokens, count in SIZES]
    console.print(decisions(rows, others))
    found = targets(rows, many, process)
    console.print(target_table(found))
    if not all(target.met for target in found):
        console.print(
            "Why: docs/speed.md. Eight bits save time where there is AVX-512 with VNNI; this process has "
            f"{machine.vectors()}."
        )
    if arguments.json:
        result = {
            "machine": machine.describe(),
            "decisions": [asdict(row) for row in rows],
            "others": [asdict(row) for row in others],
            "bulk": asdict(many) if many is not None else None,
            "process": asdict(process),
            "targets": [{**asdict(target), "met": target.met} for target in found],
        }
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
