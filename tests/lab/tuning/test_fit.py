"""Fitting a knob to an aim."""

from __future__ import annotations

import numpy as np
import pytest

from modelsat.errors import ConfigurationError
from modelsat.lab.tuning import Aim, Measure
from modelsat.lab.tuning.fit import Evidence, fit
from modelsat.lab.tuning.sweep import Pool

NAMES = ("small", "middle", "large")


def world(prompts: int, seed: int = 0, *, off: float = 0.0) -> tuple[Pool, np.ndarray]:
    """Prompts of varying difficulty; probabilities that are right, or off by a shift of their logit."""
    rng = np.random.default_rng(seed)
    logit = np.array([0.3, 1.2, 2.0]) - rng.normal(0, 1.5, (prompts, 1)) + rng.normal(0, 0.3, (prompts, 3))
    p = 1 / (1 + np.exp(-logit))
    outcomes = (rng.uniform(size=p.shape) < p).astype(float)
    cost = np.array([1e-4, 1e-3, 1e-2]) * rng.uniform(0.5, 1.5, (prompts, 1))
    return Pool(NAMES, 1 / (1 + np.exp(-(logit + off))), cost), outcomes


@pytest.mark.parametrize("family", ["tradeoff", "cheapest"])
@pytest.mark.parametrize(
    ("measure", "value", "scale"),
    [(Measure.KEEP_QUALITY, 0.95, 1.0), (Measure.MAX_USD_PER_1K, 3.0, 10.0), (Measure.STRONG_SHARE, 0.3, 1.0)],
)
def test_it_lands_within_two_points_of_its_aim_on_other_prompts(
    family: str, measure: Measure, value: float, scale: float
) -> None:
    gaps = []
    for seed in range(4):
        pool, outcomes = world(1500, seed)
        other, there = world(4000, 100 + seed)
        found = fit(Evidence.of(pool, outcomes), Aim(measure, value), family)  # type: ignore[arg-type]
        chosen = other.choose(found.family, found.knob)
        rows = np.arange(len(chosen))
        reached = {
            Measure.KEEP_QUALITY: there[rows, chosen].mean() / there[:, 2].mean(),
            Measure.MAX_USD_PER_1K: other.cost[rows, chosen].mean() * 1000,
            Measure.STRONG_SHARE: (chosen == 2).mean(),
        }[measure]
        gaps.append((reached - value) / scale)
        assert found.interval[0] - 0.02 * scale <= reached <= found.interval[1] + 0.02 * scale
    assert np.abs(gaps).mean() < 0.02
    assert abs(np.mean(gaps)) < 0.015


def test_outcomes_correct_predictions_that_are_off() -> None:
    pool, outcomes = world(2000, off=-1.0)
    few = np.where(np.random.default_rng(0).uniform(size=outcomes.shape) < 0.2, outcomes, np.nan)
    plain, corrected = Evidence.of(pool), Evidence.of(pool, few)
    true = outcomes.mean(axis=0)
    assert np.abs(plain.quality.mean(axis=0) - true).max() > 0.1
    assert np.abs(corrected.quality.mean(axis=0) - true).max() < 0.03
    assert corrected.measured == pytest.approx(0.2, abs=0.02)


def test_the_interval_narrows_with_the_number_of_prompts() -> None:
    widths = []
    for prompts in (100, 2000):
        pool, outcomes = world(prompts)
        low, high = fit(Evidence.of(pool, outcomes), Aim(Measure.KEEP_QUALITY, 0.9)).interval
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_same_prompts_give_the_same_fit() -> None:
    pool, outcomes = world(300)
    aim = Aim(Measure.KEEP_QUALITY, 0.95)
    first, second = (fit(Evidence.of(pool, outcomes), aim) for _ in range(2))
    assert (first.knob, first.interval) == (second.knob, second.interval)


@pytest.mark.parametrize(
    ("measure", "value", "message"),
    [
        (Measure.KEEP_QUALITY, 1.3, r"out of reach: .*at most .*% of the best single model's quality.*lower it"),
        (Measure.MAX_USD_PER_1K, 0.01, r"out of reach: the least these prompts can cost is \$0\.\d+ per 1,000"),
    ],
)
def test_an_aim_out_of_reach_says_what_can_be_reached(measure: Measure, value: float, message: str) -> None:
    pool, outcomes = world(300)
    with pytest.raises(ConfigurationError, match=message):
        fit(Evidence.of(pool, outcomes), Aim(measure, value))


def test_a_strong_share_is_out_of_reach_where_the_strong_model_is_the_cheapest() -> None:
    pool, outcomes = world(300)
    with pytest.raises(ConfigurationError, match=r"at least .*% of requests go to the strong model"):
        fit(Evidence.of(Pool(NAMES, pool.p, pool.cost[:, ::-1]), outcomes), Aim(Measure.STRONG_SHARE, 0.01))


@pytest.mark.parametrize(
    ("measure", "value", "message"),
    [
        (Measure.KEEP_QUALITY, 95, r"write 0\.95 for 95 %"),
        (Measure.STRONG_SHARE, 30, r"write 0\.3 for 30 %"),
        (Measure.STRONG_SHARE, 1.2, "from 0 to 1"),
        (Measure.KEEP_QUALITY, 0, "keeps nothing"),
        (Measure.MAX_USD_PER_1K, 0, "no request"),
        (Measure.MAX_USD_PER_1K, -1, "0 or more"),
        (Measure.KEEP_QUALITY, float("nan"), "0 or more"),
        (Measure.KEEP_QUALITY, "0.9", "0 or more"),
    ],
)
def test_aims_that_cannot_be_meant(measure: Measure, value: float, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Aim(measure, value)


def test_too_few_prompts_no_prices_and_strangers_are_refused() -> None:
    pool, outcomes = world(200)
    with pytest.raises(ConfigurationError, match=r"there are 20 prompts: at least 50"):
        Evidence.of(pool.take(np.arange(20)), outcomes[:20])
    blank = pool.cost.copy()
    blank[:, 1] = np.nan
    with pytest.raises(ConfigurationError, match=r"no price is known for middle: give one with --prices"):
        Evidence.of(Pool(NAMES, pool.p, blank), outcomes)
    with pytest.raises(ConfigurationError, match=r"--strong 'gpt' is none of the candidates"):
        Evidence.of(pool, outcomes, "gpt")
    with pytest.raises(ConfigurationError, match="one candidate"):
        Evidence.of(Pool(("a",), pool.p[:, :1], pool.cost[:, :1]))
