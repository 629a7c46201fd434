"""Real prompts of the test split, and where there are none, prompts of random words."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np

from modelsat.cli.bench import prompt

DATA = Path(os.environ.get("MODELSAT_DATA", "../shared/data"))
TEST_PERCENT = 15
"""Share of questions that never train, by the hash of their text, as in ``recipes/outcomes.py``."""


def real(count: int, data: Path = DATA, seed: int = 0) -> list[str]:
    """Different prompts of the test split, drawn with a seed; none where the data are missing."""
    if not (data / "items.parquet").is_file():
        return []
    import pyarrow.parquet as pq

    from modelsat.lab.outcomes.table import buckets

    everything = pq.read_table(data / "items.parquet", columns=["prompt"])["prompt"].to_pylist()
    bucket = buckets(np.array(everything, dtype=object))
    test = list(dict.fromkeys(text for text, number in zip(everything, bucket, strict=True) if number < TEST_PERCENT))
    return random.Random(seed).sample(test, min(count, len(test)))


def real_or_made(count: int, data: Path = DATA) -> tuple[list[str], str]:
    """As many prompts, and a word on what they are."""
    if found := real(count, data):
        return found, f"{len(found):,} real prompts of the test split"
    return [prompt(10 + seed % 150, seed) for seed in range(count)], f"{count:,} prompts of 10 to 160 random words"
