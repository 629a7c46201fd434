"""Feedback on answers corrects later decisions, and the options of a router are those of every way in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage

from langchain_modelsat import ModelSATMiddleware
from modelsat import Router, RouterConfig
from modelsat.errors import ConfigurationError, InvalidFeedbackError, UnknownDecisionError
from modelsat.inference.base import ScoreCache
from tests.fakes import FakeScorer, make_profile
from tests.langchain_modelsat.conftest import PROFILES


async def test_bad_feedback_moves_the_choice(make_router: Any, tmp_path: Path) -> None:
    store = tmp_path / "feedback.sqlite"
    router = make_router(feedback=str(store))
    first = await router.ainvoke("Hello")
    assert first.response_metadata["model_name"] == "strong"
    await router.afeedback(first, 0.0, source="judge")
    for _ in range(40):
        answer = router.invoke("Hello")
        router.give_feedback(answer, 0.0 if answer.response_metadata["model_name"] == "strong" else 1.0)
    answer = router.invoke("Hello")
    decision = answer.response_metadata["routing_decision"]
    assert decision["model"] != "strong", "it failed each time"
    assert decision["corrections"]["strong"] < 0
    router.feedback.flush()
    again = make_router(feedback=str(store))
    assert again.invoke("Hello").response_metadata["model_name"] == decision["model"], "what was learnt is kept"


def test_what_feedback_is_on(make_router: Any, tmp_path: Path) -> None:
    router = make_router(feedback=tmp_path / "feedback.sqlite")
    decision = router.selector.invoke("Hello")
    router.give_feedback(decision, 1.0)
    router.give_feedback(router.selector.invoke("Hello").id, 1.0)
    with pytest.raises(UnknownDecisionError):
        router.give_feedback("nobody", 1.0)
    with pytest.raises(InvalidFeedbackError, match="carries no decision"):
        router.give_feedback(AIMessage("Hello"), 1.0)
    with pytest.raises(ConfigurationError, match="keeps no feedback"):
        make_router().give_feedback(decision, 1.0)


def test_an_agents_answers_can_be_judged(chat: Any, fake_scorer: FakeScorer, tmp_path: Path) -> None:
    models = {name: chat(name) for name in PROFILES}
    store = str(tmp_path / "feedback.sqlite")
    middleware = ModelSATMiddleware(models, profiles=PROFILES, scorer=fake_scorer, feedback=store)
    agent = create_agent(chat("unused"), middleware=[middleware])
    answer = agent.invoke({"messages": [("user", "Hello")]})["messages"][-1]
    middleware.router.give_feedback(answer, 1.0)


def test_routers_that_are_configured_at_run_time_share_the_feedback(make_router: Any, tmp_path: Path) -> None:
    router = make_router(feedback=str(tmp_path / "feedback.sqlite"))
    other = router.model_copy(update={"policy": "cheapest(target=0.0)", "fallback": "weak"})
    assert other.feedback is router.feedback


def test_scores_are_kept(make_router: Any) -> None:
    scorer, cache = FakeScorer(), ScoreCache(size=8)
    router = make_router(scorer=scorer, score_cache=cache)
    for _ in range(3):
        router.invoke("Hello")
    assert (len(scorer.calls), cache.counts) == (1, {"hits": 2, "misses": 1})
    scorer.calls.clear()
    anew = make_router(scorer=scorer, score_cache=False)
    for _ in range(2):
        anew.invoke("Hello")
    assert len(scorer.calls) == 2


def test_a_configuration_serves_every_way_in(
    make_router: Any, chat: Any, fake_scorer: FakeScorer, tmp_path: Path
) -> None:
    config = RouterConfig(
        policy="cheapest(target=0.0)",
        facts={
            "strong": {"input_usd_per_mtok": 9, "output_usd_per_mtok": 9},
            "middling": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
            "weak": {"input_usd_per_mtok": 2, "output_usd_per_mtok": 2},
        },
        scorer=fake_scorer,
        cache=False,
        feedback={"store": str(tmp_path / "feedback.sqlite"), "keep_prompts": True},
    )
    router = make_router(config=config)
    for _ in range(2):
        decision = router.invoke("Hello").response_metadata["routing_decision"]
        assert (decision["model"], decision["policy"]) == ("middling", "cheapest")
    assert len(fake_scorer.calls) == 2
    assert make_router(config=config, policy="best").selector.invoke("Hello").policy == "best"
    middleware = ModelSATMiddleware({name: chat(name) for name in PROFILES}, profiles=PROFILES, config=config)
    assert middleware.router.selector.invoke("Hello").model == "middling"
    assert Router([make_profile(name) for name in config.facts], config).route("Hello").model == "middling"
