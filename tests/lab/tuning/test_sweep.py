"""The sweep over a policy's knob chooses as the policy itself does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.lab.tuning.sweep import Family, Pool
from modelsat.policies import Cheapest, Policy, Scored, Tradeoff

SHARES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])
COSTS = st.sampled_from([1e-6, 1e-5, 2e-5, 1e-3, 0.5])


def policy(family: Family, knob: float) -> Policy:
    return Tradeoff(value_per_success=knob) if family == "tradeoff" else Cheapest(target=knob)


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    models, prompts = draw(st.integers(2, 4)), draw(st.integers(1, 4))
    shape = (prompts, models)
    p = np.array(draw(st.lists(SHARES, min_size=prompts * models, max_size=prompts * models))).reshape(shape)
    cost = np.array(draw(st.lists(COSTS, min_size=prompts * models, max_size=prompts * models))).reshape(shape)
    names = draw(st.permutations(["a", "B", "c", "a2"]))[:models]
    return Pool(tuple(names), p, cost)


@given(pools(), st.sampled_from(["tradeoff", "cheapest"]), st.sampled_from([0.25, 0.5, 0.8, 1.0]))
def test_the_sweep_chooses_as_the_policy_does(pool: Pool, family: Family, knob: float) -> None:
    chosen = pool.choose(family, knob)
    for row, column in enumerate(chosen):
        scored = [
            Scored(name, float(p), float(cost))
            for name, p, cost in zip(pool.names, pool.p[row], pool.cost[row], strict=True)
        ]
        assert policy(family, knob).choose(scored).name == pool.names[column]


def test_a_struck_candidate_is_never_chosen() -> None:
    pool = Pool(("a", "b"), np.array([[np.nan, 0.1], [0.9, 0.8]]), np.array([[np.nan, 1.0], [0.1, 0.2]]))
    assert pool.choose("cheapest", 0.5).tolist() == [1, 0]
    assert pool.choose("tradeoff", 100.0).tolist() == [1, 0]


@pytest.mark.parametrize("family", ["tradeoff", "cheapest"])
def test_the_knobs_reach_from_all_cheap_to_all_good(family: Family) -> None:
    rng = np.random.default_rng(0)
    p = np.stack([rng.uniform(0.0, 0.6, 80), rng.uniform(0.6, 1.0, 80)], axis=1)
    pool = Pool(("cheap", "good"), p, np.tile([1e-4, 1e-2], (80, 1)))
    knobs = pool.knobs(family)
    assert (np.diff(knobs) > 0).all()
    chosen = pool.sweep(family, knobs)
    assert (chosen[0] == 0).all()
    assert (chosen[-1] == 1).all()
