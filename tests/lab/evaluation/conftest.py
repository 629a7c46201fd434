"""A small world whose right answers are known: two kinds of questions, and models that are good at one of them."""

from __future__ import annotations

import numpy as np
import pytest

from modelsat.lab.outcomes import OutcomeTable

MODELS = ("algebra", "coin", "history", "newcomer", "veteran")


def make_table(items: int = 400, dataset: str = "exam", seed: int = 0) -> OutcomeTable:
    """``algebra`` and ``newcomer`` answer the even items, ``history`` and ``veteran`` the odd ones, ``coin`` half."""
    rng = np.random.default_rng(seed)
    kind = np.arange(items) % 2
    right = np.where(rng.random((items, 4)) < (0.9, 0.75, 0.9, 0.75), 1.0, 0.0)
    even, odd = (kind == 0)[:, None] * right, (kind == 1)[:, None] * right
    coin = (rng.random(items) < 0.5) * 1.0
    scores = np.stack([even[:, 0], coin, odd[:, 1], even[:, 2], odd[:, 3]], axis=1)
    return OutcomeTable(
        item_ids=np.array([f"{dataset}/{n}" for n in range(items)], dtype=object),
        datasets=np.array([dataset] * items, dtype=object),
        tasks=np.array([("sums", "kings")[k] for k in kind], dtype=object),
        prompts=np.array([f"{dataset}: {('add', 'who ruled in')[k]} {n}?" for n, k in enumerate(kind)], dtype=object),
        models=MODELS,
        scores=scores.astype(np.float32),
        costs=np.full((items, 5), np.nan, dtype=np.float32),
    )


def make_embeddings(table: OutcomeTable, seed: int = 0) -> np.ndarray:
    """Two clusters, one for each kind of question."""
    rng = np.random.default_rng(seed)
    centre = np.where((table.tasks == "sums")[:, None], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    vectors = centre + 0.1 * rng.normal(size=(len(table), 3))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def table() -> OutcomeTable:
    return make_table()


@pytest.fixture
def embeddings(table: OutcomeTable) -> np.ndarray:
    return make_embeddings(table)
