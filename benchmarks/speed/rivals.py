"""Other ways to route on the yardstick's own embeddings, each a function from a prompt to the name of a choice.

They are here for their time, which depends on shapes and not on what was learnt: stored embeddings and outcomes are
random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sentence_transformers import SentenceTransformer

from modelsat.cli.bench import prompt
from modelsat.lab.evaluation.baselines import MatrixFactorisation, NearestNeighbours, Predictor, Slice

STORED = 10_000
"""Prompts with known outcomes that kNN searches."""
UTTERANCES = 10
"""Example utterances of a route of semantic-router."""

NAMES = ("semantic-router", "kNN", "matrix factorisation")

Chooser = Callable[[str], str]


def _outcomes(encoder: SentenceTransformer, rows: int, models: int) -> Slice:
    """Prompts as embeddings of length 1, and who answered them well."""
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(rows, encoder.encode("width").shape[0])).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Slice(embeddings, np.array(["any"] * rows, dtype=object), rng.integers(0, 2, (rows, models)).astype(float))


def _chooser(encoder: SentenceTransformer, predict: Predictor, names: Sequence[str]) -> Chooser:
    nothing = np.full((1, len(names)), np.nan)
    task = np.array(["any"], dtype=object)

    def choose(text: str) -> str:
        embedding = encoder.encode([text], normalize_embeddings=True)
        return names[int(predict(Slice(embedding, task, nothing)).argmax())]

    return choose


def nearest(encoder: SentenceTransformer, names: Sequence[str]) -> Chooser:
    """kNN: the model that did best on the 40 most similar of the stored prompts."""
    return _chooser(encoder, NearestNeighbours(k=40).fit(_outcomes(encoder, STORED, len(names))), names)


def factorisation(encoder: SentenceTransformer, names: Sequence[str]) -> Chooser:
    """RouteLLM's matrix factorisation: a vector for each model, a linear map of the embedding."""
    return _chooser(encoder, MatrixFactorisation().fit(_outcomes(encoder, 500, len(names))), names)


def semantic_router(encoder: SentenceTransformer, names: Sequence[str]) -> Chooser | None:
    """aurelio's semantic-router with ten utterances for each model; nothing if it is not installed."""
    try:
        from semantic_router import IndexedRouter, Route
        from semantic_router.encoders import DenseEncoder
    except ImportError:
        return None

    class Shared(DenseEncoder):
        """Encodes with the yardstick."""

        def __call__(self, docs: list[str]) -> list[list[float]]:
            vectors: list[list[float]] = encoder.encode(docs, normalize_embeddings=True).tolist()
            return vectors

    routes = [
        Route(name=name, utterances=[prompt(15, UTTERANCES * index + seed) for seed in range(UTTERANCES)])
        for index, name in enumerate(names)
    ]
    router = IndexedRouter(encoder=Shared(name="yardstick"), routes=routes)
    return lambda text: str(router(text).name)


def all_of_them(encoder: SentenceTransformer, names: Sequence[str]) -> dict[str, Chooser]:
    """Those that are installed, by the name that stands in the table."""
    made = (semantic_router(encoder, names), nearest(encoder, names), factorisation(encoder, names))
    return {name: choose for name, choose in zip(NAMES, made, strict=True) if choose is not None}
