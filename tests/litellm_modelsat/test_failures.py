"""Whatever fails, the request is answered: by the second best, by LiteLLM's fallbacks, or unrouted."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.litellm_modelsat.conftest import HEART, NUMBER_THEORY
from tests.litellm_modelsat.proxies import Proxy
from tests.openai_server import OpenAIServer


def test_the_second_best_answers_when_the_best_fails(proxy: Proxy, server: OpenAIServer) -> None:
    server.failures = {"f-physician": 500}
    response = proxy.chat("fragile", HEART)
    assert response.status_code == 200
    assert server.models_called == ["f-physician", "f-mathematician"]
    assert response.headers["x-modelsat-model"] == "openai/f-mathematician"


def test_the_second_best_answers_a_stream(proxy: Proxy, server: OpenAIServer) -> None:
    server.failures = {"f-mathematician": 503}
    response = proxy.chat("fragile", NUMBER_THEORY, stream=True)
    assert response.status_code == 200
    assert server.models_called == ["f-mathematician", "f-physician"]
    assert response.headers["x-modelsat-model"] == "openai/f-physician"


def test_a_model_that_cools_down_is_passed_over_until_it_is_back(proxy: Proxy, server: OpenAIServer) -> None:
    server.failures = {"c-physician": 429}
    assert proxy.chat("cooling", HEART).status_code == 200
    server.reset()
    assert proxy.chat("cooling", HEART).status_code == 200
    assert server.models_called == ["c-mathematician"]


def test_litellms_fallbacks_come_after_the_whole_group(proxy: Proxy, server: OpenAIServer) -> None:
    server.failures = {"x-physician": 500, "x-mathematician": 500}
    response = proxy.chat("failing", HEART)
    assert response.status_code == 200
    assert server.models_called[:2] == ["x-physician", "x-mathematician"]
    assert server.models_called[-1] == "backup"
    assert "x-modelsat-model" not in response.headers


def test_a_request_that_is_wrong_fails_as_it_would_without_routing(proxy: Proxy, server: OpenAIServer) -> None:
    server.failures = {"s-physician": 400}
    response = proxy.chat("single-shot", HEART)
    assert response.status_code == 400
    assert server.models_called == ["s-physician"]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("please raise", "RuntimeError"),
        ("please be nan", "ScoringError"),
        ("please hang", "timeout"),
        ([], "InvalidRequestError"),
        ("", "InvalidRequestError"),
        ([{"type": "text", "text": " "}], "InvalidRequestError"),
        ([{"role": "system", "content": "You are a poet."}], "InvalidRequestError"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}], "InvalidRequestError"),
    ],
    ids=["raises", "nan", "hangs", "no-parts", "empty", "blank", "system-only", "image-only"],
)
def test_a_request_that_cannot_be_scored_is_answered(
    proxy: Proxy, server: OpenAIServer, content: Any, cause: str
) -> None:
    before = proxy.metric("litellm_modelsat_fallbacks_total", group="smart", cause=cause)
    response = proxy.chat("smart", content)
    assert response.status_code == 200, response.text
    assert server.models_called[0] in ("mathematician", "physician")
    assert response.headers["x-modelsat-policy"] == f"none ({cause})"
    assert "x-modelsat-score" not in response.headers
    assert proxy.metric("litellm_modelsat_fallbacks_total", group="smart", cause=cause) == before + 1
    call = response.headers["x-litellm-call-id"]
    assert [line["cause"] for line in proxy.decisions(call_id=call)] == [cause]
    if cause == "timeout":
        turned_away_at_once_and_then_back(proxy, server)


def turned_away_at_once_and_then_back(proxy: Proxy, server: OpenAIServer) -> None:
    """While the pass hangs, nobody waits for it; after it, requests are routed again."""
    started = time.monotonic()
    while (response := proxy.chat("smart", HEART)).headers["x-modelsat-policy"] != "best":
        assert response.status_code == 200
        assert response.headers["x-modelsat-policy"] in ("none (busy)", "none (timeout)")
        assert time.monotonic() - started < 20
    assert response.headers["x-modelsat-model"] == "openai/physician"


def test_a_conversation_of_five_megabytes(proxy: Proxy, server: OpenAIServer) -> None:
    turns = [{"role": "user" if n % 2 == 0 else "assistant", "content": "word " * 10_000} for n in range(101)]
    response = proxy.chat("smart", turns)
    assert response.status_code == 200, response.text[:500]


def test_a_large_image_does_not_reach_the_scorer(proxy: Proxy, server: OpenAIServer) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    response = proxy.chat("smart", [{"type": "text", "text": HEART}, image])
    assert response.status_code == 200
    assert response.headers["x-modelsat-model"] == "openai/physician"
