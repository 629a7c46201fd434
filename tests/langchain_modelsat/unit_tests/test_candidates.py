"""What a router accepts as candidates, and what it says to the rest."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from langchain.chat_models import init_chat_model
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import ConfigurableField
from langchain_openai import AzureChatOpenAI, ChatOpenAI

from langchain_modelsat.candidates import own_name, resolve_models, resolve_profiles
from modelsat.capability import CapabilityProfile, Registry
from modelsat.errors import ConfigurationError, InvalidProfileError, MissingDependencyError, UnknownModelError


def client(name: str = "gpt-4o") -> ChatOpenAI:
    return ChatOpenAI(model=name, api_key="none")  # type: ignore[arg-type]


def silent() -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([]))


def test_a_list_of_models_goes_by_their_own_names() -> None:
    assert list(resolve_models([client("gpt-4o"), client("gpt-4o-mini")])) == ["gpt-4o", "gpt-4o-mini"]


def test_a_string_becomes_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    models = resolve_models({"small": "openai:gpt-4o-mini", "large": client()})
    assert isinstance(models["small"], ChatOpenAI)
    assert own_name(models["small"]) == "gpt-4o-mini"
    assert list(resolve_models(["openai:gpt-4o-mini"])) == ["gpt-4o-mini"]


def test_clients_of_strings_send_a_failed_request_again_as_often_as_the_router_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    models = resolve_models({"string": "openai:gpt-4o-mini", "own": client()}, max_retries=0)
    given = {name: getattr(model, "max_retries", "?") for name, model in models.items()}
    assert given == {"string": 0, "own": client().max_retries}


def test_a_string_without_langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"modelsat\[langchain\]\""):
        resolve_models(["openai:gpt-4o"])


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        (client().bind(temperature=0), "bind on the router|bound on the router"),
        (client().bind_tools([]), "tools are bound on the router"),
        (client().with_config(tags=["a"]), "pass the chat model itself"),
        (client().with_retry(), "max_retries"),
        (client().with_fallbacks([client()]), "call .with_fallbacks\\(\\) on the router"),
        (client().configurable_fields(temperature=ConfigurableField(id="t")), "pass each model it can become"),
        (init_chat_model(), "pass each model it can become"),
        (client() | StrOutputParser(), "not a chat model"),
        (FakeListLLM(responses=["a"]), "text-completion model"),
        (7, "must be a chat model or a string such as 'openai:gpt-4o-mini', not int"),
    ],
)
def test_what_is_not_a_chat_model(entry: Any, advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice) as caught:
        resolve_models({"it": entry})
    assert "models['it']" in str(caught.value)


@pytest.mark.parametrize(
    ("models", "advice"),
    [
        ([], "models is empty"),
        ({}, "models is empty"),
        ("openai:gpt-4o", "not a single str"),
        (client(), "not a single ChatOpenAI"),
        (7, "not a single int"),
        ([client(), client()], "two models go by the name 'gpt-4o'"),
        ([silent()], "does not tell its model's name"),
        ({" ": silent()}, "a route needs a name"),
    ],
)
def test_what_is_no_choice_of_models(models: Any, advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice):
        resolve_models(models)


def test_profiles_are_looked_up_under_the_models_own_name() -> None:
    profiles = resolve_profiles({"any": client("gpt-4o-2024-05-13")})
    assert "gpt-4o-2024-05-13" in (profiles["any"].model, *profiles["any"].aliases)


def test_profiles_are_looked_up_under_the_routes_name() -> None:
    azure = AzureChatOpenAI(azure_deployment="prod-1", api_version="1", api_key="none", azure_endpoint="http://none")  # type: ignore[arg-type]
    assert own_name(azure) == "prod-1"
    assert resolve_profiles({"gpt-4o-2024-05-13": azure, "gpt-4o-mini-2024-07-18": silent()})


def test_profiles_are_given() -> None:
    models = {"a": client("one"), "b": client("two"), "c": client("three")}
    profile = CapabilityProfile.from_benchmarks("x", {"MMLU": 0.5})
    given = {"a": profile, "two": {"MMLU": 0.25}, "c": "gpt-4o-2024-05-13"}
    resolved = resolve_profiles(models, given)
    assert resolved["a"] is profile
    assert resolved["b"].statements[0].accuracy == 0.25
    assert resolved["c"].statements


def test_nothing_is_known() -> None:
    with pytest.raises(UnknownModelError, match=r"profiles=\{'a': \{'MMLU'"):
        resolve_profiles({"a": client("zzz-unheard-of")})


@pytest.mark.parametrize(
    ("given", "error", "advice"),
    [
        ({"nobody": {"MMLU": 0.5}}, ConfigurationError, "names no route: nobody; the routes are a"),
        ({"a": 7}, ConfigurationError, "must be a CapabilityProfile"),
        ({"a": {"MMLU": 50}}, InvalidProfileError, "write 0.5"),
        ([1], ConfigurationError, "profiles must be a mapping"),
    ],
)
def test_profiles_that_cannot_be_right(given: Any, error: type[Exception], advice: str) -> None:
    with pytest.raises(error, match=advice):
        resolve_profiles({"a": client("one")}, given)


@pytest.mark.parametrize(
    ("parameters", "effort"),
    [({"reasoning_effort": "low"}, "low"), ({"reasoning": {"effort": "xhigh"}}, "xhigh"), ({}, "")],
)
def test_the_effort_is_read_off_the_chat_model(parameters: dict[str, Any], effort: str) -> None:
    model = ChatOpenAI(model="gpt-5.6", api_key="none", **parameters)  # type: ignore[arg-type]
    profile = resolve_profiles({"mine": model})["mine"]
    assert (profile.model, profile.effort) == ("gpt-5.6-sol", effort)
    assert profile.digest == Registry.default().find(f"gpt-5.6@{effort or 'high'}").digest


def test_a_borrowed_profile_lends_no_name_and_so_no_price() -> None:
    lent = resolve_profiles({"mine": client("not-measured")}, {"mine": "gpt-5.5"})["mine"]
    assert lent.model == "not-measured"
    assert lent.digest == Registry.default().find("gpt-5.5").digest
