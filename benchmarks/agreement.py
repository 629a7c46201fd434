"""Whether two backends, two machines or two checkpoints score and choose alike, on real prompts of the test split.

    python benchmarks/agreement.py [--router FOLDER] [--prompts 2000]      ONNX Runtime against torch in float32
    python benchmarks/agreement.py --dump FILE.npz                         keep the scores of this machine ...
    python benchmarks/agreement.py --against FILE.npz                      ... and compare another one's with them

Every prompt is scored for ten models of the registry and for two random pools of 5 to 20 of all its models; the same
choice is that of the policy "best". Ends with code 1 if the backends differ by more than they may.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from speed import machine, prompts

from modelsat import Registry
from modelsat.inference import Scorer, load_scorer

MEAN, SAME = 0.005, 0.995
"""Largest mean difference of P, smallest share of prompts with the same choice."""
GROUP = 100
"""Prompts that share their random pools."""


@dataclass(frozen=True)
class Group:
    """Some of the prompts, and the pools of models that they choose from: columns of all scores."""

    rows: slice
    pools: tuple[tuple[int, ...], ...]

    @property
    def columns(self) -> list[int]:
        return sorted({column for pool in self.pools for column in pool})


def groups(count: int, models: int, seed: int = 0) -> list[Group]:
    """The first ten models and two random pools for each hundred of prompts."""
    rng = np.random.default_rng(seed)

    def pool() -> tuple[int, ...]:
        return tuple(int(index) for index in rng.choice(models, int(rng.integers(5, 21)), replace=False))

    starts = range(0, count, GROUP)
    return [Group(slice(start, min(start + GROUP, count)), (tuple(range(10)), pool(), pool())) for start in starts]


def score(scorer: Scorer, texts: list[str], parts: list[Group], name: str) -> np.ndarray:
    """P of every prompt for the models of its pools, NaN for the others, shape (prompts, models)."""
    profiles = list(Registry.shipped())
    scores = np.full((len(texts), len(profiles)), np.nan, dtype=np.float32)
    for part in track(parts, description=name, console=Console(stderr=True), transient=True):
        found = scorer.score(texts[part.rows], [profiles[column] for column in part.columns])
        scores[part.rows, part.columns] = found.p
    return scores


def same(ours: np.ndarray, reference: np.ndarray, parts: list[Group], which: slice) -> float:
    """Share of choices that are the same, over prompts and the pools named."""

    def choices() -> Iterator[np.ndarray]:
        for part in parts:
            for pool in part.pools[which]:
                a, b = (scores[part.rows][:, pool].argmax(axis=1) for scores in (ours, reference))
                yield a == b

    return float(np.concatenate(list(choices())).mean())


def compare(
    ours: np.ndarray, reference: np.ndarray, parts: list[Group], most: float | None, console: Console
) -> list[str]:
    """Print how far the scores are apart; what is beyond its bound."""
    difference = np.abs(ours - reference)
    difference = difference[~np.isnan(difference)]
    mean, largest, alike = float(difference.mean()), float(difference.max()), same(ours, reference, parts, slice(None))
    console.print(f"difference of P: mean {mean:.2g} (at most {MEAN}), largest {largest:.2g}")
    console.print(
        f"same choice: {alike:.2%} (at least {SAME:.1%}); among the ten {same(ours, reference, parts, slice(1)):.2%}, "
        f"in {2 * len(parts)} random pools {same(ours, reference, parts, slice(1, None)):.2%}"
    )
    wrong = []
    if not mean <= MEAN:
        wrong.append(f"the mean difference of P is {mean:.4f}, more than {MEAN}")
    if not alike >= SAME:
        wrong.append(f"the choice is the same on {alike:.2%} only, less than {SAME:.1%}")
    if most is not None and not largest <= most:
        wrong.append(f"the largest difference of P is {largest:.2g}, more than {most:g}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--router", default="modelsat-nano", help="name or folder of the weights")
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--dump", type=Path, help="write the scores of ONNX Runtime here")
    parser.add_argument("--against", type=Path, help="scores written by --dump, in place of the torch backend's")
    parser.add_argument("--most", type=float, help="fail if any P differs by more than this")
    parser.add_argument("--data", type=Path, default=prompts.DATA)
    arguments = parser.parse_args()
    console = Console(highlight=False, width=160)
    texts = prompts.real(arguments.prompts, arguments.data)
    if not texts:
        sys.exit(f"no items.parquet in {arguments.data}: set MODELSAT_DATA, or give --data")
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    parts = groups(len(texts), len(Registry.shipped().names()))
    scorer = load_scorer(arguments.router, "onnx")
    console.print(f"{scorer.version}, {len(texts):,} prompts; {machine.describe()}")
    ours = score(scorer, texts, parts, "ONNX Runtime")
    if arguments.dump:
        np.savez(arguments.dump, scores=ours, prompts=digest, about=f"{scorer.version}, {machine.describe()}")
        if not arguments.against:
            return
    if arguments.against:
        stored = np.load(arguments.against)
        if stored["prompts"] != digest:
            sys.exit(f"{arguments.against} was written for other prompts: give both runs the same --prompts and data")
        console.print(f"against {stored['about']}")
        reference = stored["scores"]
    else:
        console.print("against torch in float32")
        reference = score(load_scorer(arguments.router, "torch"), texts, parts, "torch")
    if wrong := compare(ours, reference, parts, arguments.most, console):
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
