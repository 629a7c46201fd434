"""Tuning lands on its aim with the shipped weights, on logged outcomes: a small part of the benchmark."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from modelsat.lab.evaluation.costs import costs
from modelsat.lab.evaluation.inputs import listed_prices
from modelsat.lab.outcomes import read_outcomes, split_by_question
from modelsat.lab.tuning import Aim, Measure
from modelsat.lab.tuning.fit import Evidence, fit
from modelsat.lab.tuning.sweep import Pool

DATA = Path(os.environ.get("MODELSAT_DATA", "../shared/data"))
MODELS = ["Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"]
PROMPTS, SPLITS = 1200, 12

pytestmark = pytest.mark.skipif(not (DATA / "items.parquet").exists(), reason=f"no outcomes in {DATA}")


@pytest.fixture(scope="module")
def world() -> tuple[Pool, np.ndarray]:
    """Predictions, costs and outcomes of the classic strong/weak pair on test prompts."""
    from modelsat.capability import Registry
    from modelsat.inference import load_scorer

    table = read_outcomes(DATA / "items.parquet", DATA / "outcomes.parquet")
    rows = split_by_question(table).within(table.of_datasets("mmlu_routellm")).test
    rows = rows[np.argsort([len(prompt) for prompt in table.prompts[rows]], kind="stable")][:PROMPTS]
    columns = table.columns(MODELS)
    scorer, registry = load_scorer(), Registry.default()
    profiles = [registry.find(model) for model in MODELS]
    p = np.concatenate([scorer.score(table.prompts[part].tolist(), profiles).p for part in np.array_split(rows, 5)])
    spent = costs(table, rows, columns, rows, listed_prices(MODELS), {}).expected
    return Pool(tuple(MODELS), p.astype(float), spent), table.scores[np.ix_(rows, columns)].astype(float)


@pytest.mark.parametrize(
    ("measure", "value"), [(Measure.STRONG_SHARE, 0.3), (Measure.STRONG_SHARE, 0.6), (Measure.KEEP_QUALITY, 0.95)]
)
def test_it_lands_within_two_points_on_prompts_left_out(
    world: tuple[Pool, np.ndarray], measure: Measure, value: float
) -> None:
    pool, outcomes = world
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(SPLITS):
        fitted = rng.permutation(len(outcomes)) < len(outcomes) // 2
        found = fit(Evidence.of(pool.take(fitted), outcomes[fitted], MODELS[1]), Aim(measure, value))
        chosen = pool.take(~fitted).choose(found.family, found.knob)
        held = outcomes[~fitted]
        kept = held[np.arange(len(held)), chosen].mean() / held[:, 1].mean()
        gaps.append(((chosen == 1).mean() if measure is Measure.STRONG_SHARE else kept) - value)
    assert abs(np.mean(gaps)) < (0.02 if measure is Measure.STRONG_SHARE else 0.03)
