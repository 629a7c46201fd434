"""Every way into the proxy is routed by content."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.litellm_modelsat.conftest import HEART, NUMBER_THEORY
from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy
from tests.openai_server import OpenAIServer

EXPECTED = [(NUMBER_THEORY, "mathematician"), (HEART, "physician")]


def ask(proxy: Proxy, path: str, body: dict[str, Any], stream: bool) -> tuple[httpx.Headers, str]:
    request = {"model": "smart", **body, **({"stream": True} if stream else {})}
    response = proxy.post(path, request)
    assert response.status_code == 200, response.text
    return response.headers, response.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("prompt", "model"), EXPECTED)
def test_chat(proxy: Proxy, server: OpenAIServer, prompt: str, model: str, stream: bool) -> None:
    headers, text = ask(proxy, "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]}, stream)
    assert server.models_called == [model]
    assert headers["x-modelsat-model"] == f"openai/{model}"
    assert headers["x-modelsat-policy"] == "best"
    assert 0 < float(headers["x-modelsat-score"]) < 1
    assert "speaking" in text
    assert "order" not in server.requests[0]


@pytest.mark.parametrize(("prompt", "model"), EXPECTED)
def test_text_completion(proxy: Proxy, server: OpenAIServer, prompt: str, model: str) -> None:
    headers, _ = ask(proxy, "/v1/completions", {"prompt": prompt}, False)
    assert server.models_called == [model]
    assert headers["x-modelsat-model"] == f"openai/{model}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("prompt", "model"), EXPECTED)
def test_responses(proxy: Proxy, server: OpenAIServer, prompt: str, model: str, stream: bool) -> None:
    headers, text = ask(proxy, "/v1/responses", {"input": prompt, "instructions": "Be brief."}, stream)
    assert server.models_called == [model]
    assert headers["x-modelsat-model"] == f"openai/{model}"
    assert "speaking" in text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("prompt", "model"), EXPECTED)
def test_anthropic_messages(proxy: Proxy, server: OpenAIServer, prompt: str, model: str, stream: bool) -> None:
    body = {"max_tokens": 100, "system": "Be brief.", "messages": [{"role": "user", "content": prompt}]}
    headers, text = ask(proxy, "/v1/messages", body, stream)
    assert server.models_called == [model]
    assert headers["x-modelsat-model"] == f"openai/{model}"
    assert "speaking" in text


def test_each_of_forty_requests_is_answered_by_the_first(proxy: Proxy, server: OpenAIServer) -> None:
    ignored = proxy.metric("litellm_modelsat_outcomes_total", outcome="ignored")
    for _ in range(20):
        for prompt, model in EXPECTED:
            assert proxy.chat("smart", prompt).headers["x-modelsat-model"] == f"openai/{model}"
            assert server.models_called[-1] == model
    assert proxy.metric("litellm_modelsat_outcomes_total", outcome="ignored") == ignored == 0


def test_an_alias_of_a_group_is_routed(proxy: Proxy, server: OpenAIServer) -> None:
    assert proxy.chat("clever", HEART).headers["x-modelsat-model"] == "openai/physician"


def test_other_groups_are_left_as_they_were(proxy: Proxy, server: OpenAIServer) -> None:
    responses = [proxy.chat("unrouted", NUMBER_THEORY) for _ in range(12)]
    assert set(server.models_called) == {"one", "two"}
    assert not any(name.startswith("x-modelsat") for response in responses for name in response.headers)


def test_deployments_of_one_model_share_its_requests(proxy: Proxy, server: OpenAIServer) -> None:
    responses = [proxy.chat("twins", NUMBER_THEORY) for _ in range(16)]
    assert {response.headers["x-modelsat-model"] for response in responses} == {"openai/gpt-4o"}
    assert {response.headers["x-litellm-model-id"] for response in responses} == {"twin-1", "twin-2"}


def test_the_decision_reaches_logging(proxy: Proxy, server: OpenAIServer) -> None:
    response = proxy.chat("smart", HEART)
    [line] = proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    assert line["answered"] == "openai/physician"
    assert line["ranking"] == ["openai/physician", "openai/mathematician"]
    payload = wait_for_payload(proxy, line["id"])
    decision = payload["routing_decision"]
    assert decision["routed_model"] == "openai/physician"
    assert set(decision["scores"]) == {"openai/physician", "openai/mathematician"}
    assert decision["versions"]["weights"].startswith("modelsat-nano@")
    assert payload["spend_logs_metadata"]["modelsat"]["score"] == decision["score"]


def test_log_lines_hold_neither_prompt_nor_key(proxy: Proxy, server: OpenAIServer) -> None:
    response = proxy.chat("smart", "A secret of the coronary arteries")
    lines = json.dumps(proxy.decisions(call_id=response.headers["x-litellm-call-id"]))
    assert "coronary" not in lines
    assert MASTER_KEY not in lines


def test_metrics(proxy: Proxy, server: OpenAIServer) -> None:
    counted = {"group": "smart", "model": "openai/physician", "policy": "best"}
    before = proxy.metric("litellm_modelsat_decisions_total", **counted)
    passes = proxy.metric("litellm_modelsat_scoring_seconds_count")
    response = proxy.chat("smart", HEART)
    proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    assert proxy.metric("litellm_modelsat_decisions_total", **counted) == before + 1
    assert proxy.metric("litellm_modelsat_scoring_seconds_count") > passes
    assert proxy.metric("litellm_modelsat_decision_seconds_count", group="smart") > 0


def wait_for_payload(proxy: Proxy, decision: str) -> dict[str, Any]:
    import time

    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        for payload in proxy.payloads():
            if (payload["routing_decision"] or {}).get("decision_id") == decision:
                return payload
        time.sleep(0.05)
    raise AssertionError(f"decision {decision} did not reach the logging callback")
