"""A conversation keeps its model, by LiteLLM's own session fields."""

from __future__ import annotations

from typing import Any

import pytest

from tests.litellm_modelsat.conftest import HEART, NUMBER_THEORY
from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy
from tests.openai_server import OpenAIServer


@pytest.mark.parametrize("how", ["body", "header", "metadata"])
def test_a_session_keeps_its_model(proxy: Proxy, server: OpenAIServer, how: str) -> None:
    def ask(prompt: str, session: str) -> str:
        body: dict[str, Any] = {"model": "talk", "messages": [{"role": "user", "content": prompt}]}
        headers: dict[str, str] = {}
        if how == "body":
            body["litellm_session_id"] = session
        elif how == "header":
            headers["x-litellm-session-id"] = session
        else:
            body["metadata"] = {"session_id": session}
        return proxy.post("/v1/chat/completions", body, MASTER_KEY, **headers).headers["x-modelsat-model"]

    assert ask(HEART, f"one-by-{how}") == "openai/physician"
    assert ask(NUMBER_THEORY, f"one-by-{how}") == "openai/physician"
    assert ask(NUMBER_THEORY, f"two-by-{how}") == "openai/mathematician"


def test_without_a_session_every_request_is_decided_anew(proxy: Proxy, server: OpenAIServer) -> None:
    models = [proxy.chat("talk", prompt).headers["x-modelsat-model"] for prompt in (HEART, NUMBER_THEORY)]
    assert models == ["openai/physician", "openai/mathematician"]


def test_an_agents_calls_within_a_turn_stay_together(proxy: Proxy, server: OpenAIServer) -> None:
    asked = [{"role": "user", "content": HEART}]
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    going_on = [
        *asked,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "ST elevation"},
    ]
    first = proxy.chat("agent", asked, litellm_session_id="s").headers
    second = proxy.chat("agent", going_on, litellm_session_id="s").headers
    assert first["x-modelsat-model"] == second["x-modelsat-model"] == "openai/physician"
    [line] = proxy.decisions(call_id=second["x-litellm-call-id"])
    assert line["policy"] == "sticky"


def test_a_short_reply_inherits_the_need_of_the_conversation(proxy: Proxy, server: OpenAIServer) -> None:
    turns = [{"role": "user", "content": HEART}, {"role": "assistant", "content": "The right coronary artery. Why?"}]
    response = proxy.chat("smart", [*turns, {"role": "user", "content": "Yes, go on."}])
    assert response.headers["x-modelsat-model"] == "openai/physician"
