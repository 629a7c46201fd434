"""Every constraint that can be written, through a real proxy: what is forbidden is never asked, whatever fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from modelsat.request import Constraints
from tests.litellm_modelsat.conftest import deployment
from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy
from tests.openai_server import OpenAIServer

ABROAD = {"provider": "acme", "region": "us", "tags": ["old"], "input_usd_per_mtok": 900, "output_usd_per_mtok": 900}
HOME = {"provider": "euro", "region": "eu", "tags": ["gdpr"], "input_usd_per_mtok": 1, "output_usd_per_mtok": 1}
RULES: dict[str, tuple[dict[str, Any], str]] = {
    "allow_models": ({"allow_models": ["openai/home"]}, "model"),
    "deny_models": ({"deny_models": ["openai/abr*"]}, "model"),
    "allow_providers": ({"allow_providers": ["euro"]}, "provider"),
    "deny_providers": ({"deny_providers": ["acme"]}, "provider"),
    "allow_regions": ({"allow_regions": ["eu"]}, "region"),
    "deny_regions": ({"deny_regions": ["us"]}, "region"),
    "require_tags": ({"require_tags": ["gdpr"]}, "tag"),
    "deny_tags": ({"deny_tags": ["old"]}, "tag"),
    "max_usd_per_request": ({"max_usd_per_request": 0.01}, "price"),
    "residency": ({"residency": [{"key": "tenant", "value": "eu-bank", "regions": ["eu"]}]}, "residency"),
}
MESSAGES = {
    "decided": "Hello",
    "the scorer raises": "please raise",
    "the scorer is away": "please be away",
    "no weights": "please lack weights",
    "the scorer exits": "please exit",
    "nothing to score": "",
    "NaN": "please be nan",
    "too slow": "please hang",
}
BANK = {"tenant": "eu-bank"}


@pytest.fixture(scope="module")
def forbidding(provider: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    url = provider.url
    models = [
        deployment(url, name, f"openai/{where}", {"benchmarks": {"MMLU": accuracy}, "facts": facts})
        for name in (*RULES, "nobody")
        for where, accuracy, facts in (("abroad", 0.9, ABROAD), ("home", 0.5, HOME))
    ]
    groups = {name: {"constraints": rules, "fallback": "openai/abroad"} for name, (rules, _) in RULES.items()}
    groups["nobody"] = {"constraints": {"allow_regions": ["mars"]}, "fallback": "openai/abroad"}
    configuration = {
        "model_list": models,
        "router_settings": {"num_retries": 1, "disable_cooldowns": True},
        "litellm_settings": {
            "callbacks": ["prometheus", "litellm_modelsat.proxy.handler"],
            "modelsat": {"scorer": "scripted_scorer.scorer", "timeout_ms": 400, "groups": groups},
        },
        "general_settings": {"master_key": MASTER_KEY},
    }
    with Proxy(tmp_path_factory.mktemp("forbidding"), configuration) as proxy:
        yield proxy


def test_every_constraint_is_here() -> None:
    assert set(RULES) == set(Constraints.model_fields) - {"answer_tokens"}


@pytest.mark.parametrize("rule", RULES)
def test_what_is_forbidden_is_never_asked(forbidding: Proxy, server: OpenAIServer, rule: str) -> None:
    kind = RULES[rule][1]
    before = forbidding.metric("litellm_modelsat_excluded_total", group=rule, reason=kind)
    for content in MESSAGES.values():
        response = forbidding.chat(rule, content, metadata=BANK)
        assert response.status_code == 200, response.text
    assert set(server.models_called) == {"home"}
    assert forbidding.metric("litellm_modelsat_excluded_total", group=rule, reason=kind) == before + len(MESSAGES)
    server.failures = {"home": 500}
    assert forbidding.chat(rule, "Hello", metadata=BANK).status_code == 500
    assert set(server.models_called) == {"home"}, "nor when all that may answer have failed"


@pytest.mark.parametrize("case", MESSAGES)
def test_where_nobody_may_answer_it_is_an_error(forbidding: Proxy, server: OpenAIServer, case: str) -> None:
    response = forbidding.chat("nobody", MESSAGES[case])
    assert response.status_code == 400, response.text
    assert "region us is not among the allowed" in response.text
    assert server.models_called == []
