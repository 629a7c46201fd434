"""The pictures of the docs, for light and dark ground: docs/pictures/*.svg.

    python benchmarks/picture.py [agents] [exams] [reliability] [profile] [route]      (all if none is named)
        [--embeddings DIR_OF_ALL_MINILM_L6_V2] [--dataset swe_verified] [--limit 80] [--model gpt-5.6-luna]

* ``agents``: cost and quality of single models, of cheapest and best mixed at random, of kNN and an MLP that know the
  training outcomes (with ``--embeddings``), and of the router, under every setting of ``tradeoff``: models of 2026 on
  issues, in dollars that were spent; ``exams``: the same without kNN and MLP on MMLU-Pro, in expected dollars;
* ``reliability``: P(success) against the share answered well, by kind of request;
* ``profile``: a model's published figures, and what all of them together say;
* ``route``: what the command prints.

The first three read the tables of ``../shared/data`` (or ``$MODELSAT_DATA``). Needs the extras eval and bench.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from pictures import plane, profile, reliability, route
from pictures.style import save

PICTURES = ("agents", "exams", "reliability", "profile", "route")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help=", ".join(PICTURES))
    parser.add_argument("--embeddings", type=Path, help="folder of all-MiniLM-L6-v2, for kNN and MLP")
    parser.add_argument("--dataset", default="swe_verified", help="data set of the agents, with logged costs")
    parser.add_argument("--limit", type=int, default=80, help="prompts of a data set at most, for the reliability")
    parser.add_argument("--model", default="gpt-5.6-luna", help="whose profile is drawn")
    parser.add_argument("--weights", default="modelsat-nano")
    given = parser.parse_args()
    if strangers := set(given.pictures) - set(PICTURES):
        parser.error(f"unknown picture {', '.join(sorted(strangers))}: choose from {', '.join(PICTURES)}")
    wanted = given.pictures or PICTURES
    for name, measure in (("agents", plane.agents), ("exams", plane.exams)):
        if name in wanted:
            save(name, partial(plane.draw, measure(given)))
    for name, module in (("reliability", reliability), ("profile", profile)):
        if name in wanted:
            save(name, partial(module.draw, module.measure(given)))
    if "route" in wanted:
        route.save()


if __name__ == "__main__":
    main()
