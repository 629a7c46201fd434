"""Do today's flagships come out above small models where it counts? Predicted P(success) on hard questions.

    python benchmarks/flagships.py [--weights modelsat-nano] [--prompts 200]

Hard questions are test questions that at most a third of the logged models answered. Prints the mean P(success) of
each registry model, how often it is the best of all, and how often a flagship loses to a small model.
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

from modelsat.capability import Registry
from modelsat.inference import load_scorer

FLAGSHIPS = (
    "gpt-5.4",
    "claude-opus-4.6",
    "gemini-3.1-pro",
    "deepseek-v4-pro",
    "gpt-4.1",
    "gpt-5",
    "gpt-5-chat",
    "claude-sonnet-4",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "deepseek-r1-0528",
    "deepseek-v3.1-terminus",
    "qwen3-235b-a22b-thinking-2507",
    "glm-4.6",
    "kimi-k2-0905",
)
SMALL = (
    "Qwen3-8B",
    "DeepSeek-R1-0528-Qwen3-8B",
    "gemma-2-9b-it",
    "Qwen2.5-7B-Instruct",
    "Meta-Llama-3.1-8B-Instruct",
    "Qwen2-7B-Instruct",
    "Mistral-7B-Instruct-v0.2",
)
HARD = 1 / 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="modelsat-nano")
    parser.add_argument("--prompts", type=int, default=200, help="prompts of each data set")
    parser.add_argument("--data", type=Path, default=oc.DATA)
    arguments = parser.parse_args()
    table, scorer, registry = oc.load(arguments.data), load_scorer(arguments.weights), Registry.shipped()
    names = [*FLAGSHIPS, *SMALL]
    profiles = [registry.find(name) for name in names]
    rng = np.random.default_rng(0)
    console = Console()
    for dataset in ("mmlu_pro", "math_l5", "crux"):
        rows = table.rows(dataset, "test")
        hard = rows[np.nanmean(table.scores[rows], axis=1) <= HARD]
        chosen = rng.permutation(hard)[: arguments.prompts]
        p = scorer.score(table.items.prompt.iloc[chosen].tolist(), profiles).p
        small = p[:, len(FLAGSHIPS) :].max(axis=1)
        shown = Table(title=f"{dataset}: {len(chosen)} hard prompts, {scorer.version}", title_justify="left")
        for column in ("model", "kind", "mean P", "best of all", "below a small model"):
            shown.add_column(column, justify="left" if column in ("model", "kind") else "right")
        for position in np.argsort(-p.mean(axis=0)):
            flagship = position < len(FLAGSHIPS)
            shown.add_row(
                names[position],
                "flagship" if flagship else "7-9B",
                f"{p[:, position].mean():.3f}",
                f"{(p.argmax(axis=1) == position).mean():.1%}",
                f"{(p[:, position] < small).mean():.1%}" if flagship else "",
            )
        console.print(shown)


if __name__ == "__main__":
    main()
