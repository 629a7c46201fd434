"""A loopback provider, and one proxy on it for all tests that do not need their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("litellm", reason="the LiteLLM package needs litellm")
pytest.importorskip("fastapi", reason="the proxy needs litellm[proxy]")

from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy
from tests.openai_server import OpenAIServer

MATHEMATICIAN = {"MATH-500": 0.9, "AIME 2024": 0.6, "MMLU": 0.6, "MedQA": 0.4}
PHYSICIAN = {"MATH-500": 0.5, "AIME 2024": 0.05, "MMLU": 0.85, "MedQA": 0.8}
NUMBER_THEORY = "Find the number of positive integers n below 1000 such that n^2 + n + 41 is divisible by 43."
HEART = "A 62-year-old man has crushing chest pain and ST elevation in leads II, III and aVF. Which artery is occluded?"


@pytest.fixture(scope="session")
def provider() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def server(provider: OpenAIServer) -> OpenAIServer:
    provider.reset()
    return provider


def deployment(url: str, name: str, model: str, said: Any = None, info: Any = None, **params: Any) -> dict[str, Any]:
    """An entry of ``model_list``."""
    own = {**({"modelsat": said} if said else {}), **(info or {})}
    entry = {"model_name": name, "litellm_params": {"model": model, "api_base": url, "api_key": "none", **params}}
    return {**entry, **({"model_info": own} if own else {})}


def experts(url: str, name: str, prefix: str = "") -> list[dict[str, Any]]:
    """Two specialists under one name."""
    return [
        deployment(url, name, f"openai/{prefix}mathematician", MATHEMATICIAN),
        deployment(url, name, f"openai/{prefix}physician", PHYSICIAN),
    ]


def rungs(url: str, name: str) -> list[dict[str, Any]]:
    """Models from small to large under one name; the cheapest reads 8,000 tokens."""
    return [
        deployment(
            url,
            name,
            f"openai/{model}",
            {"MMLU": figure, "MATH-500": figure, "MedQA": figure, "GPQA": figure},
            {
                **priced(price),
                "max_input_tokens": window,
                "max_output_tokens": 8_000,
                "supports_function_calling": True,
            },
        )
        for model, figure, price, window in (
            ("tiny", 0.2, 0.1, 8_000),
            ("small", 0.4, 1, 200_000),
            ("middle", 0.65, 3, 200_000),
            ("large", 0.9, 10, 200_000),
        )
    ]


def priced(usd_per_mtok: float) -> dict[str, float]:
    """Prices as ``model_info`` says them."""
    return {"input_cost_per_token": usd_per_mtok * 1e-6, "output_cost_per_token": usd_per_mtok * 4e-6}


CODING = {"name": "sticky", "inner": "cheapest(target=0)", "per": "turn"}


def configuration(url: str) -> dict[str, Any]:
    """Everything that a proxy can be asked in these tests."""
    blind = {"supports_vision": False, "max_input_tokens": 128_000}
    narrow = {"max_input_tokens": 3_000, "supports_vision": True}
    plain = {"supports_function_calling": False}
    return {
        "model_list": [
            *experts(url, "smart"),
            *experts(url, "talk"),
            *experts(url, "agent"),
            *experts(url, "fragile", "f-"),
            *experts(url, "cooling", "c-"),
            *experts(url, "single-shot", "s-"),
            *experts(url, "failing", "x-"),
            deployment(url, "backup", "openai/backup"),
            deployment(url, "large", "openai/gpt-4o"),
            deployment(url, "small", "openai/gpt-4o-mini"),
            deployment(url, "able", "openai/blind", {"MMLU": 0.9}, blind),
            deployment(url, "able", "openai/narrow", {"MMLU": 0.5}, narrow),
            deployment(url, "tooled", "openai/plain", {"MMLU": 0.9}, plain),
            deployment(url, "tooled", "openai/handy", {"MMLU": 0.5}, {"supports_function_calling": True}),
            deployment(url, "tagged", "openai/free", {"MMLU": 0.3}, tags=["free"]),
            deployment(url, "tagged", "openai/paid", {"MMLU": 0.9}, tags=["paid"]),
            deployment(url, "placed", "openai/abroad", {"MMLU": 0.9}, region_name="us"),
            deployment(url, "placed", "openai/at-home", {"MMLU": 0.5}, region_name="eu"),
            deployment(url, "twins", "openai/gpt-4o", info={"id": "twin-1"}),
            deployment(url, "twins", "openai/gpt-4o", info={"id": "twin-2"}),
            deployment(url, "twins", "openai/gpt-4o-mini", info={"id": "other"}),
            *experts(url, "shadowed"),
            deployment(url, "experiment", "openai/mathematician", MATHEMATICIAN, priced(1)),
            deployment(url, "experiment", "openai/physician", PHYSICIAN, priced(10)),
            deployment(url, "balanced", "openai/mathematician", MATHEMATICIAN, weight=3),
            deployment(url, "balanced", "openai/physician", PHYSICIAN, weight=1),
            *rungs(url, "coding"),
            *rungs(url, "plain-coding"),
            *(
                deployment(url, name, "openai/gpt-5-mini", {"efforts": ["low", "high"]})
                for name in ("thinking", "thrifty")
            ),
            deployment(url, "unrouted", "openai/one"),
            deployment(url, "unrouted", "openai/two"),
            {
                "model_name": "auto",
                "litellm_params": {
                    "model": "auto_router/complexity_router",
                    "complexity_router_config": {
                        "classifier_type": "custom",
                        "classifier_plugin": "litellm_modelsat.proxy.classifier",
                        "tiers": {"SIMPLE": "small", "MEDIUM": "small", "COMPLEX": "large", "REASONING": "large"},
                    },
                    "complexity_router_default_model": "small",
                },
            },
        ],
        "router_settings": {
            "routing_groups": [
                {"group_name": "ladder", "models": ["large", "small"], "routing_strategy": "simple-shuffle"}
            ],
            "fallbacks": [{"failing": ["backup"]}],
            "enable_tag_filtering": True,
            "enable_pre_call_checks": True,
            "num_retries": 2,
            "cooldown_time": 5,
            "model_group_alias": {"clever": "smart"},
        },
        "litellm_settings": {
            "callbacks": ["prometheus", "scripted_payloads.payloads", "litellm_modelsat.proxy.handler"],
            "modelsat": {
                "scorer": "scripted_scorer.scorer",
                "timeout_ms": 400,
                "groups": {
                    **dict.fromkeys(
                        ("smart", "fragile", "cooling", "single-shot", "failing", "able", "tooled", "tagged")
                    ),
                    "twins": {"policy": "best"},
                    "thinking": {"policy": "best"},
                    "thrifty": {"policy": "cheapest(target=0)"},
                    "talk": {"policy": "sticky(best, min_gain=1.0)"},
                    "agent": {"policy": {"name": "sticky", "inner": "best", "per": "turn"}},
                    "ladder": {"policy": "cheapest(target=0.8)"},
                    "shadowed": {"shadow": "openai/mathematician", "canary": 0.3},
                    "balanced": {"shadow": "litellm"},
                    "experiment": {"experiment": {"a": "best", "b": "cheapest(target=0)"}},
                    "coding": {"policy": CODING},
                    "plain-coding": {"policy": CODING, "housekeeping": False, "escalation": False},
                    "placed": {
                        "constraints": {"residency": [{"key": "tenant", "value": "eu-bank", "regions": ["eu"]}]}
                    },
                },
            },
        },
        "general_settings": {
            "master_key": MASTER_KEY,
            "custom_auth": "scripted_keys.authenticate",
        },
    }


@pytest.fixture(scope="session")
def running(provider: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder, given = tmp_path_factory.mktemp("proxy"), configuration(provider.url)
    given["litellm_settings"]["modelsat"]["feedback"] = str(folder / "feedback.sqlite")
    with Proxy(folder, given) as proxy:
        yield proxy


@pytest.fixture
def proxy(running: Proxy, server: OpenAIServer) -> Proxy:
    """The shared proxy, on a provider without a script."""
    return running
