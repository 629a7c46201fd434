"""What choosing does to P(success) is corrected before a policy decides; a decision says whether its target is met."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from modelsat import Router
from modelsat.inference import load_scorer
from modelsat.policies import Best, Cheapest, Choice, Scored, Sticky
from modelsat.policies.base import NO_REQUEST, PolicyRequest
from modelsat.router.scoring import Selection, selection_of
from modelsat.storage.checkpoint import SHIPPED, open_checkpoint

NAMES = ["gpt-4o-mini", "gpt-4o", "claude-3-haiku-20240307"]
SHRUNK = Selection(-0.1, 0.9, -0.05)


def entries() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("modelsat.router").joinpath("data", "selection.json").read_text("utf-8"))
    return found


def test_the_numbers_belong_to_the_weights_that_ship() -> None:
    """Weights that change need `python recipes/selection.py`; embeddings of profiles may be renewed."""
    assert entries()[SHIPPED]["network"] == open_checkpoint(SHIPPED).digests["model.onnx"]


@pytest.mark.parametrize("weights", sorted(entries()))
def test_the_order_of_candidates_stays(weights: str) -> None:
    for policy in ("best", "cheapest", "tradeoff", "cascade", "budget"):
        selection = selection_of(f"{weights}@0123456789ab", policy)
        assert selection is not None
        assert selection.slope > 0.0


def test_a_larger_pool_is_corrected_further_and_equal_candidates_count_once() -> None:
    two, three = SHRUNK.correct([0.8, 0.4]), SHRUNK.correct([0.8, 0.4, 0.2])
    assert three[0] < two[0] < 0.8
    assert SHRUNK.correct([0.8, 0.4, 0.4])[:2] == two
    assert SHRUNK.correct([0.8]) == [0.8]
    assert SHRUNK.correct([0.8, 0.8]) == [0.8, 0.8]
    assert SHRUNK.undo(three) == pytest.approx([0.8, 0.4, 0.2])
    assert 0.0 < min(SHRUNK.correct([0.0, 1.0])) < max(SHRUNK.correct([0.0, 1.0])) < 1.0


def test_no_number_is_made_up_for_other_weights_or_policies() -> None:
    class Own:
        name = "best"

        def choose(self, scored: Any, request: PolicyRequest = NO_REQUEST) -> Choice:
            return Choice(scored[0].name, "own")

    assert selection_of("somebody-elses@0123456789ab", Best()) is None
    assert selection_of(f"{SHIPPED}@0123456789ab", Own()) is None
    assert selection_of(f"org/{SHIPPED}@abc", Best()) == selection_of(SHIPPED, "best")
    assert selection_of(SHIPPED, Sticky(Cheapest(0.7))) == selection_of(SHIPPED, "cheapest")


def test_a_router_decides_on_corrected_scores(tmp_path: Path) -> None:
    scorer = load_scorer(SHIPPED)
    router = Router(NAMES, policy="cheapest(target=0.8)", scorer=scorer)
    text = "Prove that the square root of two is irrational."
    raw = scorer.score([text], [candidate.profile for candidate in router.candidates]).p[0].tolist()
    selection = selection_of(scorer.version, "cheapest")
    assert selection is not None
    decision = router.route(text)
    assert [decision.scores[name] for name in NAMES] == pytest.approx(selection.correct(raw))
    assert decision.target_met is (max(decision.scores.values()) >= 0.8)
    with_feedback = Router(NAMES, scorer=scorer, policy="cheapest(target=0.8)", feedback=str(tmp_path / "f.sqlite"))
    assert with_feedback.route(text).scores == decision.scores


def test_whether_the_target_is_met() -> None:
    scored = [Scored("good", 0.9, 2.0), Scored("cheap", 0.7, 1.0)]
    assert Cheapest(0.8).choose(scored).target_met is True
    assert Cheapest(0.95).choose(scored).target_met is False
    assert Best().choose(scored).target_met is None
    sticky = Sticky(Cheapest(0.6), min_gain=0.5)
    assert sticky.choose(scored, PolicyRequest("thread")).name == "cheap"
    kept = sticky.choose([Scored("good", 0.9, 2.0), Scored("cheap", 0.5, 1.0)], PolicyRequest("thread"))
    assert (kept.name, kept.target_met) == ("cheap", False)
