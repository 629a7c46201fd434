"""Does the same request in another language get the same choice?

    python benchmarks/twins.py [--router NAME=PATH ...] [--policy "cheapest(target=0.8)"]

``arena_hard`` holds requests in English, ``arena_hard_ko`` the same ones in Korean. Of the pairs that never trained,
prints how often both get the same model, how far the mean P of a pair's halves lies apart, and the same for pairs of
*different* requests of one language, drawn at random: what would agree without reading.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import outcomes as oc
import tables
from easy_and_hard import MODELS

from modelsat import Router
from modelsat.lab.outcomes.table import buckets, question_key

HELD_OUT = 22
"""Buckets of the split, of 100, that never train."""


def twins(data: Path) -> list[tuple[str, str]]:
    """English and Korean text of the requests that never trained."""
    items = tables.items(data)
    items["key"] = items.prompt.map(question_key)
    items["joined"] = tables.joined(items)
    held = buckets(items.prompt.to_numpy(object), items.joined.to_numpy(object)) < HELD_OUT
    by_group = {
        name: items[held & (items.dataset == name).to_numpy()].set_index("group").prompt.to_dict()
        for name in ("arena_hard", "arena_hard_ko")
    }
    english, korean = by_group["arena_hard"], by_group["arena_hard_ko"]
    return [(english[group], korean[group]) for group in english if group in korean]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--router", action="append", help="NAME=PATH or the name of shipped weights; may be repeated")
    parser.add_argument("--policy", action="append", help="policies to choose by; may be repeated")
    parser.add_argument("--data", type=Path, default=oc.DATA)
    arguments = parser.parse_args()
    pairs = twins(arguments.data)
    table = Table(title=f"{len(pairs)} requests in English and Korean, {len(MODELS)} models", title_justify="left")
    for name in ("weights", "policy", "same choice", "different requests", "mean P apart", "different requests"):
        table.add_column(name, justify="left" if name in ("weights", "policy") else "right")
    other = np.random.default_rng(0).permutation(len(pairs))
    for text in arguments.router or ["modelsat-nano"]:
        name, _, path = text.rpartition("=")
        for policy in arguments.policy or ["cheapest(target=0.8)", "near_best(margin=0.05)", "best"]:
            router = Router(MODELS, policy=policy, weights=path)
            both = [router.route_batch([pair[side] for pair in pairs]) for side in (0, 1)]
            chosen = [np.array([decision.model for decision in side]) for side in both]
            mean = [np.array([np.mean(list(decision.scores.values())) for decision in side]) for side in both]
            same, unlike = (chosen[0] == chosen[1]).mean(), (chosen[0] == chosen[0][other]).mean()
            apart, random = np.abs(mean[0] - mean[1]).mean(), np.abs(mean[0] - mean[0][other]).mean()
            table.add_row(name or path, policy, f"{same:.0%}", f"{unlike:.0%}", f"{apart:.3f}", f"{random:.3f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
