"""What the benchmarks of policies share: pools of models with prices, their outcomes, costs and predictions.

A pool is the models of one data set that have a price in the shipped table, split as everywhere by question text:
``seen`` models trained the router, ``unseen`` ones did not (kNN and MLP are given all of their training outcomes all
the same). Beside the router as it ships stands one that was given its share of these outcomes too, by ``modelsat
feedback import``. The baselines read all-MiniLM-L6-v2 embeddings and learn from training prompts; sizes are tuned on
validation prompts, as in ``modelsat evaluate``. What was computed is kept in a folder, so that a second run is quick.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import outcomes as oc

from modelsat.feedback import Calibrator, Subject, open_store
from modelsat.feedback.outcomes import import_outcomes
from modelsat.inference import load_scorer
from modelsat.lab.evaluation.baselines import MLP, NearestNeighbours, Slice
from modelsat.lab.evaluation.costs import costs
from modelsat.lab.evaluation.inputs import listed_prices, load_embeddings
from modelsat.lab.evaluation.routers import CheckpointRouter
from modelsat.lab.outcomes import OutcomeTable, read_outcomes, split_by_question
from modelsat.lab.tuning.sweep import Pool
from modelsat.request import extract_instruction
from modelsat.storage.checkpoint import open_checkpoint

DATASETS = ("mmlu_pro", "mmlu_routellm", "gsm8k", "gsm8k_routellm", "math_l5", "crux")
ROUTER, KNN, MLP_NAME = "modelsat", "kNN", "MLP"
IMPORTED = "modelsat, outcomes imported"
HISTORY = 20_000
"""Outcomes that are imported at most: what a router reads when it starts."""


@dataclass(frozen=True)
class Part:
    """Prompts of a pool.

    Attributes:
        y: Outcomes, NaN where unknown, shape (prompts, models).
        cost: Expected USD of each request, shape (prompts, models).
        p: P(success) by router, once for each seed, each of shape (prompts, models).
    """

    names: tuple[str, ...]
    y: np.ndarray
    cost: np.ndarray
    p: dict[str, list[np.ndarray]]

    def columns(self, keep: np.ndarray) -> Part:
        names = tuple(np.array(self.names)[keep].tolist())
        p = {router: [run[:, keep] for run in runs] for router, runs in self.p.items()}
        return Part(names, self.y[:, keep], self.cost[:, keep], p)

    def rows(self, keep: np.ndarray) -> Part:
        p = {router: [run[keep] for run in runs] for router, runs in self.p.items()}
        return Part(self.names, self.y[keep], self.cost[keep], p)

    def pool(self, router: str, seed: int = 0) -> Pool:
        """As a policy sees it: a model that has no outcome on a prompt cannot be chosen for it."""
        return Pool(self.names, np.where(np.isnan(self.y), np.nan, self.p[router][seed]), self.cost)


@dataclass(frozen=True)
class ModelPool:
    """One pool.

    Attributes:
        name: Data set and kind of models.
        level: Accuracy of each model on training prompts, shape (models,).
    """

    name: str
    level: np.ndarray
    test: Part


def arguments(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embeddings", type=Path, help="folder of all-MiniLM-L6-v2, or .npy of all items")
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument(
        "--split", choices=("test", "validation"), default="test", help="what is measured on; validation tuned the rest"
    )
    parser.add_argument("--weights", default="modelsat-nano")
    parser.add_argument("--seeds", type=int, default=3, help="fits of the MLP")
    parser.add_argument(
        "--train", type=int, help="at most this many training prompts for the baselines, of each data set"
    )
    parser.add_argument("--cache", type=Path, default=Path("runs/pools"), help="folder of what was computed before")
    return parser


def load_pools(given: argparse.Namespace) -> list[ModelPool]:
    """All pools of the data sets, out of the cache where it has them."""
    given.cache.mkdir(parents=True, exist_ok=True)
    table = read_outcomes(given.data / "items.parquet", given.data / "outcomes.parquet")
    bank = oc.ProfileBank(oc.load(given.data), given.data)
    prices = listed_prices(table.models)
    found: list[ModelPool] = []
    for dataset in given.datasets:
        found += _of_dataset(given, table, bank, prices, dataset)
    return found


def _of_dataset(given, table: OutcomeTable, bank, prices, dataset: str) -> list[ModelPool]:  # noqa: ANN001
    own = split_by_question(table).within(table.of_datasets(dataset))
    columns = np.array([c for c in table.answered(own.train, 0.8) if table.models[c] in prices])
    names = tuple(table.models[column] for column in columns)
    level = np.nanmean(table.scores[np.ix_(own.train, columns)], axis=0)
    asked = own.test if given.split == "test" else own.validation
    rows = asked[~np.isnan(table.scores[np.ix_(asked, columns)]).all(axis=1)]
    spent = costs(table, rows, columns, own.train, prices, {}).expected
    p = {
        ROUTER: [_network(given, table, bank, dataset, rows, columns)],
        IMPORTED: [_with_outcomes(given, table, bank, dataset, own.train, rows, columns)],
    }
    if given.embeddings is not None:
        p |= _baselines(given, table, dataset, own, rows, columns)
    test = Part(names, table.scores[np.ix_(rows, columns)], spent, p)
    unseen = np.isin(names, oc.UNSEEN_MODELS)
    kinds = [("seen models", ~unseen), ("unseen models", unseen)]
    return [ModelPool(f"{dataset}, {kind}", level[keep], test.columns(keep)) for kind, keep in kinds if keep.sum() >= 2]


def _kept(path: Path, compute) -> np.ndarray:  # noqa: ANN001
    if not path.exists():
        np.save(path, np.stack(compute()).astype(np.float32))
    return np.load(path)


def _file(given: argparse.Namespace, what: str) -> Path:
    return given.cache / f"{open_checkpoint(given.weights).version}-{what}-{given.split}.npy"


def _network(given, table, bank, dataset, rows, columns) -> np.ndarray:  # noqa: ANN001
    def compute() -> list[np.ndarray]:
        router = CheckpointRouter.load("", given.weights, lambda _, model: bank.profile(model))
        return [router.predict(table.take(rows, columns))]

    return _kept(_file(given, dataset), compute)[0]


def _with_outcomes(given, table, bank, dataset, train, rows, columns) -> np.ndarray:  # noqa: ANN001
    """Scores corrected by outcomes of training prompts, through a feedback store."""

    def compute() -> list[np.ndarray]:
        scorer, names = load_scorer(given.weights), [table.models[column] for column in columns]
        profiles = {name: bank.profile(name) for name in names}
        chosen = np.random.default_rng(0).permutation(train)[: HISTORY // len(names)]
        answered = [
            (
                text,
                {name: float(y) for name, y in zip(names, table.scores[row, columns], strict=True) if not np.isnan(y)},
            )
            for text, row in zip(_texts(table, chosen), chosen, strict=True)
        ]
        calibrator = Calibrator(quiet=True)
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(Path(folder) / "feedback.sqlite")
            import_outcomes(store, scorer, profiles, answered)
            for observation in store.observations():
                calibrator.observe(observation)
            store.close()
        subjects = [Subject(name, scorer.version, profiles[name].digest) for name in names]
        scores = scorer.score(_texts(table, rows), list(profiles.values()))
        pairs = zip(scores.p.tolist(), scores.by_field(), strict=True)
        return [np.array([calibrator.correct(subjects, *pair) for pair in pairs])]

    return _kept(_file(given, f"imported-{dataset}"), compute)[0]


def _texts(table: OutcomeTable, rows: np.ndarray) -> list[str]:
    return [extract_instruction(prompt)[0] for prompt in table.prompts[rows]]


def _baselines(given, table, dataset, own, rows, columns) -> dict[str, list[np.ndarray]]:  # noqa: ANN001
    train = own.train if given.train is None else np.random.default_rng(0).permutation(own.train)[: given.train]

    def slice_of(which: np.ndarray) -> Slice:
        return Slice(vectors[which], table.tasks[which], table.scores[np.ix_(which, columns)])

    suffix = f"{dataset}-{given.split}-{len(train)}"
    files = {KNN: given.cache / f"knn-{suffix}.npy", MLP_NAME: given.cache / f"mlp-{suffix}-{given.seeds}.npy"}
    if not all(path.exists() for path in files.values()):
        needed = np.concatenate([train, own.validation, rows])
        vectors = load_embeddings(given.embeddings, table.prompts.tolist(), needed)
        learnt, validation, asked = slice_of(train), slice_of(own.validation), slice_of(rows)
        knn = NearestNeighbours().tuned(learnt, validation)
        mlp = MLP().tuned(learnt, validation)
        _kept(files[KNN], lambda: [knn.fit(learnt)(asked)])
        _kept(files[MLP_NAME], lambda: [mlp.fit(learnt, seed)(asked) for seed in range(given.seeds)])
    return {name: list(np.load(path)) for name, path in files.items()}
