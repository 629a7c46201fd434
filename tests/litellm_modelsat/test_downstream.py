"""LiteLLM is asked which deployments its later checks leave, unless none of them can tell one from another."""

from __future__ import annotations

from typing import Any

import litellm
import pytest
from litellm.constants import SESSION_DEPLOYMENT_AFFINITY_TTL_METADATA_KEY
from litellm.integrations.custom_logger import CustomLogger

from litellm_modelsat import reach, versions
from litellm_modelsat import strategy as strategy_module
from litellm_modelsat.versions import TESTED
from tests.litellm_modelsat.conftest import HEART, NUMBER_THEORY, deployment, experts
from tests.litellm_modelsat.test_sdk import Make, make, turn, weights
from tests.openai_server import OpenAIServer

# What LiteLLM and its clients warn about is theirs.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        not versions.was_read(versions.installed()), reason="a LiteLLM that nobody has read is always asked"
    ),
]
__all__ = ["make", "weights"]

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
ASKED = [{"type": "text", "text": HEART}, {"type": "image_url", "image_url": {"url": PIXEL}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
WORK = [
    *turn([{"type": "text", "text": NUMBER_THEORY}]),
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "nothing there"},
]


class Asked:
    """What was said about the later checks, and what LiteLLM left where it was asked."""

    def __init__(self) -> None:
        self.none_filters: list[bool] = []
        self.left: list[set[str]] = []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found, ask = Asked(), reach._healthy

    async def healthy(*arguments: Any) -> list[str]:
        left = await ask(*arguments)
        found.left.append(set(left))
        return left

    monkeypatch.setattr(reach, "_healthy", healthy)
    return found


@pytest.fixture
def always_asked(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """LiteLLM is asked though nothing may filter, so that its answer can be compared."""

    ask = reach.none_filters

    def said(*arguments: Any) -> bool:
        asked.none_filters.append(ask(*arguments))
        return False

    monkeypatch.setattr(reach, "none_filters", said)
    return asked


@pytest.mark.parametrize(
    "request_of",
    [
        {"messages": turn(HEART)},
        {"messages": turn([{"type": "text", "text": HEART}])},
        {"messages": WORK, "tools": [TOOL], "tool_choice": "none"},
        {"messages": turn(HEART), "metadata": {"tags": ["nobody-has-it"]}},
        {"messages": turn(HEART), "stream": True, "temperature": 0.5, "max_tokens": 32},
    ],
    ids=["chat", "parts", "tools", "tags", "stream"],
)
async def test_where_nothing_may_filter_litellm_leaves_all(
    make: Make, server: OpenAIServer, always_asked: Asked, request_of: dict[str, Any]
) -> None:
    router, strategy = make()
    await router.acompletion(model="smart", **request_of)
    everyone = set(strategy.service.groups["smart"]._name_of)
    assert always_asked.none_filters == [True]
    assert always_asked.left == [everyone]


async def test_nor_in_responses_and_messages(make: Make, server: OpenAIServer, always_asked: Asked) -> None:
    router, strategy = make()
    await router.aresponses(model="smart", input=[{"role": "user", "content": HEART}])
    await router.aanthropic_messages(model="smart", messages=turn(HEART), max_tokens=50)
    everyone = set(strategy.service.groups["smart"]._name_of)
    assert always_asked.none_filters == [True, True]
    assert always_asked.left == [everyone, everyone]


async def test_a_plain_request_is_selected_once(make: Make, server: OpenAIServer, asked: Asked) -> None:
    router, _ = make()
    for prompt, model in ((HEART, "physician"), (NUMBER_THEORY, "mathematician")):
        assert (await router.acompletion(model="smart", messages=turn(prompt))).model == model
    assert asked.left == []


async def test_the_check_that_an_auto_router_brings_filters_where_it_is_on(
    make: Make, server: OpenAIServer, asked: Asked
) -> None:
    tiers = dict.fromkeys(("SIMPLE", "MEDIUM", "COMPLEX", "REASONING"), "smart")
    params = {
        "model": "auto_router/complexity_router",
        "complexity_router_config": {"tiers": tiers},
        "complexity_router_default_model": "smart",
    }
    models = [*experts(server.url, "smart"), {"model_name": "auto", "litellm_params": params}]
    router, _ = make(models, groups=["smart"])
    (check,) = {
        id(callback): callback
        for callback in [*litellm.callbacks, *(getattr(router, "_core", router).optional_callbacks or ())]
        if type(callback).__name__ == reach._AFFINITY
    }.values()
    await router.acompletion(model="smart", messages=turn(HEART))
    assert asked.left == []
    check.model_group_affinity_config = {"smart": ["session_affinity"]}
    await router.acompletion(model="smart", messages=turn(HEART))
    assert len(asked.left) == 1
    check.model_group_affinity_config = {}
    entries, own = router.model_list[:2], strategy_module._RANKER
    for marked, alone in ((3600, False), (None, True)):
        kwargs = {"metadata": {SESSION_DEPLOYMENT_AFFINITY_TTL_METADATA_KEY: marked}}
        assert reach.none_filters(router, "smart", entries, turn(HEART), kwargs, own) is alone


class Filter(CustomLogger):
    """Somebody's own filter, which may do anything."""

    async def async_filter_deployments(
        self, model: str, healthy_deployments: list[Any], messages: Any, request_kwargs: Any = None, **_: Any
    ) -> list[Any]:
        return healthy_deployments


@pytest.mark.parametrize(
    ("params", "router"),
    [
        ({"order": 1}, {}),
        ({"tags": ["a"]}, {}),
        ({"tag_regex": ["^User-Agent: x"]}, {}),
        ({}, {"enable_pre_call_checks": True}),
        ({}, {"optional_pre_call_checks": ["session_affinity"]}),
    ],
    ids=["order", "tags", "tag_regex", "pre-call checks", "affinity"],
)
async def test_a_configuration_that_filters_is_asked(
    make: Make, server: OpenAIServer, asked: Asked, params: dict[str, Any], router: dict[str, Any]
) -> None:
    models = experts(server.url, "smart")
    models[0]["litellm_params"].update(params)
    made, _ = make(models, router=router)
    await made.acompletion(model="smart", messages=turn(HEART))
    assert asked.left


async def test_a_filter_behind_ours_is_asked(make: Make, server: OpenAIServer, asked: Asked) -> None:

    router, _ = make()
    litellm.callbacks.insert(0, Filter())
    await router.acompletion(model="smart", messages=turn(HEART))
    assert asked.left == [], "before ours, it has filtered already"
    litellm.callbacks.append(Filter())
    await router.acompletion(model="smart", messages=turn(HEART))
    assert len(asked.left) == 1


async def test_images_are_asked_about(make: Make, server: OpenAIServer, asked: Asked) -> None:
    router, _ = make()
    await router.acompletion(model="smart", messages=turn(ASKED))
    assert asked.left


@pytest.mark.parametrize("key", reach._NARROWS)
async def test_a_request_that_names_deployments_is_asked_about(make: Make, server: OpenAIServer, key: str) -> None:
    router, strategy = make()
    entries, messages = strategy._entries("smart"), turn(HEART)
    own = strategy_module._RANKER
    assert reach.none_filters(router, "smart", entries, messages, {}, own)
    assert not reach.none_filters(router, "smart", entries, messages, {key: ["x"]}, own)
    left = {"metadata": {"_routing_plugin_candidate_models": ["openai/physician"]}}
    assert not reach.none_filters(router, "smart", entries, messages, left, own)


async def test_a_group_with_an_order_of_its_own_is_asked(make: Make, server: OpenAIServer, asked: Asked) -> None:
    models = [deployment(server.url, "a", "openai/gpt-4o"), deployment(server.url, "b", "openai/gpt-4o-mini")]
    places = {"a": 1, "b": 2}
    group = {"group_name": "both", "models": list(places), "routing_strategy": "priority", "model_priorities": places}
    router, _ = make(models, router={"routing_groups": [group]}, groups=["both"])
    await router.acompletion(model="both", messages=turn(HEART))
    assert asked.left


async def test_a_litellm_that_was_not_read_is_asked(
    make: Make, server: OpenAIServer, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_is_read", lambda: False)
    router, _ = make()
    await router.acompletion(model="smart", messages=turn(HEART))
    assert asked.left


def test_which_releases_were_read() -> None:
    assert all(versions.was_read(version) for version in (*TESTED, "1.104.2", "1.110.1"))
    assert not any(versions.was_read(version) for version in ("1.103.9", "1.106.4", "1.110.3", "1.111.0", "2.0.0"))
