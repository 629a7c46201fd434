"""What feedback does, simulated on logged outcomes: drift, false alarms, routing that recovers, profiles that heal.

    python benchmarks/feedback.py [--seeds 20] [--prompts 1500] [--scores runs/feedback.npz]

Prompts are test prompts of MMLU-Pro, drawn with replacement; a request's feedback is the logged outcome of the model
that was chosen. Scores are those of the shipped network, kept in the file of ``--scores``: minutes the first time, none
later. A model that got worse has so many of its right answers turned wrong, at random, that its accuracy falls by
``--drop``. A wrong profile has every figure moved by 20 points and is encoded and scored by the network again. Routing
is by policy ``best``; means and standard deviations are over seeds. The feedback loop is that of the package, without a
store.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from modelsat.feedback import Calibrator, DecisionRecord, FeedbackRecord, Observation, Subject
from modelsat.feedback.offsets import explored

POOL = (
    "gemini-1.5-flash-002",
    "DeepSeek-Coder-V2",
    "Meta-Llama-3.1-70B",
    "jamba-1.5-large",
    "Mixtral-8x7B-Instruct-v0.1",
    "Phi-3-mini-4k-instruct",
)
BEST, RIVAL, MIDDLING = POOL[0], POOL[1], POOL[4]
WRONG = {f"{BEST} 20 points too low": (BEST, -0.2), f"{MIDDLING} 20 points too high": (MIDDLING, 0.2)}
HEALING = (
    *("no feedback", "first 500", "up to 2,000", "from 2,000 on", "its share then"),
    *("right profile", "right, with feedback"),
)
STAGES = (1000, 2000, 2500, 3000, 4000)
"""Requests at which the stages of the recovery begin and end."""


@dataclass(frozen=True)
class World:
    """Prompts with the network's scores and the logged outcomes.

    Attributes:
        models: Names of the columns.
        scores: P(success), shape (prompts, models).
        outcomes: 0..1, NaN where unknown, shape (prompts, models).
        fields: Shares of fields of each prompt.
    """

    models: tuple[str, ...]
    scores: np.ndarray
    outcomes: np.ndarray
    fields: Sequence[Mapping[str, float]]

    def take(self, models: Sequence[str]) -> World:
        """Some models, and the prompts that all of them answered."""
        columns = [self.models.index(model) for model in models]
        rows = np.flatnonzero(~np.isnan(self.outcomes[:, columns]).any(axis=1))
        fields = [self.fields[row] for row in rows]
        return World(tuple(models), self.scores[np.ix_(rows, columns)], self.outcomes[np.ix_(rows, columns)], fields)

    def with_scores(self, model: str, scores: np.ndarray) -> World:
        """Other scores of one model."""
        changed = self.scores.copy()
        changed[:, self.models.index(model)] = scores
        return replace(self, scores=changed)


def observation(model: str, score: float, outcome: float, field: Mapping[str, float]) -> Observation:
    """What a store would return."""
    decision = DecisionRecord("", 0.0, model, score, {model: score}, field)
    return Observation("", decision, FeedbackRecord("", outcome, time=0.0))


def alarms(world: World, model: str, count: int, seed: int, *, after: int = 10**9, drop: float = 0.0) -> list[tuple]:
    """Feed ``count`` feedbacks on one model, which gets worse by ``drop`` after ``after`` of them.

    Returns:
        For each change noticed: number of the feedback, direction, points.
    """
    rng = np.random.default_rng(seed)
    column = world.models.index(model)
    known = np.flatnonzero(~np.isnan(world.outcomes[:, column]))
    turned = drop / world.outcomes[known, column].mean()
    calibrator = Calibrator(quiet=True)
    found = []
    for number, row in enumerate(rng.choice(known, count)):
        outcome = float(world.outcomes[row, column])
        if number >= after and rng.random() < turned:
            outcome = 0.0
        drift = calibrator.observe(observation(model, float(world.scores[row, column]), outcome, world.fields[row]))
        if drift is not None:
            found.append((number, drift.direction, drift.points))
    return found


def route(
    world: World,
    requests: int,
    seed: int,
    *,
    learn: bool = True,
    explore: float = 0.05,
    worse: str | None = None,
    after: int = 0,
    drop: float = 0.0,
    known: bool = False,
) -> tuple[np.ndarray, list[str], int | None]:
    """Route requests with policy ``best`` and learn from the outcome of each.

    Args:
        world: Prompts, scores, outcomes.
        requests: How many.
        seed: Of the prompts, the exploration, and the answers turned wrong.
        learn: Correct scores by feedback; otherwise the network alone decides.
        explore: Share of requests decided on a draw.
        worse: Model that gets worse.
        after: Request from which on it is worse.
        drop: By how much.
        known: The one who routes knows of the drop and scales that model's scores: the best that can be hoped for.

    Returns:
        Outcome of every request, the chosen models, and how many feedbacks on ``worse`` it took to notice.
    """
    rng, chance = np.random.default_rng(seed), np.random.default_rng(seed + 10_000)
    calibrator = Calibrator(quiet=True)
    subjects = [Subject(model) for model in world.models]
    column = world.models.index(worse) if worse else -1
    turned = drop / np.nanmean(world.outcomes[:, column]) if worse else 0.0
    outcomes, chosen = np.empty(requests), []
    seen, noticed = 0, None
    for number, row in enumerate(rng.integers(len(world.scores), size=requests)):
        scores, field = world.scores[row].tolist(), world.fields[row]
        luck = rng.random()
        if known and number >= after:
            scores[column] *= 1.0 - turned
        corrected = calibrator.correct(subjects, scores, field)
        if learn:
            offsets = [calibrator.offset(subject) for subject in subjects]
            corrected = explored(explore, offsets, scores, corrected, field, chance) or corrected
        pick = int(np.argmax(corrected))
        outcome = float(world.outcomes[row, pick])
        if pick == column and number >= after:
            seen += 1
            outcome = 0.0 if luck < turned else outcome
        if learn:
            drift = calibrator.observe(observation(world.models[pick], scores[pick], outcome, field))
            if drift is not None and drift.model == worse and drift.direction == "worse" and number >= after:
                noticed = noticed or seen
        outcomes[number] = outcome
        chosen.append(world.models[pick])
    return outcomes, chosen, noticed


def load(data: Path, path: Path, prompts: int) -> tuple[World, dict[str, np.ndarray]]:
    """The world of the shipped weights, and the scores of the wrong profiles; from ``path`` if it is there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **_score(data, prompts))
    with np.load(path) as stored:
        names = stored["fields"].tolist()
        fields = [
            {name: round(float(share), 3) for name, share in zip(names, row, strict=True) if share >= 0.02}
            for row in stored["shares"]
        ]
        world = World(tuple(stored["models"].tolist()), stored["scores"], stored["outcomes"], fields)
        wrong = {label: stored[f"wrong{number}"] for number, label in enumerate(WRONG)}
    return world, wrong


def _score(data: Path, prompts: int) -> dict[str, np.ndarray]:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
    import outcomes as oc

    from modelsat.inference import load_scorer
    from modelsat.lab.outcomes import read_outcomes, split_by_question
    from modelsat.request import extract_instruction

    table = read_outcomes(data / "items.parquet", data / "outcomes.parquet")
    rows = split_by_question(table).within(table.of_datasets("mmlu_pro")).test[:prompts]
    columns = table.answered(rows, 0.8)
    models = [table.models[column] for column in columns]
    bank = oc.ProfileBank(oc.load(data), data)
    profiles = [bank.profile(model) for model in models]
    for model, move in WRONG.values():
        right = bank.profile(model)
        moved = [s.model_copy(update={"accuracy": min(max(s.accuracy + move, 0.0), 1.0)}) for s in right.statements]
        profiles.append(right.model_copy(update={"statements": tuple(moved)}))
    scorer = load_scorer()
    scores, shares = [], []
    for start in track(range(0, len(rows), 32), "scoring", console=Console(stderr=True)):
        texts = [extract_instruction(prompt)[0] for prompt in table.prompts[rows[start : start + 32]]]
        found = scorer.score(texts, profiles)
        scores.append(found.p)
        shares.append(found.shares)
    everything = np.concatenate(scores).astype(float)
    count = len(models)
    return {
        "models": np.array(models),
        "scores": everything[:, :count],
        "outcomes": table.scores[np.ix_(rows, columns)].astype(float),
        "shares": np.concatenate(shares),
        "fields": np.array(found.fields),
        **{f"wrong{number}": everything[:, count + number] for number in range(len(WRONG))},
    }


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds."""
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def drift_table(world: World, seeds: int, drop: float) -> Table:
    """How soon a drop is noticed, and how often one is seen where there is none, by model."""
    table = Table(title=f"accuracy falls by {100 * drop:.0f} points after 400 feedbacks; {seeds} seeds a model")
    for name in ("model", "accuracy", "noticed within 300", "median", "90 %", "points seen", "false per 1,000"):
        table.add_column(name, justify="left" if name == "model" else "right")
    delays, false = [], []
    chosen = [m for m in world.models if np.nanmean(world.outcomes[:, world.models.index(m)]) > 2 * drop]
    for model in track(chosen, "drift", console=Console(stderr=True)):
        own, points = [], []
        for seed in range(seeds):
            after = [
                a for a in alarms(world, model, 700, seed, after=400, drop=drop) if a[0] >= 400 and a[1] == "worse"
            ]
            own.append(after[0][0] - 399 if after else np.inf)
            points += [after[0][2]] if after else []
        quiet = [len(alarms(world, model, 1000, 500 + seed)) for seed in range(seeds)]
        delays, false = delays + own, false + quiet
        accuracy = np.nanmean(world.outcomes[:, world.models.index(model)])
        table.add_row(*_drift_row(model, f"{accuracy:.3f}", own, points, quiet))
    table.add_section()
    table.add_row(*_drift_row("all", "", delays, [], false))
    return table


def _drift_row(
    name: str, accuracy: str, delays: Sequence[float], points: Sequence[float], false: Sequence[int]
) -> list[str]:
    within = np.mean(np.array(delays) <= 300)
    middle, late = np.quantile(delays, [0.5, 0.9], method="nearest")
    seen = f"{np.mean(points):+.0f}" if points else ""
    return [name, accuracy, f"{within:.1%}", f"{middle:.0f}", f"{late:.0f}", seen, f"{np.mean(false):.2f}"]


def recovery_table(world: World, seeds: int, drop: float) -> Table:
    """Accuracy of routed answers before and after the best model gets worse."""
    title = f"{BEST} falls by {100 * drop:.0f} points at request 2,000; accuracy of the routed answers, {seeds} seeds"
    table = Table(title=title)
    for name in ("router", "before", "1st 500 after", "2nd 500", "from 1,000 on", f"share of {BEST}", "noticed after"):
        table.add_column(name, justify="left" if name == "router" else "right")
    for name, options in (
        ("no feedback", {"learn": False}),
        ("feedback", {"explore": 0.0}),
        ("feedback, 5 % exploration", {"explore": 0.05}),
        ("drop known at once", {"learn": False, "known": True}),
    ):
        parts: list[list[float]] = [[], [], [], [], []]
        noticed = []
        for seed in track(range(seeds), name, console=Console(stderr=True)):
            y, chosen, when = route(world, 4000, seed, worse=BEST, after=2000, drop=drop, **options)
            for part, start, stop in zip(parts[:4], STAGES[:-1], STAGES[1:], strict=True):
                part.append(y[start:stop].mean())
            parts[4].append(np.mean([model == BEST for model in chosen[3000:]]))
            noticed.append(np.inf if when is None else when)
        found = np.array(noticed)[np.isfinite(noticed)]
        when = f"{np.median(found):.0f} feedbacks, in {len(found)} runs" if len(found) else ""
        table.add_row(name, *map(spread, parts), when)
    return table


def healing_table(world: World, wrong: Mapping[str, np.ndarray], seeds: int) -> Table:
    """Accuracy of routed answers with a wrong profile: before feedback, with it, and with the right profile."""
    table = Table(title=f"a wrong profile heals; accuracy of the routed answers, 5 % exploration, {seeds} seeds")
    for name in ("profile", *HEALING):
        table.add_column(name, justify="left" if name == "profile" else "right")
    others = [model for model in POOL if model != RIVAL]
    cases = []
    for label, (model, move) in WRONG.items():
        mistaken = world.with_scores(model, wrong[label])
        cases.append((label, model, mistaken, world))
        if move < 0.0:
            cases.append((f"the same without {RIVAL}", model, mistaken.take(others), world.take(others)))
    for label, model, mistaken, right in cases:
        runs = track(range(seeds), label, console=Console(stderr=True))
        seen = [_healed(model, mistaken, right, seed) for seed in runs]
        table.add_row(label, *map(spread, zip(*seen, strict=True)))
    return table


def _healed(model: str, mistaken: World, right: World, seed: int) -> tuple[float, ...]:
    """What stands under ``HEALING``, for one seed."""
    learnt, chosen, _ = route(mistaken, 4000, seed)
    return (
        float(route(mistaken, 4000, seed, learn=False)[0][2000:].mean()),
        *(float(learnt[start:stop].mean()) for start, stop in ((0, 500), (500, 2000), (2000, 4000))),
        float(np.mean([name == model for name in chosen[2000:]])),
        float(route(right, 4000, seed, learn=False)[0][2000:].mean()),
        float(route(right, 4000, seed)[0][2000:].mean()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--scores", type=Path, default=Path("runs/feedback.npz"), help="scores, made if missing")
    parser.add_argument("--prompts", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--drop", type=float, default=0.15, help="fall of accuracy, 0..1")
    arguments = parser.parse_args()
    world, wrong = load(arguments.data, arguments.scores, arguments.prompts)
    console = Console()
    console.print(drift_table(world, arguments.seeds, arguments.drop))
    columns = [world.models.index(model) for model in POOL]
    kept = ~np.isnan(world.outcomes[:, columns]).any(axis=1)
    pool = world.take(POOL)
    console.print(recovery_table(pool, arguments.seeds, arguments.drop))
    console.print(healing_table(pool, {label: scores[kept] for label, scores in wrong.items()}, arguments.seeds))


if __name__ == "__main__":
    main()
