"""The parts by themselves: what is read off a request, orders, lines of a file, imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from litellm_modelsat import classifier
from litellm_modelsat.configuration import CLASSIFIER, with_lines
from litellm_modelsat.deployments import read_deployments
from litellm_modelsat.ranking import Ranking, in_steps, levels, rank, unscored
from litellm_modelsat.requests import Job, context_of, conversation_of, session_of
from litellm_modelsat.service import RoutingService
from litellm_modelsat.settings import Settings, validated
from modelsat.errors import ConfigurationError
from modelsat.policies import resolve_policy
from modelsat.policies.resolve import PolicyFile
from modelsat.request import Exclusion
from modelsat.router.decision import RoutingDecision
from modelsat.storage.checkpoint import SHIPPED
from tests.fakes import FakeScorer


def logged(call_type: str) -> Any:
    return SimpleNamespace(call_type=call_type)


@pytest.mark.parametrize(
    ("messages", "kwargs", "found"),
    [
        ([{"role": "user"}], {}, [{"role": "user"}]),
        (None, {"input": "hi", "litellm_logging_obj": logged("aresponses")}, "hi"),
        (None, {"input": "hi", "litellm_metadata": {}}, "hi"),
        (None, {"input": "hi", "litellm_metadata": {}, "litellm_logging_obj": logged("aembedding")}, None),
        (None, {"input": "hi"}, None),
        (None, {"prompt": "a cat", "litellm_logging_obj": logged("aimage_generation")}, None),
    ],
)
def test_the_conversation(messages: Any, kwargs: dict[str, Any], found: Any) -> None:
    assert conversation_of(messages, kwargs) == found


def test_what_a_request_asks_for() -> None:
    schema = {"type": "json_schema", "name": "x", "schema": {}}
    context = context_of(
        {"tools": [{}], "parallel_tool_calls": True, "max_completion_tokens": 7, "reasoning_effort": "low"}
    )
    assert (len(context.tools), context.parallel_tools, context.answer_tokens, context.reasoning) == (1, True, 7, True)
    context = context_of({"text": {"format": schema}, "max_output_tokens": 9, "reasoning": {"effort": "none"}})
    assert (context.response_format, context.answer_tokens, context.reasoning) == (schema, 9, False)
    context = context_of(
        {"thinking": {"type": "enabled"}, "tools": "odd", "max_tokens": "many", "reasoning_effort": "none"}
    )
    assert (context.tools, context.answer_tokens, context.reasoning) == ((), None, True)


def test_sessions_are_a_keys_own() -> None:
    mine, yours = {"user_api_key_hash": "a"}, {"user_api_key_hash": "b"}
    assert session_of({}, mine) is None
    assert session_of({"litellm_session_id": "s"}, mine) == session_of({}, {"session_id": "s", **mine})
    assert session_of({"litellm_session_id": "s"}, mine) != session_of({"litellm_session_id": "s"}, yours)
    assert session_of({"litellm_session_id": "s"}, mine) != "s"


def test_what_a_key_says_goes_before_what_the_caller_says() -> None:
    metadata = {"tenant": "caller", "user_api_key_metadata": {"tenant": "key"}, "user_api_key_team_id": "team"}
    found = context_of({"metadata": metadata}).metadata
    assert (found["tenant"], found["user_api_key_team_id"]) == ("key", "team")


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ("best", ["a", "b", "c", "blind"]),
        ("cheapest(target=0.6)", ["c", "b", "a", "blind"]),
        ("sticky(cheapest(target=0.6))", ["c", "b", "a", "blind"]),
    ],
)
def test_the_others_come_as_the_policy_would_choose_them(policy: str, names: list[str]) -> None:
    decision = RoutingDecision(
        model=names[0],
        scores={"a": 0.9, "b": 0.8, "c": 0.7},
        costs={"a": 3.0, "b": 2.0, "c": 1.0},
        excluded={
            "blind": Exclusion("ability", "cannot do vision (the conversation holds an image part)"),
            "d": Exclusion("region", "region us is denied"),
            "e": Exclusion("not_asked", "not asked for"),
        },
    )
    ranking = rank(decision, resolve_policy(policy))
    assert list(ranking.names) == names
    assert set(ranking.forbidden) == {"d"}
    assert set(ranking.excluded) == {"blind", "d"}


def entry(identifier: str) -> dict[str, Any]:
    return {"model_info": {"id": identifier}, "litellm_params": {"model": identifier, "api_key": "k"}}


def test_steps() -> None:
    entries = [entry(name) for name in ("a1", "a2", "b", "c")]
    names = {"a1": "a", "a2": "a", "b": "b", "c": "c"}
    level = levels(Ranking(("b", "a", "c"), decision=RoutingDecision(model="b")))

    def steps(level: dict[str, int], tried: set[str]) -> list[list[str]]:
        return [[e["model_info"]["id"] for e in step] for step in in_steps(entries, names, level, tried)]

    assert steps(level, set()) == [["b"], ["a1", "a2"], ["c"]]
    assert steps(level, {"b"}) == [["a1", "a2"], ["c"], ["b"]]
    assert steps(level, {"b", "a1"}) == [["a2"], ["c"], ["b"], ["a1"]]
    assert steps({"c": 0}, set()) == [["c"]]


def test_an_order_without_scores() -> None:
    excluded = {
        "blind": Exclusion("ability", "cannot do vision (x)"),
        "far": Exclusion("region", "us is a denied region"),
        "new": Exclusion("a kind that nobody listed", "who knows"),  # type: ignore[arg-type]
    }
    ranking = unscored(["a", "b", "blind", "far", "new"], excluded, "timeout", "b")
    assert ranking.names == ("b", "a", "blind")
    assert levels(ranking, "b") == {"b": 1, "a": 2, "blind": 3}


def test_lines(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "model_list:\n  - model_name: a\n    model_info:\n      modelsat: {profil: x}\nlitellm_settings:\n  x: 1\n"
    )
    message = "model_list[0].model_info.modelsat.profil: odd\nlitellm_settings.modelsat: is missing\nand so on"
    assert with_lines(message, str(file)).split("\n") == [
        f"{file}:4: model_list[0].model_info.modelsat.profil: odd",
        f"{file}:5: litellm_settings.modelsat: is missing",
        "and so on",
    ]
    assert with_lines(message, str(tmp_path / "none")) == message
    assert with_lines("plain", str(file)) == "plain"


def test_importing_the_package_loads_neither_litellm_nor_a_network() -> None:
    script = "import litellm_modelsat, sys; print({'litellm', 'onnxruntime', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("fitted", "given", "expected"),
    [
        ([None], None, SHIPPED),
        (["modelsat-nano@7d284ae84d6a"], None, "modelsat-nano"),
        (["modelsat-nano@7d284ae84d6a", None], None, "modelsat-nano"),
        (["modelsat-nano@7d284ae84d6a"], "of-my-own", "of-my-own"),
        (["modelsat-nano@1", "modelsat-pico@1"], None, SHIPPED),
        (["of-my-own@1"], None, SHIPPED),
    ],
)
def test_weights_that_are_not_given_are_those_of_the_policy_files(
    fitted: list[str | None], given: str | None, expected: str, tmp_path: Path
) -> None:
    groups: dict[str, Any] = {"missing": {"policy": str(tmp_path / "nowhere.json")}, "plain": {"policy": "best"}}
    for number, weights in enumerate(fitted):
        path = tmp_path / f"{number}.json"
        PolicyFile(policy="best", fitted={} if weights is None else {"weights": weights}).save(path)
        groups[f"group-{number}"] = {"policy": str(path)}
    assert Settings(groups=groups, weights=given).network == expected


def test_the_tags_of_an_agent_of_ones_own() -> None:
    """The proxy's ``envelopes`` decide what is scored, and what a turn is where a conversation is kept by turns."""
    names = ("gpt-4o", "gpt-4o-mini")
    listed = [{"model_name": "g", "litellm_params": {"model": f"openai/{name}"}} for name in names]
    modelsat = {
        "groups": {"g": {"policy": {"name": "sticky", "inner": "best", "per": "turn"}}},
        "envelopes": ["acme_files"],
    }
    settings = Settings.model_validate(modelsat)
    scorer = FakeScorer()
    group = RoutingService(settings, read_deployments(listed), {}, scorer=scorer).groups["g"]
    wrapped = [{"role": "user", "content": "<acme_files>a.py</acme_files>\nWhy is the sky blue?"}]
    group.router.route(wrapped)
    assert scorer.calls == [["Why is the sky blue?"]]
    bare = [{"role": "user", "content": "Why is the sky blue?"}]
    keys = {group.affinity.key_of(Job(messages, context_of({}), frozenset())) for messages in (wrapped, bare)}
    assert len(keys) == 1
    assert None not in keys
    with pytest.raises(ConfigurationError, match="envelopes: '<a>' is not the name of a tag"):
        validated(Settings, {**modelsat, "envelopes": ["<a>"]}, "modelsat")


def test_rules_of_the_proxy_hold_in_every_group_and_know_its_name(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n- when: {group: g}\n  then: {exclude: gpt-4o}\n- when: {group: h}\n  then: {use: gpt-4o}\n"
    )
    names = ("gpt-4o", "gpt-4o-mini")
    listed = [{"model_name": "g", "litellm_params": {"model": f"openai/{name}"}} for name in names]
    settings = validated(Settings, {"groups": {"g": {}}, "rules": str(path)}, "modelsat")
    group = RoutingService(settings, read_deployments(listed), {}, scorer=FakeScorer()).groups["g"]
    messages = [{"role": "user", "content": "Why is the sky blue?"}]
    (ranking,) = group.decide([Job(messages, context_of({}), frozenset(group.names))])
    assert ranking.decision is not None
    assert ranking.decision.rules == ("rule 1",)
    assert ranking.decision.model == "openai/gpt-4o-mini"
    with pytest.raises(ConfigurationError, match=r"rules, rule 1: .*then is empty"):
        validated(Settings, {"groups": {"g": {}}, "rules": [{"then": {}}]}, "modelsat")


@pytest.mark.parametrize(("left_out", "tier"), [("gpt-4o", "SIMPLE"), ("gpt-4o-mini", "COMPLEX")])
async def test_rules_of_the_proxy_hold_for_the_classifier(
    left_out: str, tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "load_scorer", lambda settings: FakeScorer())
    tiers = {"SIMPLE": "gpt-4o-mini", "COMPLEX": "gpt-4o"}
    params = {"complexity_router_config": {"classifier_plugin": CLASSIFIER, "tiers": tiers}}
    models = [{"model_name": name, "litellm_params": {"model": f"openai/{name}"}} for name in tiers.values()]
    configuration = {
        "model_list": [*models, {"model_name": "auto", "litellm_params": params}],
        "litellm_settings": {"modelsat": {"rules": [{"then": {"exclude": left_out}}]}},
    }
    asked = [{"role": "user", "content": "Why is the sky blue?"}]
    context = SimpleNamespace(candidate_models=list(tiers.values()), structured_messages=asked, metadata={})
    assert await classifier.classifier_of(configuration).classify(context) == tier
