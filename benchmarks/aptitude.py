"""How good routing is with profiles of the adaptive aptitude test, beside the full test and a blind third of it.

    python benchmarks/aptitude.py [--data DIR] [--seeds 5]

The models left out of training answer as logged. Each is tested in full (1,000 questions), adaptively (the settings of
the command), and on as many questions drawn blindly, with the share of right answers as figures; the shipped network
then routes the MMLU-Pro prompts that never trained with each set of profiles. Mean and standard deviation over seeds;
the column "from full" has the difference to the full test and its deviation over bootstrap samples of prompts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import outcomes as oc

from modelsat.capability import CapabilityProfile
from modelsat.capability.core import core_tasks
from modelsat.capability.equating import equate
from modelsat.inference import load_scorer
from modelsat.lab.aptitude.adaptive import CoreModel, next_round
from modelsat.lab.aptitude.plan import MOST_SHARE, TARGET_ERROR
from modelsat.lab.aptitude.result import expected
from modelsat.lab.evaluation.measure import strong_weak_pairs
from modelsat.lab.evaluation.metrics import brier, mean_auc, pair_metrics

Answers = dict[int, float]
BATCH = 64
SAMPLES = 200


def logged(bank: oc.Outcomes, model: str) -> Answers:
    """Outcome of every core item that a model was logged on."""
    rows = np.flatnonzero(bank.items.core.to_numpy())
    scores = bank.scores[rows, bank.models.index(model)]
    numbers = [int(name.rpartition("/")[2]) for name in bank.items.item_id.to_numpy()[rows]]
    return {number: float(score) for number, score in zip(numbers, scores, strict=True) if not np.isnan(score)}


def adaptive(core: CoreModel, known: Answers, seed: int, target: float) -> tuple[CapabilityProfile, Answers]:
    """The profile of the adaptive test, and the answers it rests on."""
    taken: list[int] = []
    answers: Answers = {}
    posterior = core.posterior({})
    most = int(len(core.ids) * MOST_SHARE)
    while chosen := next_round(core, posterior, taken, target=target, most=most, seed=seed):
        taken += chosen
        answers |= {number: known[number] for number in chosen if number in known}
        posterior = core.posterior(answers)
    rows = [oc.statement(task.task, task.accuracy, task.asked) for task in expected(core, posterior, answers, ())]
    return CapabilityProfile(model="adaptive", statements=rows), answers


def counted(core: CoreModel, answers: Answers) -> CapabilityProfile:
    """The profile of the shares of right answers."""
    rows = []
    for place, task in enumerate(core.tasks):
        scores = [score for number, score in answers.items() if core.task[core.row(number)] == place]
        if scores:
            rows.append(oc.statement(task.name, float(np.mean(scores)), len(scores)))
    return CapabilityProfile(model="counted", statements=rows)


def blind(known: Answers, count: int, seed: int) -> Answers:
    """As many answers, drawn blindly."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(np.array(list(known)), count, replace=False)
    return {int(number): known[int(number)] for number in chosen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--target", type=float, default=TARGET_ERROR)
    parser.add_argument("--weights", default="modelsat-nano")
    arguments = parser.parse_args()
    bank, core = oc.load(arguments.data), CoreModel(core_tasks())
    models = [model for model in oc.UNSEEN_MODELS if model in bank.models and len(logged(bank, model)) > 500]
    columns = [bank.models.index(model) for model in models]
    rows = bank.rows("mmlu_pro", "test")
    y = bank.scores[np.ix_(rows, columns)].astype(float)
    pairs = strong_weak_pairs(np.nanmean(bank.scores[np.ix_(bank.rows("mmlu_pro", "train"), columns)], axis=0))

    known = [logged(bank, model) for model in models]
    sets: dict[str, list[list[CapabilityProfile]]] = {"full": [[counted(core, answers) for answers in known]]}
    asked: list[list[int]] = []
    console, table = (
        Console(width=120),
        Table("model", "full", "asked", "adaptive", "right of those asked", "level", "level full"),
    )
    for seed in range(arguments.seeds):
        tested = [adaptive(core, answers, seed, arguments.target) for answers in known]
        asked.append([len(answers) for _, answers in tested])
        sets.setdefault("adaptive", []).append([profile for profile, _ in tested])
        drawn = [blind(answers, count, seed) for answers, count in zip(known, asked[-1], strict=True)]
        sets.setdefault("blind, as many", []).append([counted(core, answers) for answers in drawn])
    for place, model in enumerate(models):
        runs = [run[place] for run in sets["adaptive"]]
        means = [float(np.mean([s.accuracy for s in profile.statements])) for profile in runs]
        right = [np.mean(list(adaptive(core, known[place], 0, arguments.target)[1].values()))]
        levels = [equate(profile).level for profile in runs]
        table.add_row(
            model,
            f"{np.mean(list(known[place].values())):.3f}",
            f"{np.mean([counts[place] for counts in asked]):.0f}",
            f"{np.mean(means):.3f} ± {np.std(means):.3f}",
            f"{np.mean(right):.3f}",
            f"{np.mean(levels):+.2f} ± {np.std(levels):.2f}",
            f"{equate(sets['full'][0][place]).level:+.2f}",
        )
    console.print(table)
    show(console, sets, score(arguments.weights, bank, rows, sets), y, pairs)


def score(
    weights: str, bank: oc.Outcomes, rows: np.ndarray, sets: dict[str, list[list[CapabilityProfile]]]
) -> dict[str, list[np.ndarray]]:
    """P(success) of the test prompts under every set of profiles, all from one pass a prompt."""
    scorer, prompts = load_scorer(weights), bank.items.prompt.to_numpy()[rows].tolist()
    profiles = [profile for runs in sets.values() for run in runs for profile in run]
    parts = [scorer.score(prompts[start : start + BATCH], profiles).p for start in range(0, len(prompts), BATCH)]
    p, result, at = np.concatenate(parts), {}, 0
    for name, runs in sets.items():
        result[name] = [p[:, at + len(run) * turn : at + len(run) * (turn + 1)] for turn, run in enumerate(runs)]
        at += sum(len(run) for run in runs)
    return result


def show(
    console: Console,
    sets: dict[str, list[list[CapabilityProfile]]],
    found: dict[str, list[np.ndarray]],
    y: np.ndarray,
    pairs: list[tuple[int, int]],
) -> None:
    metrics: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "AUC": mean_auc,
        "APGR": lambda p, outcome: pair_metrics(p, outcome, pairs)["apgr"],
        "Brier": brier,
    }
    table = Table("profiles", *(cell for name in metrics for cell in (name, f"{name} from full")))
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, len(y), len(y)) for _ in range(SAMPLES)]
    for name, runs in found.items():
        cells = []
        for metric in metrics.values():
            values = [metric(p, y) for p in runs]
            cells.append(f"{np.mean(values):.4f}" + (f" ± {np.std(values):.4f}" if len(values) > 1 else ""))
            if name == "full":
                cells.append("")
                continue
            away = [
                metric(runs[n % len(runs)][s], y[s]) - metric(found["full"][0][s], y[s]) for n, s in enumerate(samples)
            ]
            cells.append(f"{np.mean(values) - metric(found['full'][0], y):+.4f} ± {np.std(away):.4f}")
        table.add_row(name, *cells)
    console.print(table)


if __name__ == "__main__":
    main()
