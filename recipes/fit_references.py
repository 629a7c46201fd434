"""Fit the reference statistics of every task: the ability it reads, difficulty, discrimination and scatter.

    python recipes/fit_references.py [--data DIR]

The factor model of ``modelsat.capability.equating`` is fitted to published figures and logged accuracies together
(training and core items; no figure of a model that is kept unseen), by marginal maximum likelihood over the abilities
(Bock and Aitkin, 1981) with priors on the tasks. Writes the statistics into the task catalogue; about a minute.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import outcomes as oc
import torch
from torch import Tensor

from modelsat.capability.equating import CLIP, FACTORS

SLOPES = (0.15, 4.0)
"""Bounds of the discrimination."""
QUANTITATIVE = (
    "physics", "math", "calculus", "diff", "stat", "algebra", "thermo", "fund", "class", "mechanics", "optics", "chem",
    "engineering", "elect", "machine", "heat", "fluid", "atkins", "quan", "matter", "theoremqa", "accounting",
    "econometrics", "finance",
)  # fmt: skip
"""Subjects of MMLU-Pro whose name holds one of these are worked out rather than known."""
READS = {
    "general": (
        "GSM8K", "CRUXEval-O", "ZebraLogic", "BIG-Bench Hard", "KOR-Bench", "FinQA", "tau2-bench", "Arena-Hard",
    ),
    "reasoning": (
        "AIME", "LiveCodeBench", "LiveMathBench", "MATH-500", "MathBench", "Knights and Knaves", "MATH level 5",
    ),
    "practice": ("HumanEval", "MBPP", "EmoryNLP", "MELD", "SWE-bench"),
}  # fmt: skip
"""The ability a benchmark reads, where it is not knowledge (chosen by likelihood; ``benchmarks/equating.py``)."""
PRIOR = {"log slope": 0.4, "difficulty": 2.5, "log scatter": 0.7}
"""Standard deviations of the priors."""
EXAM, EXAM_TOLERANCE = "MMLU-Pro", 0.02
"""The benchmark that is the union of the logged subjects, and how far (accuracy) it may be from their mean."""
USUAL_SCATTER = 0.01
"""Centre of the prior on the scatter: five points beside binomial noise at half."""
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
        for task in sorted(set(tasks[mmlu])):
            values = table.scores[mmlu[tasks[mmlu] == task], column]
            values = values[~np.isnan(values)]
            if len(values) >= 10:
                rows.append((model, task, float(values.mean()), len(values)))
        for dataset, task in {**oc.DATASET_TASK, "mmlu_pro": "MMLU-Pro"}.items():
            values = table.scores[table.rows(dataset, "train"), column]
            values = values[~np.isnan(values)]
            if len(values) >= 50:
                rows.append((model, task, float(values.mean()), len(values)))
    for row in oc.published(data).itertuples():
        rows.append((row.model, row.benchmark, row.accuracy, row.n_items))
    unseen = {*oc.UNSEEN_MODELS, *(SAME_MODEL.get(model, model) for model in oc.UNSEEN_MODELS)}
    linked = [(SAME_MODEL.get(model, model), task, accuracy, items) for model, task, accuracy, items in rows]
    return [row for row in linked if row[0] not in unseen]


@dataclass
class Fit:
    """Fitted statistics by task: (factor, difficulty, discrimination, scatter), and correlations by factor."""

    tasks: dict[str, tuple[str, float, float, float]]
    correlations: dict[str, float]
    loss: float


def reads(task: str, family: str) -> str:
    """Name of the ability that ``task`` reads."""
    if family == "MMLU-Pro":
        return "quantitative" if any(part in task.casefold() for part in QUANTITATIVE) else "knowledge"
    return next((factor for factor, tasks in READS.items() if task in tasks), "knowledge")


def fit(
    rows: list[tuple[str, str, float, float]],
    chance: dict[str, float],
    factors: dict[str, str],
    subjects: set[str],
    steps: int = 200,
) -> Fit:
    """Maximise the marginal likelihood of ``rows`` (model, task, accuracy, items) with priors on the tasks.

    The exam MMLU-Pro is the union of its ``subjects``: no model logged by subject is as strong as those of which only
    the exam's figure is known, so the two are held together at every general ability.
    """
    models = {name: index for index, name in enumerate(sorted({row[0] for row in rows}))}
    tasks = {name: index for index, name in enumerate(sorted({row[1] for row in rows}))}
    m = torch.tensor([models[row[0]] for row in rows])
    t = torch.tensor([tasks[row[1]] for row in rows])
    y, n = (torch.tensor([float(row[column]) for row in rows], dtype=torch.float64) for column in (2, 3))
    c = torch.tensor([chance.get(task, 0.0) for task in tasks], dtype=torch.float64)[t, None]
    cell = m * len(FACTORS) + torch.tensor([FACTORS.index(factors[task]) for task in tasks])[t]
    grid = torch.linspace(-4.5, 4.5, 61, dtype=torch.float64)
    prior = torch.log_softmax(-(grid**2) / 2, 0)
    smooth = (y * n + 0.5) / (n + 1)
    own = torch.xlogy(y, y) + torch.xlogy(1 - y, 1 - y)

    average = torch.zeros(len(tasks), dtype=torch.float64).scatter_reduce(0, t, smooth, "mean", include_self=False)
    floor = torch.tensor([chance.get(task, 0.0) for task in tasks], dtype=torch.float64)
    difficulty = (-torch.logit(((average - floor) / (1 - floor)).clamp(0.05, 0.95))).requires_grad_()
    slope = torch.zeros(len(tasks), dtype=torch.float64, requires_grad=True)
    common = torch.zeros((), dtype=torch.float64, requires_grad=True)
    scatter = torch.full((len(tasks),), math.log(USUAL_SCATTER), dtype=torch.float64, requires_grad=True)
    shared = torch.ones(len(FACTORS) - 1, dtype=torch.float64, requires_grad=True)

    size = torch.zeros(len(tasks), dtype=torch.float64)
    for row in rows:
        if row[1] in subjects:
            size[tasks[row[1]]] = max(float(size[tasks[row[1]]]), row[3])
    read = torch.tensor([FACTORS.index(factors[task]) for task in tasks])

    def disagreement() -> Tensor:
        """How far the exam is from the mean of its subjects, for models of every general ability."""
        logit = slope.clamp(*map(math.log, SLOPES)).exp()[:, None] * grid - difficulty[:, None]
        p = floor[:, None] + (1 - floor)[:, None] * torch.sigmoid(logit)
        mean = (p[:, None, :] * transitions().exp()[(read - 1).clamp_min(0)]).sum(2)
        mean = torch.where(read[:, None] == 0, p, mean)
        gap = mean[tasks[EXAM]] - (size[:, None] * mean).sum(0) / size.sum()
        return 0.5 * ((gap / EXAM_TOLERANCE) ** 2)[(grid > -2) & (grid < 2.5)].sum()

    def transitions() -> Tensor:
        weight = torch.sigmoid(shared)[:, None, None]
        return torch.log_softmax(-((grid - weight * grid[:, None]) ** 2) / (2 * (1 - weight**2)), 2)

    def evidence() -> Tensor:
        """Log quasi-likelihood of every model's figures, shape (models, factors, grid)."""
        logit = slope.clamp(*map(math.log, SLOPES)).exp()[t, None] * grid - difficulty[t, None]
        p = (c + (1 - c) * torch.sigmoid(logit)).clamp(1e-6, 1 - 1e-6)
        effective = 1 / (1 / n + scatter.exp()[t])
        divergence = own[:, None] - y[:, None] * p.log() - (1 - y)[:, None] * (1 - p).log()
        squared = 2 * effective[:, None] * divergence.clamp_min(1e-12)
        clipped = torch.where(squared < CLIP**2, squared / 2, CLIP * squared.sqrt() - CLIP**2 / 2)
        logs = 0.5 * (effective / (smooth * (1 - smooth))).log()[:, None] - clipped
        empty = torch.zeros(len(models) * len(FACTORS), len(grid), dtype=torch.float64)
        return empty.index_add(0, cell, logs).view(len(models), len(FACTORS), len(grid))

    def loss() -> Tensor:
        logs = evidence()
        peak = logs[:, 1:].amax(2, keepdim=True)
        share = torch.einsum("mkt,kgt->mkg", (logs[:, 1:] - peak).exp(), transitions().exp())
        message = share.clamp_min(1e-300).log() + peak
        marginal = torch.logsumexp(prior + logs[:, 0] + message.sum(1), 1).sum()
        penalty = ((slope - common) / PRIOR["log slope"]) ** 2 + (difficulty / PRIOR["difficulty"]) ** 2
        penalty = penalty + ((scatter - math.log(USUAL_SCATTER)) / PRIOR["log scatter"]) ** 2
        if EXAM in tasks and float(size.sum()) > 0:
            marginal = marginal - disagreement()
        return 0.5 * (penalty.sum() + common**2 + ((shared - 1) ** 2).sum()) - marginal

    parameters = [difficulty, slope, common, scatter, shared]
    optimiser = torch.optim.LBFGS(parameters, max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(step)
    with torch.no_grad():
        value = float(loss())
        slopes = slope.clamp(*map(math.log, SLOPES)).exp()
        columns = zip(difficulty.tolist(), slopes.tolist(), scatter.exp().tolist(), strict=True)
        fitted = {task: (factors[task], *numbers) for task, numbers in zip(tasks, columns, strict=True)}
        return Fit(fitted, dict(zip(FACTORS[1:], torch.sigmoid(shared).tolist(), strict=True)), value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    arguments = parser.parse_args()
    content = json.loads(CATALOGUE.read_text("utf-8"))
    chance = {task["name"]: task["chance"] for task in content["tasks"]}
    rows = cells(arguments.data)
    factors = {task["name"]: reads(task["name"], task["family"]) for task in content["tasks"]}
    subjects = {task["name"] for task in content["tasks"] if task["family"] == "MMLU-Pro"}
    result = fit(rows, chance, factors, subjects)
    for task in content["tasks"]:
        for key in ("factor", "difficulty", "discrimination", "scatter", "placed"):
            task.pop(key, None)
        if task["name"] in result.tasks:
            factor, *numbers = result.tasks[task["name"]]
            task["factor"] = factor
            task["difficulty"], task["discrimination"] = round(numbers[0], 3), round(numbers[1], 3)
            task["scatter"] = round(numbers[2], 5)
    correlations = {name: round(value, 4) for name, value in result.correlations.items()}
    CATALOGUE.write_text(
        json.dumps({"factors": correlations, "tasks": content["tasks"]}, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
    models = len({row[0] for row in rows})
    print(
        f"{len(rows)} figures of {models} models on {len(result.tasks)} tasks; loss {result.loss:.1f}; {correlations}"
    )
    for task, (factor, difficulty, slope, scatter) in result.tasks.items():
        print(f"{factor:10s} d {difficulty:6.2f} a {slope:5.2f} scatter {math.sqrt(scatter) / 2:.3f}  {task}")


if __name__ == "__main__":
    main()
