"""Configurations that people have: key pools, replicas, wildcards, public names, deployments that come and go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from litellm_modelsat import attach
from litellm_modelsat.command import check
from litellm_modelsat.deployments import read_deployment, refusals
from litellm_modelsat.requests import conversation_of, session_of
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.errors import ConfigurationError
from modelsat.policies import Best, Sticky
from tests.fakes import FakeScorer
from tests.litellm_modelsat.conftest import deployment, experts
from tests.openai_server import OpenAIServer

# What LiteLLM and its clients warn about is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")

URL = "http://127.0.0.1:9/v1"
SCRIPTED = FakeScorer({0.9: 0.9, 0.3: 0.3})
"""A model's P(success) is its figure."""


def pool(name: str, *models: str, **info: Any) -> list[dict[str, Any]]:
    """Deployments under one name, as somebody writes them who thinks of keys and machines, not of routing."""
    return [deployment(URL, name, model, info=info or None, rpm=10 + n) for n, model in enumerate(models)]


LEFT_ALONE = {
    "keys of one model": pool("gpt", "openai/gpt-4o", "openai/gpt-4o"),
    "one model in two clouds": pool("gpt", "openai/gpt-4o", "azure/gpt-4o-2024-08-06"),
    "wildcards": pool("openai/*", "openai/*", "openai/*"),
    "a wildcard for all": pool("*", "openai/*", "anthropic/*"),
    "private replicas": pool("house", "hosted_vllm/our-8b", "hosted_vllm/our-8b"),
    "embeddings": pool("vectors", "openai/text-embedding-3-small", "openai/text-embedding-3-large"),
    "private embeddings": pool("vectors", "hosted_vllm/bge", "hosted_vllm/other", mode="embedding"),
    "rerankers": pool("order", "cohere/rerank-v3.5", "cohere/rerank-english-v3.0"),
    "images": pool("draw", "openai/dall-e-3", "openai/gpt-image-1"),
    "audio": pool("hear", "openai/whisper-1", "openai/gpt-4o-transcribe"),
    "speech": pool("say", "openai/tts-1", "openai/tts-1-hd"),
    "a fine-tuned model twice": pool("tuned", *["openai/ft:gpt-4o-mini-2024-07-18:acme::a1"] * 2),
}


def checked(tmp_path: Path, model_list: list[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    file = tmp_path / "config.yaml"
    router: dict[str, Any] = {"routing_strategy": "modelsat", "routing_strategy_args": arguments}
    file.write_text(yaml.safe_dump({"model_list": model_list, "router_settings": router}), "utf-8")
    return check(file)


@pytest.mark.parametrize("kind", LEFT_ALONE)
def test_with_the_strategy_for_all_a_group_with_nothing_to_choose_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.INFO, "modelsat")
    entries = LEFT_ALONE[kind]
    derived = checked(tmp_path, [*experts(URL, "smart"), *entries])
    assert list(derived["litellm_settings"]["modelsat"]["groups"]) == ["smart"]
    name = entries[0]["model_name"]
    lines = [record for record in caplog.records if f"{name!r} is left alone" in record.getMessage()]
    assert [record.levelname for record in lines] == ["INFO"], caplog.text


@pytest.mark.parametrize("kind", LEFT_ALONE)
def test_with_nothing_else_the_proxy_starts_all_the_same_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    derived = checked(tmp_path, LEFT_ALONE[kind])
    assert derived["router_settings"]["routing_strategy"] == "simple-shuffle"
    assert "litellm_settings" not in derived
    assert "nothing is routed" in caplog.text


def test_a_group_of_unknown_models_is_left_alone_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = pool("mixed", "hosted_vllm/our-8b", "openai/gpt-4o")
    derived = checked(tmp_path, [*experts(URL, "smart"), *entries])
    assert list(derived["litellm_settings"]["modelsat"]["groups"]) == ["smart"]
    [line] = [record for record in caplog.records if "'mixed' is left alone" in record.getMessage()]
    assert line.levelname == "WARNING"
    assert "hosted_vllm/our-8b" in line.getMessage()
    derived = checked(tmp_path, entries, unknown_models="mean")
    assert list(derived["litellm_settings"]["modelsat"]["groups"]) == ["mixed"]


def test_regions_of_one_model_are_a_choice_where_constraints_choose(tmp_path: Path) -> None:
    entries = [
        deployment(URL, "gpt", "azure/gpt-4o", region_name="eu"),
        deployment(URL, "gpt", "azure/gpt-4o", region_name="us"),
    ]
    rule = {"residency": [{"key": "tenant", "value": "bank", "regions": ["eu"]}]}
    derived = checked(tmp_path, entries, constraints=rule)
    assert list(derived["litellm_settings"]["modelsat"]["groups"]) == ["gpt"]


def test_what_is_said_about_models_goes_to_the_groups_that_have_them(tmp_path: Path) -> None:
    entries = [*pool("a", "openai/x", "openai/gpt-4o"), *pool("b", "openai/y", "openai/gpt-4o")]
    said = {"openai/x": {"MMLU": 0.4}, "openai/y": {"MMLU": 0.5}}
    groups = checked(tmp_path, entries, models=said)["litellm_settings"]["modelsat"]["groups"]
    assert {name: list(group["models"]) for name, group in groups.items()} == {"a": ["openai/x"], "b": ["openai/y"]}
    with pytest.raises(ConfigurationError, match=r"routing_strategy_args\.models\.openai/z: no deployment"):
        checked(tmp_path, entries, models={**said, "openai/z": {"MMLU": 0.5}})


@pytest.fixture
def callbacks() -> Iterator[None]:
    import litellm

    yield
    litellm.callbacks = []


def known(name: str) -> CapabilityProfile:
    return Registry.default().find(name)


def attached(models: list[dict[str, Any]], **kwargs: Any) -> tuple[Any, Any]:
    import litellm

    router = litellm.Router(model_list=models, num_retries=0)
    return router, attach(router, **{"scorer": FakeScorer(), "timeout_ms": 5000, **kwargs})


def test_the_sdk_leaves_them_alone_too(callbacks: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "modelsat")
    _, strategy = attached([*experts(URL, "smart"), *LEFT_ALONE["keys of one model"], *LEFT_ALONE["embeddings"]])
    assert list(strategy.service.groups) == ["smart"]
    assert "'gpt' is left alone" in caplog.text


def test_capability_is_that_of_the_model_behind_a_public_name(callbacks: None) -> None:
    with pytest.raises(ConfigurationError, match=r"no capability profile is known for .*acme/house-8b"):
        attached(pool("gpt-4o", "hosted_vllm/acme/house-8b", "openai/gpt-4o-mini"), groups=["gpt-4o"])
    entries = pool("gpt-4o", "hosted_vllm/acme/house-8b", "openai/gpt-4o-mini")
    entries[0]["model_info"] = {"modelsat": {"benchmarks": {"MMLU": 0.6}}}
    _, strategy = attached(entries, groups=["gpt-4o"])
    house, mini = strategy.service.groups["gpt-4o"].router.candidates
    assert [statement.accuracy for statement in house.profile.statements] == [0.6]
    assert mini.profile == known("gpt-4o-mini")


@pytest.mark.parametrize("model", ["azure/prod-x", "bedrock/arn:aws:bedrock:eu-west-1:1:provisioned-model/abc"])
def test_a_name_that_says_nothing_is_taken_for_the_public_one_with_a_warning(
    callbacks: None, caplog: pytest.LogCaptureFixture, model: str
) -> None:
    entries = [*pool("gpt-4o", model), *pool("gpt-4o-mini", "openai/gpt-4o-mini")]
    import litellm

    groups = [{"group_name": "smart", "models": ["gpt-4o", "gpt-4o-mini"], "routing_strategy": "simple-shuffle"}]
    router = litellm.Router(model_list=entries, routing_groups=groups)
    strategy = attach(router, groups=["smart"], scorer=FakeScorer())
    candidates = {c.name: c for c in strategy.service.groups["smart"].router.candidates}
    assert candidates["gpt-4o"].profile == known("gpt-4o")
    assert candidates["gpt-4o"].facts.input_usd_per_mtok == pytest.approx(2.5)
    assert f"the name of model_list[0] ({model!r}) does not say which model it is: assumed 'gpt-4o'" in caplog.text


def test_a_fine_tuned_model_is_taken_for_its_base_at_its_own_price(
    callbacks: None, caplog: pytest.LogCaptureFixture
) -> None:
    _, strategy = attached(
        pool("smart", "openai/ft:gpt-4o-mini-2024-07-18:acme::a1", "openai/gpt-4o"), groups=["smart"]
    )
    tuned = strategy.service.groups["smart"].router.candidates[0]
    assert (tuned.profile, tuned.facts.input_usd_per_mtok) == (known("gpt-4o-mini-2024-07-18"), pytest.approx(0.3))
    assert "assumed 'gpt-4o-mini-2024-07-18'" in caplog.text


def test_a_known_own_name_or_base_model_needs_no_assumption() -> None:
    def assumed(model: str, name: str = "gpt-4o", **info: Any) -> str | None:
        return read_deployment(deployment(URL, name, model, info=info or None), "x").assumed

    assert assumed("azure/prod-x") == "gpt-4o"
    assert assumed("azure/prod-x", base_model="azure/gpt-4o-mini") is None
    assert assumed("azure/gpt-4o-mini") is None
    assert assumed("azure/house-8b") is None
    assert assumed("azure/prod-x", "smart") is None
    assert assumed("hosted_vllm/acme/house-8b") is None
    assert assumed("openai/prod-x") is None


def by_price(entries: list[dict[str, Any]], *prices: float) -> list[dict[str, Any]]:
    for entry, price in zip(entries, prices, strict=True):
        info = entry.setdefault("model_info", {})
        info.update({"input_cost_per_token": price, "output_cost_per_token": price})
    return entries


async def test_a_deployment_changed_in_place_is_read_again(callbacks: None, server: OpenAIServer) -> None:
    from litellm.types.router import Deployment

    entries = by_price(experts(server.url, "smart"), 1e-6, 2e-6)
    for number, entry in enumerate(entries):
        entry["model_info"]["id"] = f"d{number}"
    router, strategy = attached(entries, groups=["smart"], policy="cheapest(target=0)")
    group = strategy.service.groups["smart"]
    question = [{"role": "user", "content": "hi"}]
    assert (await router.acompletion(model="smart", messages=question)).model == "mathematician"
    before = group.router
    assert (await router.acompletion(model="smart", messages=question)).model == "mathematician"
    assert group.router is before, "nothing has changed"
    prices = {"input_cost_per_token": 9e-6, "output_cost_per_token": 9e-6}
    changed = {**entries[0], "model_info": {**entries[0]["model_info"], **prices}}
    changed["litellm_params"] = {**changed["litellm_params"], **prices}
    router.upsert_deployment(Deployment(**changed))
    assert (await router.acompletion(model="smart", messages=question)).model == "physician"
    facts = {c.name: c.facts.input_usd_per_mtok for c in group.router.candidates}
    assert facts == {"openai/mathematician": pytest.approx(9.0), "openai/physician": pytest.approx(2.0)}


async def test_deployments_come_and_go_without_new_weights(
    callbacks: None, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from litellm.types.router import Deployment

    from modelsat import inference

    router, strategy = attached(experts(server.url, "smart"), groups=["smart"], scorer=None)
    group = strategy.service.groups["smart"]
    monkeypatch.setattr(inference, "load_scorer", lambda *_: pytest.fail("weights are loaded once"))
    question = [{"role": "user", "content": "hi"}]
    new = deployment(server.url, "smart", "openai/new", {"MMLU": 0.99, "MATH-500": 0.99, "MedQA": 0.99}, {"id": "new"})
    router.add_deployment(Deployment(**new))
    await router.acompletion(model="smart", messages=question)
    assert "openai/new" in group.names
    router.delete_deployment("new")
    monkeypatch.setattr("litellm_modelsat.group.LOOK_S", 0.0)
    await router.acompletion(model="smart", messages=question)
    assert set(group.names) == {"openai/mathematician", "openai/physician"}
    router.add_deployment(Deployment(**{**new, "model_info": {"id": "other", "modelsat": {"MMLU": 0.2}}}))
    await router.acompletion(model="smart", messages=question)
    assert "openai/new" in group.names, "the same name with other figures, after the first was removed"
    assert strategy.fallbacks == {}


async def test_a_mistake_in_a_changed_deployment_is_logged_and_left_out(
    callbacks: None, server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    from litellm.types.router import Deployment

    entries = experts(server.url, "smart")
    entries[0]["model_info"]["id"] = "d0"
    router, strategy = attached(entries, groups=["smart"])
    changed = {**entries[0], "model_info": {"id": "d0", "modelsat": {"profil": "gpt-4o", "name": "x"}}}
    changed["litellm_params"] = {**changed["litellm_params"], "rpm": 7}
    router.upsert_deployment(Deployment(**changed))
    for _ in range(2):
        await router.acompletion(model="smart", messages=[{"role": "user", "content": "hi"}])
    assert [r.levelname for r in caplog.records if "profil: unknown key" in r.getMessage()] == ["ERROR"]
    assert strategy.fallbacks == {}
    assert len(strategy.service.groups["smart"].names) == 2


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ({"temperature": 0.2}, {"openai/o3", "openai/gpt-5"}),
        ({"temperature": 1}, set()),
        ({"stop": ["END"]}, {"openai/gpt-5"}),
        ({"stop_sequences": ["END"]}, {"openai/gpt-5"}),
        ({"logprobs": True}, {"openai/o3", "openai/gpt-5", "anthropic/claude-sonnet-4-5"}),
        ({"presence_penalty": 0.5}, {"openai/o3", "openai/gpt-5", "anthropic/claude-sonnet-4-5"}),
        ({"seed": 7}, {"anthropic/claude-sonnet-4-5"}),
        ({"n": 2}, {"anthropic/claude-sonnet-4-5"}),
        ({"verbosity": "low"}, {"openai/gpt-4o", "openai/o3", "anthropic/claude-sonnet-4-5"}),
        ({"text": {"verbosity": "low"}}, {"openai/gpt-4o", "openai/o3", "anthropic/claude-sonnet-4-5"}),
        ({"reasoning_effort": "low"}, {"openai/gpt-4o"}),
        ({"temperature": 0.2, "drop_params": True}, set()),
        ({}, set()),
    ],
)
def test_who_refuses_which_parameters(asked: dict[str, Any], refused: set[str]) -> None:
    names = ["openai/gpt-4o", "openai/o3", "openai/gpt-5", "anthropic/claude-sonnet-4-5"]
    entries = [{"litellm_params": {"model": name}, "model_info": {"id": name}} for name in names]
    assert set(refusals(entries, dict(zip(names, names, strict=True)), asked)) == refused


def test_a_parameter_that_all_refuse_strikes_nobody_and_one_that_a_deployment_drops_is_taken() -> None:
    names = {"openai/o3": "o3", "openai/gpt-5": "gpt-5"}
    entries: list[dict[str, Any]] = [{"litellm_params": {"model": name}, "model_info": {"id": name}} for name in names]
    assert refusals(entries, names, {"temperature": 0.2}) == {}
    entries[0]["litellm_params"]["drop_params"] = "true"
    assert set(refusals(entries, names, {"temperature": 0.2})) == {"gpt-5"}
    entries[0]["litellm_params"] = {"model": "openai/o3", "allowed_openai_params": ["temperature"]}
    assert set(refusals(entries, names, {"temperature": 0.2})) == {"gpt-5"}


async def test_a_model_that_refuses_a_parameter_comes_last(callbacks: None, server: OpenAIServer) -> None:
    import litellm

    entries = [
        deployment(server.url, "smart", "openai/o3", {"MMLU": 0.9}),
        deployment(server.url, "smart", "openai/gpt-4o", {"MMLU": 0.3}),
    ]
    router, strategy = attached(entries, groups=["smart"], scorer=SCRIPTED)
    question: dict[str, Any] = {"model": "smart", "messages": [{"role": "user", "content": "hi"}]}
    assert (await router.acompletion(**question)).model == "o3"
    assert (await router.acompletion(**question, temperature=0.2)).model == "gpt-4o"
    assert router.completion(**question, temperature=0.2).model == "gpt-4o"
    litellm.drop_params = True
    try:
        assert (await router.acompletion(**question, temperature=0.2)).model == "o3"
    finally:
        litellm.drop_params = False
    assert strategy.fallbacks == {}


async def test_what_refuses_a_parameter_stays_forbidden_where_constraints_forbid_it(
    callbacks: None, server: OpenAIServer
) -> None:
    import litellm

    entries = [
        deployment(server.url, "smart", "openai/o3", {"MMLU": 0.9}, region_name="us"),
        deployment(server.url, "smart", "openai/gpt-4o", {"MMLU": 0.3}, region_name="eu"),
    ]
    router, _ = attached(entries, groups=["smart"], scorer=SCRIPTED, constraints={"deny_regions": ["us"]})
    question: dict[str, Any] = {"model": "smart", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.2}
    assert (await router.acompletion(**question)).model == "gpt-4o"
    server.failures = {"gpt-4o": 500}
    with pytest.raises(litellm.InternalServerError):
        await router.acompletion(**question, num_retries=3)
    assert set(server.models_called) == {"gpt-4o"}


async def test_the_answer_limit_is_left_to_litellm_where_it_lowers_it(
    callbacks: None, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import litellm

    entries = [
        deployment(server.url, "smart", "openai/gpt-4o", {"MMLU": 0.9}),
        deployment(server.url, "smart", "openai/wordy", {"MMLU": 0.3}, {"max_output_tokens": 64_000}),
    ]
    router, _ = attached(entries, groups=["smart"], scorer=SCRIPTED)
    question = [{"role": "user", "content": "hi"}]
    answers = {(await router.acompletion(model="smart", messages=question, max_tokens=32_000)).model}
    assert answers == {"wordy"}, "the one that allows it"
    monkeypatch.setattr(litellm, "modify_params", True)
    assert (await router.acompletion(model="smart", messages=question, max_tokens=32_000)).model == "gpt-4o"


def test_sessions_of_coding_agents_and_their_providers() -> None:
    user = {"user_id": '{"device_id": "d", "account_uuid": "", "session_id": "s1"}'}
    found = [
        session_of({"prompt_cache_key": "s1"}, {}),
        session_of({"proxy_server_request": {"headers": {"x-session-affinity": "s1"}}}, {}),
        session_of({"proxy_server_request": {"headers": {"x-opencode-session": "s1"}}}, {}),
        session_of({"extra_headers": {"x-claude-code-session-id": "s1"}}, {}),
        session_of({"metadata": user}, {}),
        session_of({}, {"requester_metadata": user}),
        session_of({"metadata": {"user_id": "user_ab_account__session_s1"}}, {}),
        session_of({"litellm_session_id": "s1", "prompt_cache_key": "other"}, {}),
    ]
    assert len(set(found)) == 1
    assert found[0]
    odd: list[dict[str, Any]] = [
        {"user_id": "{"},
        {"user_id": "{}"},
        {"user_id": "me"},
        {"user_id": 7},
        {"user_id": "[]"},
    ]
    assert [session_of({"metadata": metadata}, {}) for metadata in odd] == [None] * len(odd)


def test_a_system_prompt_beside_the_messages_takes_room() -> None:
    turns = [{"role": "user", "content": "hi"}]
    system = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
    assert conversation_of(turns, {"system": system}) == [{"role": "system", "content": system}, *turns]
    assert conversation_of(None, {"input": "hi", "instructions": "be brief", "litellm_metadata": {}}) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]


async def test_a_conversation_stays_on_its_deployment_while_the_cache_is_warm(
    callbacks: None, server: OpenAIServer
) -> None:
    accounts = [deployment(server.url, "talk", "openai/able", {"MMLU": 0.9}, {"id": f"r{n}"}) for n in range(6)]
    other = deployment(server.url, "talk", "openai/other", {"MMLU": 0.3}, {"id": "o"})
    now = [0.0]
    policy = Sticky(Best(), min_gain=1.0, cache_s=300, clock=lambda: now[0])
    router, strategy = attached([*accounts, other], groups=["talk"], policy=policy, scorer=SCRIPTED)

    async def ask(session: str) -> str:
        answer = await router.acompletion(
            model="talk", messages=[{"role": "user", "content": "hi"}], prompt_cache_key=session
        )
        await asyncio.sleep(0.05)  # LiteLLM says who answered a moment later.
        return str(answer._hidden_params["model_id"])

    for session in ("a", "b"):
        assert len({await ask(session) for _ in range(8)}) == 1
    assert len({await ask(f"new-{n}") for n in range(24)}) > 1, "sessions are spread"
    now[0] = 301.0
    affinity = strategy.service.groups["talk"].affinity
    kept = next(iter(affinity._kept))
    steps = [[{"model_info": {"id": f"r{n}"}} for n in range(6)]]
    assert affinity.first(kept, steps, ()) == steps, "the cache has gone cold"
