"""Fit what the router takes off P(success) for having chosen: the winner of a comparison is also the luckiest.

    python recipes/selection.py [modelsat-nano ...] [--output FILE.json] [--markdown]

Scores held-out prompts with the given weights (all that ship, if none are named), draws pools of 2, 5, 10 and 20
models, lets every policy choose, and fits a logistic calibration of the chosen candidate for each policy: its logit
becomes ``level + slope x logit + size x ln(pool)``. It is fitted to the validation part, printed for the test part,
before and after, and goes into ``src/modelsat/router/data/selection.json``. Half of the weight is MMLU-Pro's; the other
half is shared by the data sets of the traffic that the weights trained on (by other prompts). Those that they never
trained on are measured alone: what is off there is off before anything is chosen. Candidates are models that the
shipped registry knows, with its profiles; prices are those of the package's table, and of models without one a draw
around what their level costs. Scores are kept in ``runs/``: a second run takes a minute. Run it when weights change.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import outcomes as oc
import pandas as pd
import tables
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from modelsat.inference import load_scorer
from modelsat.lab.evaluation.inputs import listed_prices
from modelsat.lab.outcomes.table import buckets, question_key
from modelsat.request import extract_instruction
from modelsat.router.scoring import Selection
from modelsat.storage.checkpoint import open_checkpoint, shipped_folders

Floats = NDArray[np.float64]
TEST, HELD_OUT = 15, 22
"""Buckets of the split, of 100: those below the first test, those up to the second validate."""
EXAM_PROMPTS, TRAFFIC_PROMPTS = 2_000, 150
"""Prompts of a data set and part, at most."""
FEWEST_MODELS, FEWEST_PROMPTS = 3, 8
EXAM = "mmlu_pro"
OUTPUT = Path(__file__).parents[1] / "src" / "modelsat" / "router" / "data" / "selection.json"


@dataclass(frozen=True, eq=False)
class Log:
    """Outcomes of one data set beside what the network says.

    Attributes:
        name: The data set.
        models: Names of the models.
        p: P(success), shape (prompts, models).
        y: Outcomes, NaN where unknown, shape (prompts, models).
        test: Which prompts test; the others are fitted to.
        trained: Whether the weights trained on other prompts of it: only there may what is off be put on the choosing.
    """

    name: str
    models: list[str]
    p: Floats
    y: Floats
    test: NDArray[np.bool_]
    trained: bool

    @property
    def part(self) -> str:
        """What it is reported under."""
        return "exams" if self.name == EXAM else "traffic" if self.trained else "never trained"


def _drawn(prompts: NDArray[np.object_], test: NDArray[np.bool_], y: pd.DataFrame, most: int) -> NDArray[np.intp]:
    known = y.notna().any(axis=1).to_numpy()
    rng = np.random.default_rng(0)
    parts = [rng.permutation(np.flatnonzero(known & (test == part)))[:most] for part in (True, False)]
    return np.sort(np.concatenate(parts))


def _held_out(data: Path) -> Iterator[tuple[str, NDArray[np.object_], NDArray[np.bool_], pd.DataFrame]]:
    """Name, prompts, which of them test, and outcomes by model, of every data set."""
    exams = oc.load(data)
    rows = np.flatnonzero((exams.items.dataset == EXAM) & (exams.items.split != "train"))
    y = pd.DataFrame(exams.scores[rows], columns=exams.models).dropna(axis=1, thresh=len(rows) // 2)
    yield EXAM, exams.items.prompt.to_numpy(object)[rows], (exams.items.split == "test").to_numpy()[rows], y
    log = tables.outcomes(data)
    asked = set(exams.items.question[exams.items.dataset.isin(tables.EXAMS)])
    for use in ("train", "measure"):
        items = tables.items(data, use)
        keyed = items.assign(key=items.prompt.map(question_key))
        groups = np.where(keyed.key.isin(asked), "", tables.joined(keyed))
        bucket = buckets(items.prompt.to_numpy(object), groups)
        items["test"] = bucket < TEST if use == "train" else bucket % 2 == 0
        for dataset, own in items[(bucket < HELD_OUT) | (use == "measure")].groupby("dataset"):
            scores = log[log.item_id.isin(set(own.item_id))]
            y = scores.pivot_table(index="item_id", columns="model", values="score").reindex(own.item_id)
            y = y.loc[:, y.notna().mean() >= 0.3]
            yield f"{dataset}.{use}", own.prompt.to_numpy(object), own.test.to_numpy(bool), y


def gather(weights: str, data: Path) -> tuple[str, list[Log]]:
    """Version of the weights, and all data sets with at least a few known models."""
    scorer = load_scorer(weights, "onnx" if (Path(weights) / "model.onnx").exists() or "/" not in weights else "torch")
    taught = json.loads((open_checkpoint(weights).path / "recipe.json").read_text("utf-8"))["data"]
    kept = Path("runs") / f"selection-{scorer.version}"
    kept.mkdir(parents=True, exist_ok=True)
    found = []
    for name, prompts, test, y in track(list(_held_out(data)), weights, console=Console(stderr=True)):
        profiles = {model: profile for model in y.columns if (profile := tables.registered(model)) is not None}
        rows = _drawn(prompts, test, y, EXAM_PROMPTS if name == EXAM else TRAFFIC_PROMPTS)
        if len(profiles) < FEWEST_MODELS or len(rows) < FEWEST_PROMPTS:
            continue
        file = kept / f"{name}.npy"
        if not file.exists():
            texts = [extract_instruction(prompt)[0] for prompt in prompts[rows]]
            np.save(file, scorer.score(texts, list(profiles.values())).p)
        outcomes = y[list(profiles)].to_numpy(float)[rows]
        found.append(
            Log(
                name,
                list(profiles),
                np.load(file).astype(float),
                outcomes,
                test[rows],
                name.partition(".")[0] in taught,
            )
        )
    return scorer.version, found


SIZES = (2, 5, 10, 20)
DRAWS = 25
"""Pools of each size, of each data set."""
TARGET = 0.8
"""The target that is reported."""
SPREAD, EVIDENCE = 0.5, 2000.0
DOUBT = (20.0, 100.0, 100.0)
"""How far levels of data sets lie apart, in logits, the prompts that the fit counts as, and the
precision with which level, slope and size are drawn towards no correction."""


@dataclass(frozen=True)
class Chosen:
    """What one policy chose of pools of one size, of one data set: P, size of the pool and outcome, one entry each."""

    p: Floats
    pool: Floats
    y: Floats
    met: NDArray[np.bool_]


@cache
def prices(log: Log) -> Floats:
    """USD of 500 tokens in and out by model; of models without a price a draw around what their level costs."""
    listed = listed_prices([model.partition("@")[0] for model in log.models])
    known = [listed.get(model.partition("@")[0]) for model in log.models]
    usd = np.array([np.nan if price is None else (price.input + price.output) * 5e-4 for price in known])
    level, rng = log.p.mean(axis=0), np.random.default_rng(0)
    there = ~np.isnan(usd)
    slope, start = np.polyfit(level[there], np.log(usd[there]), 1) if there.sum() >= 5 else (5.0, -9.0)
    guess = np.exp(start + slope * level + rng.normal(0.0, 1.0, len(level)))
    return np.where(there, usd, guess)


def choose(
    log: Log, test: bool, policy: str, size: int, knob: float, selection: Selection | None = None
) -> Chosen | None:
    """Let a policy choose of random pools, of raw or of corrected P; ``None`` where there are too few models."""
    if size > len(log.models):
        return None
    rng, cost, rows = np.random.default_rng(size), prices(log), log.test == test
    parts = []
    for _ in range(DRAWS):
        columns = rng.choice(len(log.models), size, replace=False)
        p, y, usd = log.p[rows][:, columns], log.y[rows][:, columns], np.broadcast_to(cost[columns], (rows.sum(), size))
        there = ~np.isnan(y)
        pool = there.sum(axis=1)
        keep = pool >= 2
        if selection is not None:
            shift = selection.level + selection.size * np.log(np.maximum(pool, 1))
            p = _sigmoid(shift[:, None] + selection.slope * _logit(p))
        q = np.where(there, p, -1.0)
        if policy == "tradeoff":
            best = np.where(there, q * knob * np.median(cost) - usd, -np.inf).argmax(axis=1)
        else:
            best = q.argmax(axis=1)
        met = q.max(axis=1) >= knob
        if policy == "cheapest":
            best = np.where(met, np.where(there & (q >= knob), usd, np.inf).argmin(axis=1), best)
        at = np.arange(len(q))
        parts.append(Chosen(*(part[keep] for part in (q[at, best], pool.astype(float), y[at, best], met))))
    return Chosen(*(np.concatenate(part) for part in zip(*((c.p, c.pool, c.y, c.met) for c in parts), strict=True)))


KNOBS = {"best": (0.0,), "cheapest": (0.6, 0.75, 0.85), "tradeoff": (10.0, 100.0, 1000.0)}


def fit(logs: list[Log], policy: str) -> Selection:
    """Calibrate the chosen candidate on the validation part: a logistic regression, every data set with its weight.

    Each data set has a level of its own, drawn towards the common one, as which data sets have large pools says nothing
    about pools. What is kept is the common level, the slope and the size.
    """
    logs = [log for log in logs if log.trained]
    x, y, weight = [], [], []
    prior = np.array([*DOUBT, *[1 / SPREAD**2 if len(logs) > 1 else 1e9] * len(logs)])
    traffic = sum(log.name != EXAM for log in logs)
    for number, log in enumerate(logs):
        sizes = [size for size in SIZES if size <= len(log.models)]
        for size in sizes:
            for knob in KNOBS[policy]:
                chosen = choose(log, False, policy, size, knob)
                if chosen is None or not len(chosen.p):
                    continue
                rows = np.zeros((len(chosen.p), 3 + len(logs)))
                rows[:, 0], rows[:, 1], rows[:, 2] = 1.0, _logit(chosen.p), np.log(chosen.pool)
                rows[:, 3 + number] = 1.0
                share = EVIDENCE / 2 if log.name == EXAM else EVIDENCE / 2 / traffic
                x.append(rows)
                y.append(chosen.y)
                weight.append(np.full(len(rows), share / len(sizes) / len(KNOBS[policy]) / len(rows)))
    matrix, outcome, weights = np.concatenate(x), np.concatenate(y), np.concatenate(weight)
    found = _logistic(matrix, outcome, weights, prior)
    if (
        found[2] > 0.0
    ):  # A larger pool never makes its winner more certain: that is chance, and the size counts nothing.
        matrix[:, 2] = 0.0
        found = _logistic(matrix, outcome, weights, prior)
        found[2] = 0.0
    return Selection(*(round(float(value), 4) for value in found[:3]))


def _logistic(x: Floats, y: Floats, weight: Floats, prior: Floats) -> Floats:
    """Weighted logistic regression on outcomes 0..1 with normal priors around no correction, by Newton's method."""
    start = np.zeros(x.shape[1])
    start[1] = 1.0
    beta = start
    for _ in range(8):
        p = _sigmoid(x @ beta)
        gradient = x.T @ (weight * (y - p)) - prior * (beta - start)
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(prior)
        beta = beta + np.linalg.solve(curvature + 1e-9 * np.eye(len(beta)), gradient)
    return beta


def _logit(p: Floats) -> Floats:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def report(logs: list[Log], fitted: Mapping[str, Selection]) -> list[dict[str, object]]:
    """Optimism (mean P minus mean outcome of the chosen) on the test part, before and after, by policy and pool."""
    rows = []
    for policy, knob in (("best", 0.0), ("cheapest", TARGET), ("tradeoff", 100.0)):
        for where in ("exams", "traffic", "never trained"):
            own = [log for log in logs if log.part == where and log.test.sum() >= FEWEST_PROMPTS]
            for size in SIZES if own else ():
                row: dict[str, object] = {"policy": policy, "prompts": where, "pool": size}
                for when, selection in (("before", None), ("after", fitted[policy])):
                    found = [c for log in own if (c := choose(log, True, policy, size, knob, selection)) is not None]
                    found = [c for c in found if len(c.p)]
                    row[when] = float(np.mean([(c.p - c.y).mean() for c in found]))
                    row[f"ece {when}"] = _ece(found)
                    if policy == "cheapest":
                        weight = np.concatenate([c.met / len(c.p) for c in found])
                        row[f"reach {when}"] = float(weight.sum() / len(found))
                        row[f"kept {when}"] = float(np.concatenate([c.y for c in found]) @ weight / weight.sum())
                rows.append(row)
    return rows


def _ece(found: list[Chosen]) -> float:
    """Expected calibration error of the chosen, ten bins, every data set with the same weight."""
    p, y = np.concatenate([c.p for c in found]), np.concatenate([c.y for c in found])
    weight = np.concatenate([np.full(len(c.p), 1 / len(c.p) / len(found)) for c in found])
    bins = np.minimum((p * 10).astype(int), 9)
    return float(sum(abs(((p - y) * weight)[bins == b].sum()) for b in range(10)))


def _show(version: str, rows: list[dict[str, object]], console: Console) -> None:
    table = Table(title=f"{version}: mean P of the chosen minus its outcome, on the test part", title_justify="left")
    columns = ("before", "after", "ece before", "ece after", "reach before", "reach after", "kept before", "kept after")
    for name in ("policy", "prompts", "pool", *columns):
        table.add_column(name, justify="left" if name in ("policy", "prompts") else "right")
    for row in rows:
        cells = (f"{row[c]:+.3f}" if c in ("before", "after") else f"{row[c]:.3f}" if c in row else "" for c in columns)
        table.add_row(str(row["policy"]), str(row["prompts"]), str(row["pool"]), *cells)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="*", help="names of weights, or folders; all that ship if none are given")
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="file that takes the numbers")
    parser.add_argument("--report", action="store_true", help="measure what the file holds, and fit nothing")
    arguments = parser.parse_args()
    stored = json.loads(arguments.output.read_text("utf-8")) if arguments.output.exists() else {}
    for weights in arguments.weights or [folder.name for folder in shipped_folders()]:
        version, logs = gather(weights, arguments.data)
        name = version.partition("@")[0]
        if not arguments.report:
            fitted = {policy: fit(logs, policy) for policy in KNOBS}
            stored[name] = {
                "fitted_to": version,
                "network": open_checkpoint(weights).digests["model.onnx"],
                "policies": {policy: list(selection) for policy, selection in fitted.items()},
            }
            arguments.output.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", "utf-8")
        shipped = {policy: Selection(*numbers) for policy, numbers in stored[name]["policies"].items()}
        _show(version, report(logs, shipped), Console(width=130))


if __name__ == "__main__":
    main()
