"""Published figures of 2026, by reasoning effort (``figures_2026.csv``): which of them may ship, and under which names.

Read by ``build_registry.py`` and ``place_references.py``. Rows that go back to Artificial Analysis do not ship, as its
terms for tables are open; nor do those of an aggregator that names no origin, on benchmarks which that board runs too.
Mixed scores of images, and a set of 88 items, say too little to be placed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE = "figures_2026.csv"
WITHHELD = "Artificial Analysis"
OF_THE_BOARD = ("AIME", "MMLU-Pro", "LiveCodeBench")
"""Benchmarks that the board runs, on which an aggregator's figures have its digits."""
LEFT_OUT = ("VLM mixed text (600 pairs)", "joonlab reasoning")
"""Benchmarks that are not taken over."""
UNLIKE = {"IFEval": ("Lore-Hex/trustedrouter",), "GAIA": ("OpenHands/",)}
"""Sources whose figures on a benchmark are far from those of any other: answers cut short, agents of their own."""
SAME_BENCHMARK = {"OSWorld-Verified": "OSWorld", "tau3-bench": "tau3-bench banking"}
"""Names of one benchmark."""
SAME = {
    "o3-mini": "o3-mini-2025-01-31-medium",
    "grok-3": "grok-3-fast-beta",
    "grok-3-mini": "grok-3-mini-fast-beta-low",
    "qwen3-235b-a22b-instruct-2507": "qwen3-235b-a22b-2507",
    "gemini-2.5-pro-preview-06-05": "gemini-2.5-pro",
    "gemini-3-pro-preview": "gemini-3-pro",
    "gemini-3-flash-preview": "gemini-3-flash",
    "gemini-3.1-pro-preview": "gemini-3.1-pro",
    "mistral-small-2506": "Mistral-Small-3.2-24B-Instruct",
    "gpt-4.1-2025-04-14": "gpt-4.1-2025-04-14",
}
"""Model of the table -> name in the registry, where the spelling does not say it."""
ORDER = ("", "none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Efforts, from least to most; a figure without one comes first."""
PROVENANCE = {"vendor": "vendor", "another vendor's comparison": "other vendor", "own evaluation": "independent"}


@dataclass(frozen=True)
class Row:
    """One figure of the table."""

    model: str
    aliases: tuple[str, ...]
    effort: str
    benchmark: str
    accuracy: float
    items: int | None
    source: str
    provenance: str
    date: str
    ships: bool


def read(data: Path) -> Iterator[Row]:
    """Every row on a benchmark that is taken over, in the table's order."""
    with (data / FILE).open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["benchmark"] in LEFT_OUT or "(AA coding agents)" in row["benchmark"]:
                continue
            if any(row["source"].startswith(source) for source in UNLIKE.get(row["benchmark"], ())):
                continue
            told = row["provenance"]
            yield Row(
                model=row["model"],
                aliases=tuple(filter(None, row["aliases"].split("|"))),
                effort=row["effort"],
                benchmark=SAME_BENCHMARK.get(row["benchmark"], row["benchmark"]),
                accuracy=float(row["accuracy_percent"]) / 100.0,
                items=int(float(row["n_items"])) if row["n_items"] else None,
                source=row["source"],
                provenance=PROVENANCE.get(told, "independent" if told.startswith("independent") else told),
                date=row["date"],
                ships=WITHHELD not in told
                and WITHHELD not in row["source"]
                and not (told == "aggregator" and row["benchmark"] in OF_THE_BOARD),
            )
