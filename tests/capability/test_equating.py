from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.capability import CapabilityProfile, Registry, equating
from modelsat.capability.equating import (
    FACTORS,
    FEATURES,
    Equated,
    equate,
    expected_accuracy,
    profile_features,
    statement_features,
)

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("MODELSAT_DATA", ROOT.parent / "shared" / "data"))
TASKS = ("GSM8K", "MMLU", "GPQA", "ori_mmlu-anatomy", "stemez-Physics", "AIME", "MBPP", "quilting")

Figure = tuple[str, float, "int | None"]


def profile(*rows: Figure) -> CapabilityProfile:
    return CapabilityProfile(
        model="m", statements=[{"task": task, "accuracy": accuracy, "items": items} for task, accuracy, items in rows]
    )


rows = st.lists(
    st.tuples(st.sampled_from(TASKS), st.floats(0, 1), st.one_of(st.none(), st.integers(1, 10**6))),
    min_size=1,
    max_size=8,
)


@given(rows)
def test_everything_is_finite_and_in_range(figures: list[Figure]) -> None:
    made = profile(*figures)
    placed = equate(made)
    assert placed.factors.shape == (len(FACTORS),)
    assert np.isfinite(placed.factors).all()
    assert np.linalg.eigvalsh(placed.covariance).min() > 0.0
    assert (np.diag(placed.covariance) < 9.0).all()  # contradictory figures: either end of the range
    for values in (placed.expected, placed.shrunk, placed.weight):
        assert values.shape == (len(figures),)
        assert ((values >= 0.0) & (values <= 1.0)).all()
    assert ((placed.error > 0.0) & (placed.error < 1.0)).all()
    features, overall = statement_features(made), profile_features(made)
    assert (features.shape, features.dtype) == ((len(figures), FEATURES), np.float32)
    assert len(overall) >= 2 * len(FACTORS) + 1
    assert overall.dtype == np.float32
    np.testing.assert_allclose(overall[: len(FACTORS)], placed.factors, atol=1e-5)
    assert np.abs(features).max() <= 5.0
    assert np.abs(overall).max() <= 5.0
    assert ((features[:, -1] > 0.0) & (features[:, -1] <= 1.0)).all()


@given(rows, st.randoms())
def test_the_order_of_the_statements_does_not_matter(figures: list[Figure], random: object) -> None:
    order = list(range(len(figures)))
    random.shuffle(order)  # type: ignore[attr-defined]
    made, shuffled = profile(*figures), profile(*(figures[i] for i in order))
    np.testing.assert_allclose(profile_features(shuffled), profile_features(made), atol=1e-5)
    np.testing.assert_allclose(statement_features(shuffled), statement_features(made)[order], atol=1e-5)


@given(rows, st.integers(0, 7), st.floats(0, 1))
def test_raising_one_figure_lowers_no_ability(figures: list[Figure], place: int, other: float) -> None:
    place %= len(figures)
    task, accuracy, items = figures[place]
    low, high = sorted((accuracy, other))
    placed = [equate(profile(*figures[:place], (task, a, items), *figures[place + 1 :])) for a in (low, high)]
    assert (placed[1].factors >= placed[0].factors - 1e-9).all()
    assert placed[1].level >= placed[0].level - 1e-9
    assert expected_accuracy(placed[1], "GPQA")[0] >= expected_accuracy(placed[0], "GPQA")[0] - 1e-3


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
@pytest.mark.parametrize("task", TASKS)
def test_one_item_right_or_wrong_says_little(task: str, accuracy: float) -> None:
    placed = equate(profile((task, accuracy, 1)))
    assert abs(placed.level) < 1.0
    assert np.sqrt(placed.covariance[0, 0]) > 0.6


def test_figures_at_none_and_all_on_few_items_count() -> None:
    for task in ("GSM8K", "MMLU", "stemez-Physics"):
        levels = [equate(profile((task, right / 5, 5))).level for right in range(6)]
        assert np.diff(levels).min() > 0.005, task


@pytest.mark.parametrize("task", ["GSM8K", "MMLU", "stemez-Physics", "AIME"])
def test_more_items_mean_less_doubt(task: str) -> None:
    errors = [np.sqrt(equate(profile((task, 0.6, items))).covariance[0, 0]) for items in (2, 20, 200, 20_000)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1.3 * errors[-1]


def test_more_statements_mean_less_doubt_and_many_of_a_kind_leave_the_rest_open() -> None:
    one = equate(profile(("ori_mmlu-anatomy", 0.5, 20)))
    subjects = [task for task in equating_tasks() if task.startswith("ori_mmlu-")][:40]
    fifty = equate(profile(*((task, 0.5, 20) for task in subjects)))
    assert fifty.covariance[0, 0] < 0.5 * one.covariance[0, 0]
    practice = FACTORS.index("practice")
    assert fifty.covariance[practice, practice] > 0.5


def equating_tasks() -> list[str]:
    from modelsat.capability import catalogue

    return [task.name for task in catalogue().values() if task.known]


@given(st.sampled_from(["GSM8K", "MMLU", "ori_mmlu-anatomy"]), st.floats(0.4, 0.95))
def test_fewer_items_draw_a_figure_closer_to_what_is_expected(task: str, accuracy: float) -> None:
    def kept(items: int) -> float:
        placed = equate(profile(*[("MMLU-Pro", 0.6, 10_000)] * 10, (task, accuracy, items)))
        gap = accuracy - placed.expected[-1]
        return float((placed.shrunk[-1] - placed.expected[-1]) / gap) if abs(gap) > 1e-9 else 0.0

    shares = [kept(items) for items in (2, 20, 200)]
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert shares[0] < 0.9


def test_many_items_leave_a_figure_as_it_is() -> None:
    placed = equate(profile(("GSM8K", 0.8, 10_000_000), ("MMLU", 0.6, 10_000_000)))
    np.testing.assert_allclose(placed.shrunk, [0.8, 0.6], atol=1e-3)


def test_a_figure_is_read_against_its_task() -> None:
    hard = equate(profile(("Humanity's Last Exam", 0.26, 1000))).level
    guessing = equate(profile(("MMLU", 0.26, 1000))).level
    assert hard > guessing + 1.0


def test_an_unknown_task_moves_the_level_a_little() -> None:
    low, high = (equate(profile(("quilting", accuracy, 10_000))).level for accuracy in (0.2, 0.8))
    known_low, known_high = (equate(profile(("MMLU-Pro", accuracy, 10_000))).level for accuracy in (0.2, 0.8))
    assert 0.1 < high - low < 0.6 * (known_high - known_low)


HEADLINE: tuple[Figure, ...] = (
    ("GPQA", 0.6, 198),
    ("MMLU-Pro", 0.75, 1000),
    ("MMLU-Redux", 0.88, 2778),
    ("GSM8K", 0.95, 1319),
    ("MATH level 5", 0.6, 721),
    ("CRUXEval-O", 0.8, 800),
)


def test_a_mistyped_figure_is_found_reported_once_and_hardly_counts(caplog: pytest.LogCaptureFixture) -> None:
    equating._reported.clear()
    right = equate(profile(*HEADLINE))
    assert not right.unlikely.any()
    without = equate(profile(*HEADLINE[:3], *HEADLINE[4:]))
    mistyped = profile(*HEADLINE[:3], ("GSM8K", 0.095, 1319), *HEADLINE[4:])
    with caplog.at_level(logging.WARNING, "modelsat"):
        placed = equate(mistyped)
        equate(mistyped)
    assert placed.unlikely.tolist() == [False, False, False, True, False, False]
    assert placed.weight[3] < 0.05
    assert abs(placed.shrunk[3] - placed.expected[3]) < 0.05
    assert abs(placed.level - without.level) < 0.4
    assert len(caplog.records) == 1
    assert all(part in caplog.text for part in ("m:", "GSM8K", "9.5 %", "expected"))


def test_two_figures_that_disagree_are_both_kept() -> None:
    assert not equate(profile(("GSM8K", 0.02, 1319), ("MMLU", 0.9, 1000))).unlikely.any()


def test_what_a_profile_does_not_say_is_filled_in() -> None:
    placed = equate(profile(*HEADLINE[:-1]))
    mean, low, high = expected_accuracy(placed, "CRUXEval-O")
    assert low < mean < high
    assert abs(mean - 0.8) < 0.1
    wide = expected_accuracy(equate(profile(("MBPP", 0.6, 50))), "CRUXEval-O")
    assert wide[2] - wide[1] > high - low
    assert expected_accuracy(placed, "quilting")[1] >= 0.0


def test_strong_models_come_out_above_small_ones_on_hard_tasks() -> None:
    registry = Registry.default()
    strong = [
        equate(registry.find(name)) for name in ("gpt-5", "gemini-2.5-pro", "deepseek-r1-0528", "claude-sonnet-4")
    ]
    small = [equate(registry.find(name)) for name in ("Qwen3-8B", "Llama-3.1-8B-Instruct", "Qwen2.5-Coder-7B-Instruct")]
    for task in ("GPQA", "Humanity's Last Exam", "MMLU-Pro"):
        assert min(expected_accuracy(m, task)[0] for m in strong) > max(expected_accuracy(m, task)[0] for m in small)
    assert min(m.level for m in strong) > max(m.level for m in small)


def test_fifty_statements_take_milliseconds() -> None:
    made = profile(*((task, 0.5, 20) for task in equating_tasks()[:50]))
    equate(made)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        equate(made)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.01


def test_the_result_is_frozen() -> None:
    placed: Equated = equate(profile(("MMLU", 0.5, 10)))
    with pytest.raises(AttributeError):
        placed.level = 1.0  # type: ignore[misc]


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    pytest.importorskip("torch")
    pytest.importorskip("pandas")
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    yield importlib.import_module("fit_references")
    for name in ("fit_references", "outcomes"):
        sys.modules.pop(name, None)


def test_the_recipe_finds_the_statistics_that_made_the_figures(recipe: ModuleType) -> None:
    rng = np.random.default_rng(0)
    tasks = {f"task {i}": ("knowledge" if i < 4 else "reasoning", (i % 4) - 1.5, (0.8, 1.6)[i % 2]) for i in range(8)}
    rows = []
    for model in range(200):
        general, *own = rng.normal(size=3)
        ability = {f: 0.8 * general + 0.6 * x for f, x in zip(("knowledge", "reasoning"), own, strict=True)}
        for task, (factor, difficulty, slope) in tasks.items():
            p = 1 / (1 + np.exp(difficulty - slope * ability[factor]))
            rows.append((f"model {model}", task, rng.binomial(400, p) / 400, 400.0))
    fitted = recipe.fit(rows, {}, {task: values[0] for task, values in tasks.items()}, set(), steps=60)
    for task, (factor, difficulty, slope) in tasks.items():
        assert fitted.tasks[task][0] == factor
        assert fitted.tasks[task][1:3] == pytest.approx((difficulty, slope), abs=0.4, rel=0.2), task
        assert fitted.tasks[task][3] < 0.02
    assert fitted.correlations["knowledge"] * fitted.correlations["reasoning"] == pytest.approx(0.64, abs=0.2)


def test_hidden_figures_of_the_published_table_are_predicted(recipe: ModuleType) -> None:
    """With the shipped references: each figure from the model's others, beside the mean of its benchmark."""
    if not (DATA / "published_benchmarks.csv").is_file():
        pytest.skip(f"the outcome data are not in {DATA}; set MODELSAT_DATA to their folder")
    table = recipe.oc.published(DATA)
    table = table[table.benchmark.map(lambda name: name in equating_tasks())]
    errors = []
    for _, figures in table.groupby("model"):
        if len(figures) >= 3:
            made = profile(*zip(figures.benchmark, figures.accuracy, figures.n_items.astype(int), strict=True))
            errors += list(np.abs(equate(made).expected - figures.accuracy.to_numpy()))
    usual = (table.accuracy - table.groupby("benchmark").accuracy.transform("mean")).abs().mean()
    assert len(errors) > 500
    assert np.mean(errors) < 0.55 * usual
