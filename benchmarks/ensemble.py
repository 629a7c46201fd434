"""Trained networks side by side, and the mean of their logits, on the validation prompts of a recipe.

    python benchmarks/ensemble.py runs/mini/checkpoint weights/modelsat-nano [--groups mmlu_pro zeroeval]

Mean AUC over models and Brier score, for models that trained and for those that did not. What a mean is better by is
what a student could learn of both (recipes/teach.py takes several networks). The recipe's environment variables must be
set, MODELSAT_DATA and MINILM for that of modelsat-nano.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
from teach import calibrated_logits

from modelsat.lab.training.recipe import read_recipe
from modelsat.lab.training.validation import mean_auc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--recipe", type=Path, default=Path("recipes/exams.yaml"))
    parser.add_argument("--groups", nargs="+", help="groups of the recipe; all if left out")
    given = parser.parse_args()
    os.environ.setdefault("MODELSAT_DATA", "../shared/data")
    corpus = read_recipe(given.recipe).corpus()
    table = Table("group", "network", "seen AUC", "seen Brier", "unseen AUC", "unseen Brier")
    for group in corpus.groups:
        if given.groups and group.name not in given.groups:
            continue
        rows, columns = corpus.validation(group)
        names = [corpus.table.models[column] for column in columns]
        outcomes = corpus.table.scores[np.ix_(rows, columns)]
        found = {str(folder): calibrated_logits(folder, corpus, rows, names) for folder in given.checkpoints}
        if len(found) > 1:
            found["mean of the logits"] = np.mean(list(found.values()), axis=0)
        unseen = np.isin(names, list(corpus.unseen))
        for network, logits in found.items():
            table.add_row(
                group.name, network, *_measured(logits, outcomes, ~unseen), *_measured(logits, outcomes, unseen)
            )
    Console(width=140).print(table)


def _measured(logits: np.ndarray, outcomes: np.ndarray, models: np.ndarray) -> tuple[str, str]:
    if not models.any():
        return "", ""
    p, y = 1.0 / (1.0 + np.exp(-logits[:, models])), outcomes[:, models]
    return f"{mean_auc(p, y):.4f}", f"{np.nanmean((p - y) ** 2):.4f}"


if __name__ == "__main__":
    main()
