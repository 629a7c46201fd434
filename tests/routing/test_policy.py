"""The policy of the highest probability."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.errors import ConfigurationError
from modelsat.routing.policy import Best, Choice, Policy, Scored, resolve_policy

SCORED = st.lists(
    st.builds(Scored, st.text(min_size=1, max_size=3), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    min_size=1,
    max_size=8,
    unique_by=lambda scored: scored.name,
)


def test_best_says_why() -> None:
    scored = [Scored("a", 0.812), Scored("b", 0.4)]
    assert Best().choose(scored) == Choice("a", "highest P(success) 0.81 of 2 candidates")
    assert Best().choose(scored[:1]) == Choice("a", "the only candidate, P(success) 0.81")


def test_ties_go_to_the_first_name() -> None:
    assert Best().choose([Scored("b", 0.5), Scored("a", 0.5), Scored("c", 0.5)]).name == "a"


@given(SCORED, st.randoms())
def test_the_order_never_matters(scored: list[Scored], random: object) -> None:
    shuffled = list(scored)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Best().choose(shuffled) == Best().choose(scored)
    assert Best().choose(scored).name in {candidate.name for candidate in scored}


def test_resolving() -> None:
    assert resolve_policy("best") == Best()
    own = Best()
    assert resolve_policy(own) is own
    assert isinstance(own, Policy)


@pytest.mark.parametrize("policy", ["cheapst", "", None, 7, Best])
def test_unknown_policies(policy: object) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown policy|needs a name and choose"):
        resolve_policy(policy)  # type: ignore[arg-type]


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="'best'"):
        resolve_policy("cheapst")
