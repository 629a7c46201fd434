"""The policies by themselves, and the forms in which they are given."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.errors import AbstainedError, ConfigurationError
from modelsat.policies import (
    Abstain,
    Best,
    Cheapest,
    Choice,
    Knob,
    NearBest,
    Policy,
    PolicyRequest,
    Scored,
    Tradeoff,
    resolve_policy,
)
from modelsat.policies.resolve import spell_policy

SCORED = st.lists(
    st.builds(
        Scored,
        st.text(min_size=1, max_size=3),
        st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        st.none() | st.sampled_from([0.0, 0.001, 0.01]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda scored: scored.name,
)
LADDER = [Scored("large", 0.9, 0.02, 4000), Scored("medium", 0.82, 0.004, 2000), Scored("small", 0.5, 0.0004, 500)]


def test_best_says_why() -> None:
    scored = [Scored("a", 0.812), Scored("b", 0.4)]
    assert Best().choose(scored) == Choice("a", "highest P(success) 0.81 of 2 candidates")
    assert Best().choose(scored[:1]) == Choice("a", "the only candidate, P(success) 0.81")


def test_ties_go_to_the_cheaper_then_to_the_first_name() -> None:
    assert Best().choose([Scored("b", 0.5), Scored("a", 0.5), Scored("c", 0.5)]).name == "a"
    assert Best().choose([Scored("a", 0.5), Scored("b", 0.5, 0.2), Scored("c", 0.5, 0.1)]).name == "c"
    same = [Scored("b", 0.9, 0.1), Scored("a", 0.9, 0.1)]
    for policy in (Best(), Cheapest(), Tradeoff(1.0)):
        assert policy.choose(same).name == "a"


@pytest.mark.parametrize(("target", "chosen"), [(0.4, "small"), (0.8, "medium"), (0.9, "large"), (0.95, "large")])
def test_cheapest_takes_the_cheapest_that_is_good_enough(target: float, chosen: str) -> None:
    assert Cheapest(target).choose(LADDER).name == chosen


def test_cheapest_says_why() -> None:
    assert Cheapest(0.8).choose(LADDER).reason == "cheapest ($0.004) of 2 with P(success) of at least 0.80: 0.82"
    assert Cheapest(0.95).choose(LADDER).reason == "none reaches P(success) 0.95; highest is 0.90, $0.02"


@pytest.mark.parametrize(("value", "chosen"), [(0.001, "small"), (0.05, "medium"), (1.0, "large")])
def test_tradeoff_weighs_value_against_cost(value: float, chosen: str) -> None:
    choice = Tradeoff(value).choose(LADDER)
    assert choice.name == chosen
    assert "net value" in choice.reason


def test_tradeoff_counts_waiting() -> None:
    assert Tradeoff(1.0).choose(LADDER).name == "large"
    assert Tradeoff(1.0, latency_usd_per_s=0.1).choose(LADDER).name == "medium"
    unknown = [Scored("fast", 0.9, 0.01, 100), Scored("unknown", 0.9, 0.01), Scored("slow", 0.95, 0.01, 9000)]
    assert Tradeoff(1.0, latency_usd_per_s=0.1).choose(unknown).name == "fast"


@given(SCORED, st.randoms())
def test_the_order_never_matters(scored: list[Scored], random: Any) -> None:
    shuffled = list(scored)
    random.shuffle(shuffled)
    for policy in (Best(), Cheapest(0.5), Tradeoff(0.01)):
        assert policy.choose(shuffled) == policy.choose(scored)
        assert policy.choose(scored).name in {candidate.name for candidate in scored}


@pytest.mark.parametrize("policy", [Cheapest(0.5), Tradeoff(0.02)])
@given(data=st.data())
def test_a_lower_price_is_never_chosen_less(policy: Policy, data: st.DataObject) -> None:
    scored = data.draw(SCORED)
    chosen = policy.choose(scored).name
    cheaper = [
        Scored(c.name, c.score, c.cost * data.draw(st.floats(0, 1))) if c.name == chosen and c.cost is not None else c
        for c in scored
    ]
    assert policy.choose(cheaper).name == chosen


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("best", Best()),
        (" cheapest ", Cheapest(0.8)),
        ("cheapest(target=0.6)", Cheapest(0.6)),
        ("cheapest(0.6)", Cheapest(0.6)),
        ("tradeoff(value_per_success=0.05)", Tradeoff(0.05)),
        ("tradeoff(0.05, latency_usd_per_s=1)", Tradeoff(0.05, 1.0)),
        ({"name": "cheapest", "target": 0.6}, Cheapest(0.6)),
        ({"name": "tradeoff", "value_per_success": 2}, Tradeoff(2.0)),
    ],
)
def test_forms(given: Any, expected: Policy) -> None:
    resolved = resolve_policy(given)
    assert resolved == expected
    assert isinstance(resolved, Policy)
    assert resolve_policy(spell_policy(resolved)) == expected


def test_an_object_is_the_policy_itself() -> None:
    own = Best()
    assert resolve_policy(own) is own


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("cheapst", "unknown policy 'cheapst'; known policies: 'abstain', 'best', 'budget'"),
        ("", "cannot read the policy"),
        ("cheapest(target=80)", "write 0.8 for 80 %"),
        ("cheapest(target=-0.1)", "from 0 to 1"),
        ("cheapest(target='0.8')", "write 0.8, not '0.8'"),
        ("cheapest(goal=0.8)", "no parameter 'goal'; it takes: target"),
        ("tradeoff", r"needs value_per_success: write tradeoff\(value_per_success=...\)"),
        ("tradeoff('$5')", r"plain number of USD: write 0.05, not '\$5' \(no currency sign"),
        ("tradeoff(0)", "more than 0 USD"),
        ("tradeoff(-1)", "more than 0 USD"),
        ("cheapest(target=__import__('os').getpid())", "cannot read the policy"),
        ("cheapest(target=1+1)", "cannot read the policy"),
        ("best(1)", "cannot read the policy"),
        ("best; best", "cannot read the policy"),
        ("best" * 1000, "at most 1000 characters"),
        ({"target": 0.8}, "a policy needs a name"),
        ({"name": "best", "target": 0.8}, "no parameter 'target'; it takes: no parameters"),
        (None, "needs a name and choose"),
        (7, "needs a name and choose"),
        (Best, "needs a name and choose"),
        ("missing.json", "cannot read the policy file from missing.json"),
    ],
)
def test_refused(policy: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        resolve_policy(policy)


@given(st.text(max_size=60))
def test_any_text_is_a_policy_or_our_own_error(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert isinstance(resolve_policy(text), Policy)


def test_a_policy_of_ones_own_is_spelt_by_its_class() -> None:
    class Mine:
        name = "mine"

        def choose(self, scored: Any, request: PolicyRequest) -> Choice:
            return Choice(scored[0].name, "why not")

    assert spell_policy(Mine())["class"].endswith("Mine")


@given(scored=SCORED, margin=st.sampled_from([0.0, 0.1, 0.3, 1.0]))
def test_near_best_is_never_further_below_the_best_than_its_margin(scored: list[Scored], margin: float) -> None:
    by_name = {candidate.name: candidate for candidate in scored}
    chosen = by_name[NearBest(margin).choose(scored).name]
    near = [entry for entry in scored if entry.score >= max(entry.score for entry in scored) - margin]
    assert chosen in near
    assert all(chosen.cost is not None and chosen.cost <= entry.cost for entry in near if entry.cost is not None)


def test_near_best_moves_with_the_request() -> None:
    assert NearBest(0.1).choose(LADDER).name == "medium"
    assert NearBest().choose(LADDER).name == "large"
    assert NearBest(0.1).choose([Scored("large", 0.3, 0.02), Scored("small", 0.25, 0.0004)]).name == "small"
    assert resolve_policy("near_best(margin=0.05)") == NearBest(0.05)
    assert spell_policy(NearBest(0.05)) == {"name": "near_best", "margin": 0.05}
    with pytest.raises(ConfigurationError, match="margin"):
        NearBest(2)


@given(scored=SCORED, low=st.floats(0, 10), high=st.floats(0, 10))
def test_turning_the_knob_up_lowers_no_probability_and_turning_it_down_raises_no_cost(
    scored: list[Scored], low: float, high: float
) -> None:
    by_name = {candidate.name: candidate for candidate in scored}
    cheap, good = (by_name[Knob(position).choose(scored).name] for position in sorted((low, high)))
    assert cheap.score <= good.score
    if good.cost is not None:
        assert cheap.cost is not None
        assert cheap.cost <= good.cost


def test_the_ends_of_the_knob_are_the_cheapest_and_the_best() -> None:
    assert Knob(0).choose(LADDER).name == Cheapest(0.0).choose(LADDER).name
    assert Knob(10).choose(LADDER).name == Best().choose(LADDER).name
    assert resolve_policy("knob(7)") == Knob(7.0)
    with pytest.raises(ConfigurationError, match="10 at most"):
        Knob(11)


SURE = Scored("sure", 0.6, 0.01, interval=(0.55, 0.65))
UNSURE = Scored("unsure", 0.7, 0.001, interval=(0.3, 0.93))


def test_a_doubtful_candidate_is_left_out_while_another_is_known() -> None:
    choice = Abstain(Best()).choose([UNSURE, SURE])
    assert (choice.name, choice.abstained) == ("sure", False)
    assert choice.excluded["unsure"].reason == "its P(success) is too uncertain: 0.30 to 0.93"


@pytest.mark.parametrize("scored", [[UNSURE], [Scored("poor", 0.2, 0.01)]])
def test_the_router_abstains_where_nobody_is_known_to_be_good_enough(scored: list[Scored]) -> None:
    flagged = Abstain(Best()).choose(scored)
    assert flagged.abstained
    assert flagged.name == scored[0].name
    assert flagged.reason.startswith("not known to be good enough (")
    with pytest.raises(AbstainedError, match="nobody is known to be good enough"):
        Abstain(Best(), then="refuse").choose(scored)


def test_abstain_is_spelt_and_read_back() -> None:
    policy = resolve_policy("abstain(cheapest(target=0.9), least=0.4, then='refuse')")
    assert policy == Abstain(Cheapest(0.9), 0.4, then="refuse")
    assert resolve_policy(spell_policy(policy)) == policy
    for wrong in ("abstain(abstain(best))", "abstain(best, then='shrug')"):
        with pytest.raises(ConfigurationError):
            resolve_policy(wrong)
