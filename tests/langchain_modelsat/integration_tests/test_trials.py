"""Shadow, canary and experiment through LangChain, on real clients: who answers, and what is recorded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from typer.testing import CliRunner

from langchain_modelsat import ModelSATRouter
from modelsat.cli import app
from modelsat.feedback import DecisionRecord
from modelsat.feedback.base import thread_key
from modelsat.feedback.sqlite import SQLiteStore
from tests.fakes import FakeScorer
from tests.openai_server import OpenAIServer

Make = Callable[..., ModelSATRouter]
FACTS = {
    "strong": {"input_usd_per_mtok": 10.0, "output_usd_per_mtok": 30.0},
    "middling": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 3.0},
    "weak": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.3},
}
THREADS, TURNS = 60, 2
CHEAPEST = "cheapest(target=0)"


def asked(router: ModelSATRouter) -> list[Any]:
    """Conversations of two turns each, many at a time."""
    requests = [(f"Question {turn}?", f"thread {number}") for number in range(THREADS) for turn in range(TURNS)]
    configs = [RunnableConfig(configurable={"thread_id": thread}, max_concurrency=8) for _, thread in requests]
    answers = router.batch([text for text, _ in requests], config=configs)
    return [(thread, answer) for (_, thread), answer in zip(requests, answers, strict=True)]


def kept(router: ModelSATRouter, path: Path) -> dict[str, DecisionRecord]:
    loop = router.feedback
    assert loop is not None
    loop.flush()
    return {record.id: record for record, _ in SQLiteStore(path).decisions()}


def within_chance(count: int, of: int, share: float) -> bool:
    return bool(abs(count - of * share) < 4 * (of * share * (1 - share)) ** 0.5)


def test_a_shadow_answers_everything_and_the_record_is_of_both(
    make_router: Make, server: OpenAIServer, tmp_path: Path
) -> None:
    path = tmp_path / "feedback.sqlite"
    router = make_router(policy=CHEAPEST, facts=FACTS, shadow="strong", feedback=str(path))
    answers = asked(router)
    assert set(server.models_called) == {"strong"}
    decisions = [answer.response_metadata["routing_decision"] for _, answer in answers]
    assert {(d["model"], d["routed"], d["arm"]) for d in decisions} == {("strong", "weak", "shadow")}
    records = kept(router, path)
    assert len(records) == THREADS * TURNS
    assert {(r.model, r.routed, r.arm) for r in records.values()} == {("strong", "weak", "shadow")}
    report = json.loads(CliRunner().invoke(app, ["report", str(path), "--json"]).output)
    assert report["arms"]["shadow"]["saved"]["value"] > 0
    assert router.invoke("and by the stream?").content == "this is strong speaking to you"
    assert "".join(str(chunk.content) for chunk in router.stream("so?")) == "this is strong speaking to you"


def test_where_routing_fails_the_shadow_answers(make_router: Make, server: OpenAIServer) -> None:
    router = make_router(shadow="middling", scorer=FakeScorer(error=RuntimeError("broken")))
    answer = router.invoke("hello")
    assert (answer.content, server.models_called) == ("this is middling speaking to you", ["middling"])
    assert answer.response_metadata["routing_decision"]["fallback"]


def test_a_canary_is_routed_by_conversation_within_chance(
    make_router: Make, server: OpenAIServer, tmp_path: Path
) -> None:
    path = tmp_path / "feedback.sqlite"
    router = make_router(policy=CHEAPEST, facts=FACTS, shadow="strong", canary=0.25, feedback=str(path))
    by_thread: dict[str, set[str]] = {}
    for thread, answer in asked(router):
        by_thread.setdefault(thread, set()).add(answer.content)
    assert all(len(said) == 1 for said in by_thread.values()), "a conversation stays where it is"
    routed = sum(said == {"this is weak speaking to you"} for said in by_thread.values())
    assert within_chance(routed, THREADS, 0.25)
    assert Counter(server.models_called) == {"weak": routed * TURNS, "strong": (THREADS - routed) * TURNS}
    arms = {record.thread: record.arm for record in kept(router, path).values()}
    expected = {thread_key(t): "canary" if "weak" in next(iter(said)) else "shadow" for t, said in by_thread.items()}
    assert arms == expected


def test_an_experiment_answers_by_the_policy_of_the_conversation(
    make_router: Make, server: OpenAIServer, tmp_path: Path
) -> None:
    path = tmp_path / "feedback.sqlite"
    router = make_router(facts=FACTS, experiment={"a": "best", "b": CHEAPEST}, feedback=str(path))
    asked(router)
    records = kept(router, path).values()
    assert {(r.arm, r.model) for r in records} == {("a", "strong"), ("b", "weak")}
    assert Counter(server.models_called) == Counter(r.model for r in records)
    arms = {record.thread: record.arm for record in records}
    assert within_chance(sum(arm == "a" for arm in arms.values()), THREADS, 0.5)
    assert len(arms) == THREADS


@pytest.mark.parametrize(
    ("options", "problem"), [({"shadow": "nobody"}, "shadow: 'nobody' is none of"), ({"canary": 0.1}, "canary")]
)
def test_a_trial_that_makes_no_sense_stops_the_start(make_router: Make, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        make_router(**options)
