"""Shadow, canary and experiment through a real proxy: the user's choice answers, the store says what was decided."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from modelsat.feedback import DecisionRecord
from modelsat.feedback.sqlite import SQLiteStore
from tests.litellm_modelsat.conftest import HEART
from tests.litellm_modelsat.proxies import Proxy
from tests.openai_server import OpenAIServer

THREADS = 40
MATHEMATICIAN, PHYSICIAN = "openai/mathematician", "openai/physician"
FEEDBACK = "/modelsat/feedback"


def ask(proxy: Proxy, group: str, thread: str) -> dict[str, str]:
    """One question about a heart, for which the physician is routed; the headers of the answer."""
    body = {"model": group, "messages": [{"role": "user", "content": HEART}]}
    response = proxy.post("/v1/chat/completions", body, **{"x-litellm-session-id": thread})
    assert response.status_code == 200, response.text
    return dict(response.headers)


def kept(proxy: Proxy, group: str, count: int) -> list[DecisionRecord]:
    """The group's records, once there are that many: they are written a moment later."""
    deadline, found = time.monotonic() + 20, list[DecisionRecord]()
    while time.monotonic() < deadline and len(found) < count:
        store = SQLiteStore(proxy.folder / "feedback.sqlite", create=False)
        found = [record for record, _ in store.decisions() if record.group == group]
        store.close()
        time.sleep(0.1)
    return found


def within_chance(count: int, of: int, share: float) -> bool:
    return bool(abs(count - of * share) < 4 * (of * share * (1 - share)) ** 0.5)


def test_a_shadow_answers_and_a_canary_is_routed(proxy: Proxy, server: OpenAIServer) -> None:
    answered = {f"t{number}": ask(proxy, "shadowed", f"t{number}") for number in range(THREADS)}
    records = kept(proxy, "shadowed", THREADS)
    routed = [record for record in records if record.arm == "canary"]
    assert {(record.arm, record.model, record.routed) for record in records} == {
        ("shadow", MATHEMATICIAN, PHYSICIAN),
        ("canary", PHYSICIAN, ""),
    }
    assert within_chance(len(routed), THREADS, 0.3)
    assert Counter(server.models_called) == {"physician": len(routed), "mathematician": THREADS - len(routed)}
    assert Counter(headers["x-modelsat-model"] for headers in answered.values()) == Counter(r.model for r in records)
    assert ask(proxy, "shadowed", "t0")["x-modelsat-model"] == answered["t0"]["x-modelsat-model"], (
        "a conversation stays where it is"
    )
    assert proxy.chat("shadowed", "please raise").status_code == 200
    assert server.models_called[-1] == "mathematician", "where routing fails, the shadow answers"


def test_litellms_own_strategy_answers_and_the_router_decides_beside_it(proxy: Proxy, server: OpenAIServer) -> None:
    answered = [ask(proxy, "balanced", f"t{number}") for number in range(THREADS)]
    called = Counter(server.models_called)
    assert within_chance(called["mathematician"], THREADS, 0.75), "weights 3 and 1, for LiteLLM's shuffle"
    records = {record.id: record for record in kept(proxy, "balanced", THREADS)}
    assert Counter(record.model for record in records.values()) == {f"openai/{n}": c for n, c in called.items()}
    assert {(record.model, record.routed) for record in records.values()} == {
        (MATHEMATICIAN, PHYSICIAN),
        (PHYSICIAN, ""),
    }
    for headers in answered:
        record = records[headers["x-modelsat-decision"]]
        assert record.model == headers["x-modelsat-model"]
        assert record.probability == pytest.approx(float(headers["x-modelsat-score"]), abs=1e-4)
        assert record.arm == "shadow"
    [line] = proxy.decisions(id=answered[0]["x-modelsat-decision"])
    assert (line["routed"], line["outcome"], line["arm"]) == (PHYSICIAN, "carried_out", "shadow")
    assert "chosen" not in line
    assert proxy.post(FEEDBACK, {"decision_id": line["id"], "score": 1.0}).status_code == 202


def test_an_experiment_decides_each_conversation_by_one_policy(proxy: Proxy, server: OpenAIServer) -> None:
    for number in range(THREADS):
        ask(proxy, "experiment", f"t{number}")
    records = kept(proxy, "experiment", THREADS)
    assert {(record.arm, record.model) for record in records} == {("a", PHYSICIAN), ("b", MATHEMATICIAN)}
    arms = {record.thread: record.arm for record in records}
    assert len(arms) == THREADS
    assert within_chance(Counter(arms.values())["a"], THREADS, 0.5)
    assert Counter(f"openai/{name}" for name in server.models_called) == Counter(r.model for r in records)
