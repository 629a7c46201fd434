from __future__ import annotations

import numpy as np
import pytest

from modelsat.lab.evaluation.baselines import (
    MLP,
    Baseline,
    BestSingle,
    Clusters,
    Logistic,
    MatrixFactorisation,
    NearestNeighbours,
    PerTaskBest,
    Slice,
    default_baselines,
    shrunk_means,
)
from modelsat.lab.evaluation.metrics import choose, means, outcomes_of
from tests.lab.evaluation.conftest import make_embeddings, make_table

READERS: list[Baseline] = [NearestNeighbours(), Logistic(), MLP(hidden=16), Clusters(), MatrixFactorisation(rank=2)]


@pytest.fixture(scope="module")
def parts() -> tuple[Slice, Slice, Slice]:
    table = make_table(600)
    whole = Slice(make_embeddings(table), table.tasks, table.scores)
    return whole.take(np.arange(400)), whole.take(np.arange(400, 500)), whole.take(np.arange(500, 600))


def routed(p: np.ndarray, test: Slice) -> float:
    return float(outcomes_of(choose(p, test.scores), test.scores).mean())


@pytest.mark.parametrize("baseline", [*READERS, PerTaskBest()], ids=lambda baseline: baseline.name)
def test_two_kinds_of_questions_are_told_apart(baseline: Baseline, parts: tuple[Slice, Slice, Slice]) -> None:
    train, validation, test = parts
    p = baseline.tuned(train, validation).fit(train)(test)
    assert p.shape == test.scores.shape
    assert (p >= 0).all()
    assert (p <= 1).all()
    assert routed(p, test) > 0.7


@pytest.mark.parametrize("baseline", default_baselines(), ids=lambda baseline: baseline.name)
def test_missing_outcomes_are_no_failures(baseline: Baseline, parts: tuple[Slice, Slice, Slice]) -> None:
    train, _, test = parts
    gaps = np.where(np.random.default_rng(0).random(train.scores.shape) < 0.4, np.nan, train.scores)
    p = baseline.fit(Slice(train.embeddings, train.tasks, gaps))(test)
    np.testing.assert_allclose(p.mean(axis=0), means(test.scores), atol=0.12)


@pytest.mark.parametrize("baseline", default_baselines(), ids=lambda baseline: baseline.name)
def test_a_model_without_outcomes_is_not_guessed(baseline: Baseline, parts: tuple[Slice, Slice, Slice]) -> None:
    train, _, test = parts
    scores = train.scores.copy()
    scores[:, 1] = np.nan
    p = baseline.fit(Slice(train.embeddings, train.tasks, scores))(test)
    assert np.isnan(p[:, 1]).all()
    assert not np.isnan(np.delete(p, 1, axis=1)).any()


@pytest.mark.parametrize(
    "baseline", [b for b in default_baselines() if not b.seeded], ids=lambda baseline: baseline.name
)
def test_what_takes_no_seed_is_deterministic(baseline: Baseline, parts: tuple[Slice, Slice, Slice]) -> None:
    train, _, test = parts
    np.testing.assert_array_equal(baseline.fit(train, 0)(test), baseline.fit(train, 1)(test))


def test_knn_by_hand() -> None:
    angles = np.array([0.0, 0.1, 1.5])
    train = Slice(
        np.stack([np.cos(angles), np.sin(angles)], 1),
        np.array(["t"] * 3, dtype=object),
        np.array([[1.0, 0.0], [np.nan, 1.0], [0.0, 0.0]]),
    )
    p = NearestNeighbours(k=2).fit(train)(train.take(np.array([0])))
    np.testing.assert_allclose(p, [[(1 + 0.5) / 2, (0 + 1 + 1 / 3) / 3]])


def test_more_neighbours_than_prompts_is_all_of_them(parts: tuple[Slice, Slice, Slice]) -> None:
    train, validation, test = parts
    few = train.take(np.arange(4))
    assert NearestNeighbours().tuned(few, validation).fit(few)(test).shape == test.scores.shape


def test_best_single_and_shrinkage_by_hand() -> None:
    scores = np.array([[1.0, np.nan], [0.0, 1.0]])
    train = Slice(np.zeros((2, 1)), np.array(["a", "b"], dtype=object), scores)
    assert BestSingle().fit(train)(train).tolist() == [[0.5, 1.0]] * 2
    np.testing.assert_allclose(shrunk_means(scores, np.array([0.2, 0.4]), 2.0), [1.4 / 4, 1.8 / 3])
    unknown = Slice(np.zeros((1, 1)), np.array(["c"], dtype=object), scores[:1])
    assert PerTaskBest().fit(train)(unknown).tolist() == [[0.5, 1.0]]


def test_soft_outcomes_weigh_in_the_logistic_regression(parts: tuple[Slice, Slice, Slice]) -> None:
    train, _, test = parts
    soft = Slice(train.embeddings, train.tasks, np.where(train.scores > 0.5, 0.7, 0.2))
    p = Logistic(inverse_penalty=10.0).fit(soft)(test)
    np.testing.assert_allclose(p.mean(axis=0), means(soft.scores), atol=0.05)


def test_clusters_know_new_models_from_few_answers(parts: tuple[Slice, Slice, Slice]) -> None:
    """UniRoute: outcomes on forty prompts, clusters of all."""
    train, _, test = parts
    few = np.where((np.arange(len(train)) < 40)[:, None], train.scores, np.nan)
    p = Clusters(k=2).fit(Slice(train.embeddings, train.tasks, few))(test)
    assert routed(p, test) > 0.7
