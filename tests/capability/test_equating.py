from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.capability import CapabilityProfile
from modelsat.capability.ability import (
    FEATURES,
    MAXIMUM_ABILITY,
    abilities,
    shrunk_accuracies,
    statement_features,
)

TASKS = ("GSM8K", "MMLU", "GPQA", "ori_mmlu-anatomy", "quilting")


def profile(*rows: tuple[str, float, int | None]) -> CapabilityProfile:
    return CapabilityProfile(
        model="m", statements=[{"task": task, "accuracy": accuracy, "items": items} for task, accuracy, items in rows]
    )


rows = st.lists(
    st.tuples(st.sampled_from(TASKS), st.floats(0, 1), st.one_of(st.none(), st.integers(1, 10**6))),
    min_size=1,
    max_size=8,
)


@given(rows)
def test_everything_is_finite_and_in_range(figures: list[tuple[str, float, int | None]]) -> None:
    made = profile(*figures)
    placed = abilities(made)
    for values in (placed.raw, placed.error, placed.spread, placed.shrunk):
        assert values.shape == (len(figures),)
        assert np.isfinite(values).all()
    assert abs(placed.level) <= MAXIMUM_ABILITY
    assert ((shrunk_accuracies(made) >= 0.0) & (shrunk_accuracies(made) <= 1.0)).all()
    features = statement_features(made)
    assert features.shape == (len(figures), FEATURES)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


@given(rows, st.randoms())
def test_the_order_of_the_statements_does_not_matter(
    figures: list[tuple[str, float, int | None]], random: object
) -> None:
    order = list(range(len(figures)))
    random.shuffle(order)  # type: ignore[attr-defined]
    made, shuffled = abilities(profile(*figures)), abilities(profile(*(figures[i] for i in order)))
    assert shuffled.level == pytest.approx(made.level, abs=1e-9)
    np.testing.assert_allclose(shuffled.shrunk, made.shrunk[order], atol=1e-9)


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
@pytest.mark.parametrize("task", TASKS)
def test_one_item_right_or_wrong_stays_finite_and_near_the_middle(task: str, accuracy: float) -> None:
    placed = abilities(profile((task, accuracy, 1)))
    assert np.isfinite(placed.raw).all()
    assert abs(placed.level) < 1.0


@given(st.sampled_from(["GSM8K", "MMLU", "ori_mmlu-anatomy"]), st.floats(0.4, 0.95))
def test_fewer_items_draw_a_figure_closer_to_the_level(task: str, accuracy: float) -> None:
    def deviation(items: int) -> float:
        placed = abilities(profile(*[("MMLU-Pro", 0.6, 10_000)] * 10, (task, accuracy, items)))
        gap = placed.raw[-1] - placed.level
        return float((placed.shrunk[-1] - placed.level) / gap) if abs(gap) > 1e-9 else 0.0

    kept = [deviation(items) for items in (2, 20, 200, 20_000)]
    assert all(0.0 <= share <= 1.0 for share in kept)
    assert kept == sorted(kept)


def test_many_items_leave_a_figure_as_it_is() -> None:
    made = profile(("GSM8K", 0.8, 10_000_000), ("MMLU", 0.6, 10_000_000))
    np.testing.assert_allclose(shrunk_accuracies(made), [0.8, 0.6], atol=1e-3)


@pytest.mark.parametrize("task", ["GSM8K", "MMLU", "ori_mmlu-anatomy", "quilting"])
@pytest.mark.parametrize("items", [20, 100, 1000])
def test_a_better_figure_means_more_ability(task: str, items: int) -> None:
    levels = [abilities(profile((task, accuracy, items))).level for accuracy in (0.5, 0.6, 0.7, 0.8, 0.9)]
    assert levels == sorted(levels)
    assert levels[0] < levels[-1]


def test_a_figure_is_read_against_its_task() -> None:
    hard = abilities(profile(("Humanity's Last Exam", 0.26, 1000))).level
    guessing = abilities(profile(("MMLU", 0.26, 1000))).level
    assert hard > guessing
