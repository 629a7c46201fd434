"""Fit the expected completion lengths: ``src/modelsat/candidates/data/completion.json``.

    python recipes/fit_completion.py [--data DIR]

Reads ``recipes/answer_lengths.csv``, published mean lengths of models' answers (characters; ZeroEval asks for reasons
and a final answer, WildBench has prompts of real users). The log length of model m on kind k is ``mu_k + a_m``; a_m is
drawn towards 0 by :data:`STRENGTH` pseudo-figures, apart for exam-like kinds and for free text, which do not go
together (correlation -.13 to .21). Prints the error for figures that are left out, beside a constant and beside the
mean of the kind; and, where the items are there, how each data set's prompts are recognised, and the error on every
logged answer of the traffic (models without hidden reasoning; none of it is fitted to).
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from modelsat.candidates.completion import answer_kind, expected_length, wished
from modelsat.capability.naming import canonical

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "src/modelsat/candidates/data/completion.json"
KIND = {
    "GSM8K": "arithmetic",
    "MATH level 5": "mathematics",
    "MMLU-Redux": "choice",
    "CRUXEval-O": "code reading",
    "WildBench": "open",
}
STRENGTH = 2.0
CHARACTERS_PER_TOKEN = 4.0
"""Of answers; the published lengths are in characters."""
OLD_CONSTANT = 300.0
"""What was assumed for every model and prompt before."""
OPEN_CONSTANT = 766.0
"""The mean length of free text."""


def fit(y: np.ndarray, strength: float = STRENGTH) -> tuple[np.ndarray, np.ndarray]:
    """Kind means and shrunken model effects of log lengths, NaN where unknown; shapes (kinds,) and (models,)."""
    known = ~np.isnan(y)
    effect = np.zeros(len(y))
    for _ in range(50):
        mean = np.where(known, y - effect[:, None], 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        effect = np.where(known, y - mean, 0.0).sum(axis=1) / (known.sum(axis=1) + strength)
    return mean, effect


def left_out(groups: list[np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Predicted and true tokens of figures that were left out one by one, by way of predicting."""
    found: dict[str, list[tuple[float, float]]] = {"constant 300": [], "mean of the kind": [], "kind and model": []}
    for y in groups:
        for row, column in np.argwhere(~np.isnan(y)):
            rest = y.copy()
            rest[row, column] = np.nan
            mean, effect = fit(rest)
            true = np.exp(y[row, column])
            found["constant 300"].append((OLD_CONSTANT, true))
            found["mean of the kind"].append((np.exp(np.nanmean(rest[:, column])), true))
            found["kind and model"].append((np.exp(mean[column] + effect[row]), true))
    return {name: tuple(np.array(pairs).T) for name, pairs in found.items()}


def recognised(data: Path) -> None:
    items = pd.read_parquet(data / "items.parquet", columns=["dataset", "prompt"])
    items["kind"] = items.prompt.map(answer_kind)
    table = items.groupby("dataset").kind.value_counts(normalize=True).unstack(fill_value=0.0)
    print("\nHow prompts are recognised, share of each data set")
    print(table.round(3).to_string())


def logged(data: Path) -> None:
    items = pd.read_parquet(data / "traffic_items.parquet", columns=["item_id", "dataset", "prompt", "tools"])
    log = pd.read_parquet(data / "traffic_outcomes.parquet", columns=["item_id", "model", "output_tokens"])
    log = log[log.output_tokens > 0].merge(items, on="item_id")
    requests = list(zip(log.prompt, log.tools.fillna("").str.len() > 2, strict=True))
    asked = {(text, tools): (answer_kind(text, tools=tools), wished(text)) for text, tools in set(requests)}
    log["expected"] = [
        expected_length(model, asked[request][0], effort="none", wish=asked[request][1])
        for model, request in zip(log.model, requests, strict=True)
    ]
    print(
        f"\n{'Logged answers':16} {'number':>7} {'median ratio':>13} {'within a factor of two':>23} {'766 for all':>12}"
    )
    for dataset, part in log.groupby("dataset"):
        ratio, constant = part.expected / part.output_tokens, OPEN_CONSTANT / part.output_tokens
        within, before = (float((np.abs(np.log(r)) < np.log(2.0)).mean()) for r in (ratio, constant))
        print(f"{dataset!s:16} {len(part):7,} {ratio.median():13.2f} {within:23.1%} {before:12.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MODELSAT_DATA", "../shared/data")))
    arguments = parser.parse_args()
    figures = pd.read_csv(HERE / "answer_lengths.csv")
    figures["kind"] = figures.benchmark.map(KIND)
    figures["model"] = figures.model.map(canonical)
    table = np.log(figures.groupby(["model", "kind"]).characters.mean().unstack() / CHARACTERS_PER_TOKEN)
    groups = {"exam": table.drop(columns="open").dropna(how="all"), "open": table[["open"]].dropna()}
    result: dict[str, dict[str, dict[str, float] | float]] = {"tokens": {}, "factors": {}}
    for name, part in groups.items():
        mean, effect = fit(part.to_numpy())
        result["tokens"] |= {kind: round(float(np.exp(m)), 1) for kind, m in zip(part.columns, mean, strict=True)}
        result["factors"][name] = {m: round(float(np.exp(a)), 3) for m, a in zip(part.index, effect, strict=True)}
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", "utf-8")
    print(f"{OUTPUT}: {len(groups['exam'])} models on exams, {len(groups['open'])} on free text")
    print("tokens:", result["tokens"])
    print(f"\n{'Figures left out one by one':30} mean absolute error, tokens    relative")
    for name, (predicted, true) in left_out([part.to_numpy() for part in groups.values()]).items():
        print(f"{name:30} {np.abs(predicted - true).mean():29.0f} {np.abs(predicted / true - 1).mean():11.1%}")
    if (arguments.data / "items.parquet").exists():
        recognised(arguments.data)
    if (arguments.data / "traffic_items.parquet").exists():
        logged(arguments.data)


if __name__ == "__main__":
    main()
