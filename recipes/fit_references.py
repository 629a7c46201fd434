"""Fit the reference statistics of every task: chance, difficulty and discrimination on one ability scale.

    python recipes/fit_references.py [--data DIR]

A one-factor logistic model with guessing is fitted to published figures and logged accuracies together (training
items of training models only), with a standard-normal prior on abilities. Writes ``difficulty`` and
``discrimination`` into the task catalogue.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import outcomes as oc
import torch

RELIABLE = (0.4, 4.0)
"""Range of slopes that one factor explains; a task outside it keeps cautious defaults."""
CATALOGUE = Path("src/modelsat/capability/data/tasks.json")
SAME_MODEL = {
    "Llama-3.1-405B-Inst": "Meta-Llama-3.1-405B-Instruct",
    "Llama-3.1-405B-Instruct-Turbo": "Meta-Llama-3.1-405B-Instruct",
    "gemini-1.5-flash-002": "gemini-1.5-flash",
    "DeepSeek-Coder-V2": "deepseek-v2-coder-0724",
    "DeepSeek-Coder-V2-0724": "deepseek-v2-coder-0724",
    "gpt-3.5-turbo-0301": "gpt-3.5-turbo-0125",
    "gpt-4-1106-preview": "gpt-4-turbo-2024-04-09",
    "FuseChat-Llama-3.1-8B-Instruct": "Meta-Llama-3.1-8B-Instruct",
    "FuseChat-Llama-3.2-3B-Instruct": "Llama-3.2-3B-Instruct",
    "FuseChat-Qwen-2.5-7B-Instruct": "Qwen2.5-7B-Instruct",
    "Llama-3.1-8B-Instruct": "Meta-Llama-3.1-8B-Instruct",
}
"""Links between logs: names of one model, or of close versions where no other model links two tables."""


def cells(data: Path) -> list[tuple[str, str, float, float]]:
    """(model, task, accuracy, items) of every figure that takes part in the fit."""
    table = oc.load(data)
    rows: list[tuple[str, str, float, float]] = []
    train = table.rows("mmlu_pro", "train")
    core = np.flatnonzero(table.items.core.to_numpy())
    mmlu = np.concatenate([train, core])
    tasks = table.items.task.to_numpy()
    for column, model in enumerate(table.models):
        if model in oc.UNSEEN_MODELS:
            continue
        for task in sorted(set(tasks[mmlu])):
            values = table.scores[mmlu[tasks[mmlu] == task], column]
            values = values[~np.isnan(values)]
            if len(values) >= 10:
                rows.append((model, task, float(values.mean()), len(values)))
        groups = {
            **oc.DATASET_TASK,
            "mmlu_pro": "MMLU-Pro",
            "alpaca_eval": "AlpacaEval",
            "rdc_cmmlu": "CMMLU",
            "rdc_mmlu": "MMLU",
            "rdc_gsm8k": "GSM8K",
            "rdc_humaneval": "HumanEval",
            "rdc_javascript": "HumanEval-JavaScript",
            "rdc_MATH_prealgebra": "MATH prealgebra",
        }
        for dataset, task in groups.items():
            values = table.scores[table.rows(dataset, "train"), column]
            values = values[~np.isnan(values)]
            if len(values) >= 50:
                rows.append((model, task, float(values.mean()), len(values)))
    for row in oc.published(data).itertuples():
        rows.append((row.model, row.benchmark, row.accuracy, row.n_items))
    return [(SAME_MODEL.get(model, model), task, accuracy, items) for model, task, accuracy, items in rows]


def fit(
    rows: list[tuple[str, str, float, float]], chance: dict[str, float]
) -> tuple[dict[str, float], dict[str, tuple[float, float]], float]:
    """Abilities by model, (difficulty, discrimination) by task, and the spread of abilities between tasks."""
    models = sorted({row[0] for row in rows})
    tasks = sorted({row[1] for row in rows})
    m = torch.tensor([models.index(row[0]) for row in rows])
    t = torch.tensor([tasks.index(row[1]) for row in rows])
    y = torch.tensor([row[2] for row in rows], dtype=torch.float64)
    n = torch.tensor([row[3] for row in rows], dtype=torch.float64)
    weight = 1.0 / (0.05**2 + 0.25 / n)  # misfit of a one-factor model (about five points) on top of binomial noise
    c = torch.tensor([chance.get(task, 0.0) for task in tasks], dtype=torch.float64)
    ability = torch.zeros(len(models), dtype=torch.float64, requires_grad=True)
    difficulty = torch.zeros(len(tasks), dtype=torch.float64, requires_grad=True)
    slope = torch.zeros(len(tasks), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([ability, difficulty, slope], max_iter=500, line_search_fn="strong_wolfe")

    def expected() -> torch.Tensor:
        return c[t] + (1 - c[t]) * torch.sigmoid(slope[t].exp() * (ability[m] - difficulty[t]))

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = (
            (weight * (y - expected()) ** 2).sum()
            + (ability**2).sum()
            + (difficulty**2 / 4).sum()
            + (slope**2 / 0.25).sum()
        )
        value.backward()
        return value

    for _ in range(5):
        optimiser.step(loss)
    with torch.no_grad():
        p = expected()
        share = ((y - c[t]) / (1 - c[t])).clamp(0.02, 0.98)
        read = difficulty[t] + torch.logit(share) / slope[t].exp()
        gradient = (1 - c[t]) * slope[t].exp() * share * (1 - share)
        error = ((p * (1 - p)) / n / gradient**2).clamp_max(4)
        spread = float((((read - ability[m]) ** 2 - error).clamp(-4, 4)[n >= 100]).mean().clamp_min(0.01).sqrt())
        means = {task: np.mean([row[2] for row in rows if row[1] == task]) for task in tasks}
        naive = np.mean([abs(row[2] - means[row[1]]) for row in rows])
        print(f"{len(rows)} figures of {len(models)} models on {len(tasks)} tasks; spread between tasks {spread:.2f}")
        print(f"mean absolute error {(y - p).abs().mean():.3f}; of predicting a task's mean {naive:.3f}")
        abilities = dict(zip(models, ability.tolist(), strict=True))
        return (
            abilities,
            {k: (d, a) for k, d, a in zip(tasks, difficulty.tolist(), slope.exp().tolist(), strict=True)},
            spread,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    arguments = parser.parse_args()
    content = json.loads(CATALOGUE.read_text("utf-8"))
    chance = {task["name"]: task["chance"] for task in content["tasks"]}
    abilities, references, _ = fit(cells(arguments.data), chance)
    for task in content["tasks"]:
        task.pop("difficulty", None), task.pop("discrimination", None)
        difficulty, discrimination = references.get(task["name"], (0.0, 0.0))
        if RELIABLE[0] <= discrimination <= RELIABLE[1]:
            task["difficulty"], task["discrimination"] = round(difficulty, 3), round(discrimination, 3)
    CATALOGUE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for model, value in sorted(abilities.items(), key=lambda pair: -pair[1]):
        print(f"{value:6.2f}  {model}")


if __name__ == "__main__":
    main()
