"""Who cannot take a request is never first; who must not is never asked. LiteLLM's own rules hold as ever."""

from __future__ import annotations

from tests.litellm_modelsat.conftest import HEART
from tests.litellm_modelsat.proxies import Proxy
from tests.openai_server import OpenAIServer

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
LADDER_KEY = "sk-only-ladder-7c3e5a1b"
SMALL_KEY = "sk-only-small-1f9c2b7d"


def test_an_image_goes_to_a_model_that_sees(proxy: Proxy, server: OpenAIServer) -> None:
    assert proxy.chat("able", "What is in it?").headers["x-modelsat-model"] == "openai/blind"
    response = proxy.chat("able", [{"type": "text", "text": "What is in it?"}, IMAGE])
    assert response.headers["x-modelsat-model"] == "openai/narrow"


def test_an_image_in_anthropics_form(proxy: Proxy, server: OpenAIServer) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [{"type": "text", "text": "What is in it?"}, {"type": "image", "source": source}]
    body = {"model": "able", "max_tokens": 50, "messages": [{"role": "user", "content": content}]}
    assert proxy.post("/v1/messages", body).headers["x-modelsat-model"] == "openai/narrow"


def test_an_image_in_the_form_of_the_responses_api(proxy: Proxy, server: OpenAIServer) -> None:
    parts = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": IMAGE["image_url"]["url"]}]
    body = {"model": "able", "input": [{"role": "user", "content": parts}]}
    assert proxy.post("/v1/responses", body).headers["x-modelsat-model"] == "openai/narrow"


def test_a_long_history_goes_to_a_large_window(proxy: Proxy, server: OpenAIServer) -> None:
    history = [{"role": "user", "content": "word " * 3_000}, {"role": "assistant", "content": "Yes."}]
    response = proxy.chat("able", [*history, {"role": "user", "content": "And what do you make of all that?"}])
    assert response.headers["x-modelsat-model"] == "openai/blind"


def test_tools_go_to_a_model_that_calls_them(proxy: Proxy, server: OpenAIServer) -> None:
    assert proxy.chat("tooled", "Look.").headers["x-modelsat-model"] == "openai/plain"
    before = proxy.metric("litellm_modelsat_excluded_total", group="tooled", reason="ability")
    assert proxy.chat("tooled", "Look.", tools=[TOOL]).headers["x-modelsat-model"] == "openai/handy"
    assert proxy.metric("litellm_modelsat_excluded_total", group="tooled", reason="ability") == before + 1


def test_who_cannot_is_not_first_even_when_scoring_fails(proxy: Proxy, server: OpenAIServer) -> None:
    for _ in range(4):
        response = proxy.chat("tooled", "please raise", tools=[TOOL])
        assert response.headers["x-modelsat-model"] == "openai/handy"


def test_litellms_tags_are_honoured(proxy: Proxy, server: OpenAIServer) -> None:
    for tag, model in (("free", "openai/free"), ("paid", "openai/paid")):
        response = proxy.chat("tagged", HEART, metadata={"tags": [tag]})
        assert response.status_code == 200, response.text
        assert response.headers["x-modelsat-model"] == model


def test_residency_follows_the_key(proxy: Proxy, server: OpenAIServer) -> None:
    assert proxy.chat("placed", HEART).headers["x-modelsat-model"] == "openai/abroad"
    assert proxy.chat("placed", HEART, key=LADDER_KEY).headers["x-modelsat-model"] == "openai/at-home"
    elsewhere = proxy.chat("placed", HEART, key=LADDER_KEY, metadata={"tenant": "another"})
    assert elsewhere.headers["x-modelsat-model"] == "openai/at-home", (
        "what the key says goes before what the caller says"
    )


def test_residency_holds_when_scoring_fails_and_when_the_model_does(proxy: Proxy, server: OpenAIServer) -> None:
    for content in ("please raise", ""):
        proxy.chat("placed", content, metadata={"tenant": "eu-bank"})
    server.failures = {"at-home": 500}
    assert proxy.chat("placed", HEART, metadata={"tenant": "eu-bank"}).status_code == 500
    assert set(server.models_called) == {"at-home"}


def test_a_key_reaches_what_it_may_and_nothing_else(proxy: Proxy, server: OpenAIServer) -> None:
    assert proxy.chat("ladder", "Hello", key=LADDER_KEY).status_code == 200
    assert proxy.chat("small", "Hello", key=SMALL_KEY).status_code == 200
    for group, key in (("ladder", SMALL_KEY), ("smart", LADDER_KEY), ("small", LADDER_KEY)):
        assert proxy.chat(group, "Hello", key=key).status_code in (401, 403)


def test_a_routing_group_takes_the_cheapest_that_is_good_enough(proxy: Proxy, server: OpenAIServer) -> None:
    response = proxy.chat("ladder", "Say hello.")
    assert response.headers["x-modelsat-model"] == "small"
    assert server.models_called == ["gpt-4o-mini"]


def test_the_complexity_router_takes_our_tier(proxy: Proxy, server: OpenAIServer) -> None:
    response = proxy.chat("auto", "Prove that every finite integral domain is a field.")
    assert response.status_code == 200, response.text
    assert server.models_called == ["gpt-4o"]
    assert proxy.decisions(group="auto")[-1]["chosen"] == "large"
