"""What the operator forbids stays forbidden, whatever fails: no fallback overrules it."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any

import httpx
import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_modelsat import ModelSATRouter
from modelsat.candidates import Candidate, ModelFacts
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ModelSATError, NoCandidateError, ScorerUnavailableError
from modelsat.policies import Choice
from modelsat.request import Constraints, Exclusion, RequestContext
from modelsat.router import Router, RoutingDecision
from tests.fakes import FakeScorer, make_profile
from tests.server.servers import serving

ABROAD, HOME, DEAR = "abroad", "home", "dear-home"
FACTS: dict[str, ModelFacts] = {
    ABROAD: ModelFacts(
        provider="acme", region="us", tags=frozenset({"old"}), input_usd_per_mtok=900, output_usd_per_mtok=900
    ),
    HOME: ModelFacts(
        provider="euro", region="eu", tags=frozenset({"gdpr"}), input_usd_per_mtok=1, output_usd_per_mtok=1
    ),
    DEAR: ModelFacts(
        provider="euro", region="eu", tags=frozenset({"gdpr"}), input_usd_per_mtok=9, output_usd_per_mtok=9
    ),
}
BANK = {"tenant": "bank"}
CONSTRAINTS: dict[str, tuple[dict[str, Any], str]] = {
    "allow_models": ({"allow_models": [HOME, DEAR]}, "model"),
    "deny_models": ({"deny_models": ["abr*"]}, "model"),
    "allow_providers": ({"allow_providers": ["euro"]}, "provider"),
    "deny_providers": ({"deny_providers": ["ACME"]}, "provider"),
    "allow_regions": ({"allow_regions": ["eu"]}, "region"),
    "deny_regions": ({"deny_regions": ["us"]}, "region"),
    "require_tags": ({"require_tags": ["gdpr"]}, "tag"),
    "deny_tags": ({"deny_tags": ["old"]}, "tag"),
    "max_usd_per_request": ({"max_usd_per_request": 0.01}, "price"),
    "residency": ({"residency": [{"key": "tenant", "value": "bank", "regions": ["eu"]}]}, "residency"),
}
"""Every field of :class:`Constraints` that forbids; each rules out ``abroad`` and nobody else."""


class _NaN(FakeScorer):
    def score(self, texts: Any, profiles: Any) -> Any:
        found = super().score(texts, profiles)
        return replace(found, p=found.p * math.nan)


class _Confused:
    name = "confused"

    def choose(self, scored: Any, request: Any = None) -> Choice:
        return Choice("nobody", "why not")


class _Exiting:
    name = "exiting"

    def choose(self, scored: Any, request: Any = None) -> Choice:
        sys.exit(3)


class _Nameless(FakeScorer):
    @property
    def version(self) -> str:
        raise RuntimeError("no version")


FAILURES: dict[str, dict[str, Any]] = {
    "no weights": {"weights": "no/such/folder"},
    "scorer away": {"scorer": "http://127.0.0.1:9"},
    "time-out": {"scorer": FakeScorer(error=ScorerUnavailableError("took too long"))},
    "NaN": {"scorer": _NaN()},
    "foreign error": {"scorer": FakeScorer(error=RuntimeError("broken"))},
    "policy": {"scorer": FakeScorer(), "policy": _Confused()},
    "policy exits": {"scorer": FakeScorer(), "policy": _Exiting()},
    "extractor exits": {"scorer": FakeScorer(), "extractor": lambda turns: sys.exit(3)},
    "scorer exits": {"scorer": FakeScorer(error=SystemExit(3))},
    "scorer without a version": {"scorer": _Nameless()},
    "candidates are no list": {"scorer": FakeScorer(), "candidates": 7},
    "bad message": {"scorer": FakeScorer(), "messages": b"bytes"},
    "empty message": {"scorer": FakeScorer(), "messages": ""},
    "unknown candidate": {"scorer": FakeScorer(), "candidates": ["nobody"]},
}


def profiles() -> list[CapabilityProfile]:
    return [make_profile(name, accuracy) for name, accuracy in ((ABROAD, 0.9), (DEAR, 0.7), (HOME, 0.6))]


def route(failure: str, constraints: Any, fallback: str = ABROAD, **more: Any) -> RoutingDecision:
    given = {**FAILURES[failure], **more}
    messages, candidates = given.pop("messages", "Hello"), given.pop("candidates", None)
    router = Router(profiles(), **{"facts": FACTS, "constraints": constraints, "fallback": fallback, **given})
    return router.route(messages, candidates=candidates, context=RequestContext(metadata=BANK))


def test_every_constraint_is_here() -> None:
    assert set(CONSTRAINTS) == set(Constraints.model_fields) - {"answer_tokens"}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_no_failure_lets_the_forbidden_fallback_answer(constraint: str, failure: str) -> None:
    rules, kind = CONSTRAINTS[constraint]
    decision = route(failure, rules)
    assert decision.model == HOME, "the cheapest that may answer"
    assert (decision.fallback, decision.excluded[ABROAD].kind) == (True, kind)
    assert decision.failure is not None
    assert f"the fallback {ABROAD} was passed over" in decision.notes[-1]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_a_fallback_that_may_answer_does(constraint: str, failure: str) -> None:
    decision = route(failure, CONSTRAINTS[constraint][0], fallback=DEAR)
    assert (decision.model, decision.notes) == (DEAR, ())


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("constraint", [name for name in CONSTRAINTS if not name.startswith(("deny", "max"))])
def test_a_fallback_of_unknown_facts_does_not_pass_what_demands_knowledge(constraint: str, failure: str) -> None:
    assert route(failure, CONSTRAINTS[constraint][0], fallback="elsewhere").model == HOME
    known = {**FACTS, "elsewhere": FACTS[HOME]}
    if constraint != "allow_models":
        assert route(failure, CONSTRAINTS[constraint][0], fallback="elsewhere", facts=known).model == "elsewhere"


@pytest.mark.parametrize("failure", FAILURES)
def test_where_nobody_may_answer_it_raises(failure: str) -> None:
    with pytest.raises(ModelSATError) as caught:
        route(failure, {"allow_regions": ["mars"]})
    assert isinstance(caught.value, NoCandidateError)
    assert {ABROAD, HOME, DEAR} <= set(caught.value.reasons)
    assert all(why.forbidden for name, why in caught.value.reasons.items() if why.kind != "not_asked")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_context_that_cannot_be_read_takes_no_fallback_past_a_constraint(failure: str) -> None:
    given = dict(FAILURES[failure])
    messages = given.pop("messages", "Hello")
    candidates = given.pop("candidates", None)
    router = Router(profiles(), facts=FACTS, constraints={"deny_regions": ["us"]}, fallback=ABROAD, **given)
    with pytest.raises(ModelSATError):
        router.route(messages, candidates=candidates, context={"metadata": BANK})  # type: ignore[arg-type]


def test_a_fallback_that_cannot_take_the_request_gives_way_to_one_that_can() -> None:
    able = {HOME: {"abilities": ["tools"]}, ABROAD: {"abilities": {"tools": False}}}
    router = Router(profiles(), facts=able, scorer=FakeScorer(error=RuntimeError("broken")), fallback=ABROAD)
    assert router.route("Hello", context=RequestContext(needs=["tools"])).model == HOME


def test_constraints_that_cannot_be_checked_let_nobody_answer() -> None:
    def broken(text: str) -> int:
        raise RuntimeError(f"no tokenizer for {len(text)} characters")

    candidates = [Candidate(profile.model, profile, FACTS[profile.model], broken) for profile in profiles()]
    router = Router(candidates, scorer=FakeScorer(), fallback=ABROAD)
    assert router.route("Hello").model == ABROAD, "nothing forbids it"
    with pytest.raises(ModelSATError, match="no tokenizer"):
        router.route("Hello", context=RequestContext(constraints=Constraints(deny_regions=["us"])))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_exclusions_without_a_score(constraint: str) -> None:
    rules, kind = CONSTRAINTS[constraint]
    router = Router(profiles(), facts=FACTS, constraints=rules, scorer="http://127.0.0.1:9")
    for messages in ("Hello", "", b"bytes"):
        found = router.exclusions(messages, context=RequestContext(metadata=BANK))
        assert {name: why.kind for name, why in found.items()} == {ABROAD: kind}


def test_an_unlisted_kind_is_forbidden() -> None:
    assert Exclusion("us is a denied region", "who knows").forbidden  # type: ignore[arg-type]
    kinds = ("ability", "answer_limit", "budget", "context_window", "not_asked", "policy")
    assert not any(Exclusion(kind, "").forbidden for kind in kinds)  # type: ignore[arg-type]


def langchain_router(failure: str, rules: dict[str, Any]) -> ModelSATRouter:
    return ModelSATRouter(
        models={name: FakeListChatModel(responses=[name]) for name in FACTS},
        profiles={profile.model: profile for profile in profiles()},
        facts=FACTS,
        constraints=rules,
        fallback=ABROAD,
        **FAILURES[failure],
    )


@pytest.mark.parametrize("failure", ["time-out", "NaN", "no weights", "scorer away"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_langchain(constraint: str, failure: str) -> None:
    answer = langchain_router(failure, CONSTRAINTS[constraint][0]).invoke("Hello", {"metadata": BANK})
    assert answer.content == HOME


def test_langchain_where_nobody_may() -> None:
    with pytest.raises(NoCandidateError):
        langchain_router("time-out", {"allow_regions": ["mars"]}).invoke("Hello")


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_the_server(constraint: str) -> None:
    rules, kind = CONSTRAINTS[constraint]
    names = {"gpt-4o": ABROAD, "gpt-4o-mini": HOME}
    facts = {name: FACTS[which].model_dump(exclude_defaults=True, exclude={"origins"}) for name, which in names.items()}
    if constraint == "allow_models":
        rules = {"allow_models": ["gpt-4o-mini"]}
    elif constraint == "deny_models":
        rules = {"deny_models": ["gpt-4o"]}
    scorer = FakeScorer()
    with serving(scorer, facts=facts, constraints=rules, fallback="gpt-4o") as address:
        scorer.error = ScorerUnavailableError("took too long")
        for body in ({"messages": "Hello"}, {"messages": "Hello", "candidates": ["nobody"]}):
            response = httpx.post(f"{address}/v1/route", json={**body, "metadata": BANK}, timeout=30)
            decision = response.raise_for_status().json()
            assert (decision["model"], decision["excluded"]["gpt-4o"]["kind"]) == ("gpt-4o-mini", kind)
        only = {"messages": "Hello", "candidates": ["gpt-4o"], "metadata": BANK}
        refused = httpx.post(f"{address}/v1/route", json=only, timeout=30)
        assert refused.status_code == 422, refused.text
        assert refused.json()["type"].endswith("no-candidate")
