"""What holds for every pool, request, constraint and policy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelsat.candidates import Candidate, ModelFacts
from modelsat.errors import ModelSATError, NoCandidateError
from modelsat.request import Constraints, RequestContext
from modelsat.router import Router, RoutingDecision
from tests.fakes import FakeScorer, make_profile

POLICIES = (
    "best",
    "cheapest(target=0.5)",
    "near_best(margin=0.1)",
    "knob(6)",
    "abstain(best, least=0.4)",
    "tradeoff(value_per_success=0.02)",
    "budget(usd_per_1k=2)",
    "sticky(cheapest(target=0.5))",
    "sticky(best, per='turn')",
    "sticky(budget(usd_per_1k=2))",
    "cascade(start=0.3)",
    "sticky(cascade)",
)
NAMES = ("a", "b", "c", "d", "e")
ABILITIES = ("tools", "vision", "json_schema")
PRICE = st.sampled_from([0.0, 0.1, 1.0, 1.0, 5.0, 50.0])
LARGE = 1_000_000

FACTS = st.builds(
    ModelFacts,
    input_usd_per_mtok=PRICE,
    output_usd_per_mtok=PRICE,
    cached_input_usd_per_mtok=st.none() | PRICE,
    context_window=st.sampled_from([None, 1_200, 4_096, LARGE]),
    max_output_tokens=st.sampled_from([None, 200, 4_096]),
    abilities=st.dictionaries(st.sampled_from(ABILITIES), st.booleans()),
    provider=st.sampled_from([None, "p", "q"]),
    region=st.sampled_from([None, "eu", "us"]),
    tags=st.frozensets(st.sampled_from(["x", "y"])),
)
POOLS = st.dictionaries(st.sampled_from(NAMES), FACTS, min_size=1)
SOME_NAMES = st.frozensets(st.sampled_from(NAMES), max_size=2)


@st.composite
def constraints(draw: st.DrawFn) -> Constraints:
    deny = draw(SOME_NAMES)
    fields: dict[str, Any] = {
        "deny_models": deny,
        "allow_models": draw(SOME_NAMES) - deny,
        "allow_providers": draw(st.sampled_from([(), ("p",), ("p", "q")])),
        "deny_regions": draw(st.sampled_from([(), ("us",)])),
        "require_tags": draw(st.sampled_from([(), ("x",)])),
        "deny_tags": draw(st.sampled_from([(), ("y",)])),
        "max_usd_per_request": draw(st.sampled_from([None, 0.0, 0.0005, 0.01])),
        "residency": draw(st.sampled_from([(), ({"key": "tenant", "value": "bank", "regions": ["eu"]},)])),
    }
    return Constraints(**{name: value for name, value in fields.items() if value or value == 0.0})


CONTEXTS = st.builds(
    RequestContext,
    needs=st.frozensets(st.sampled_from(ABILITIES), max_size=2),
    answer_tokens=st.sampled_from([None, 50, 1_000]),
    thread=st.sampled_from([None, "t", "u"]),
    metadata=st.sampled_from([{}, {"tenant": "bank"}]),
    constraints=st.none() | constraints(),
)
REQUESTS = st.lists(
    st.tuples(st.sampled_from(["hi", "word " * 700, "more " * 4_000]), CONTEXTS), min_size=1, max_size=4
)


def make_router(pool: dict[str, ModelFacts], policy: str, limits: Constraints | None = None) -> Router:
    candidates = [Candidate(name, make_profile(name, ord(name) / 200), facts) for name, facts in pool.items()]
    return Router(candidates, policy=policy, constraints=limits, scorer=FakeScorer())


def violations(decision: RoutingDecision, facts: ModelFacts, limits: Constraints, context: RequestContext) -> list[str]:
    """Which constraints the chosen candidate breaks, judged apart from the code under test."""
    name, cost = decision.model, decision.costs.get(decision.model)
    lifted = any("more than any candidate allows" in note for note in decision.notes)
    prompt, reserve = decision.tokens["prompt"], None if lifted else context.answer_tokens
    least = reserve or min(limits.answer_tokens, facts.max_output_tokens or limits.answer_tokens)
    bound = any(rule.key in context.metadata for rule in limits.residency)
    found = {
        "denied": name in limits.deny_models,
        "not allowed": bool(limits.allow_models) and name not in limits.allow_models,
        "provider": bool(limits.allow_providers) and facts.provider not in limits.allow_providers,
        "region": facts.region is not None and facts.region in limits.deny_regions,
        "tag": bool(limits.require_tags - facts.tags or limits.deny_tags & facts.tags),
        "price": limits.max_usd_per_request is not None and (cost is None or cost > limits.max_usd_per_request),
        "residency": bound and facts.region != "eu",
        "ability": any(facts.abilities.get(need) is False for need in context.needs),
        "window": facts.context_window is not None and prompt + least > facts.context_window,
        "answer": bool(reserve and facts.max_output_tokens and reserve > facts.max_output_tokens),
    }
    return [what for what, broken in found.items() if broken]


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pool=POOLS, limits=st.none() | constraints(), requests=REQUESTS)
def test_no_policy_ever_violates_a_constraint(
    policy: str, pool: dict[str, ModelFacts], limits: Constraints | None, requests: list[tuple[str, RequestContext]]
) -> None:
    router = make_router(pool, policy, limits)
    for text, context in requests:
        try:
            decision = router.route(text, context=context)
        except NoCandidateError as error:
            reasons = error.reasons
        else:
            reasons = {}
        if reasons:
            assert set(reasons) == set(pool)
            continue
        for name in (decision.model, *decision.escalation):
            chosen = decision.model_copy(update={"model": name})
            for each in (limits, context.constraints):
                assert not violations(chosen, pool[name], each or Constraints(), context)
        assert decision.model not in decision.excluded
        assert set(decision.scores) | set(decision.excluded) == set(pool)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=25)
@given(pool=POOLS, limits=st.none() | constraints(), requests=REQUESTS)
def test_decisions_are_deterministic(
    policy: str, pool: dict[str, ModelFacts], limits: Constraints | None, requests: list[tuple[str, RequestContext]]
) -> None:
    """The same requests in the same order, of a pool in another order: the same decisions."""
    varying = {"id": True, "elapsed_ms": True}

    def decide(order: list[str]) -> list[Any]:
        router = make_router({name: pool[name] for name in order}, policy, limits)
        decided: list[Any] = []
        for text, context in requests:
            try:
                decision = router.route(text, context=context).model_dump(exclude=varying)
            except NoCandidateError as error:
                decision = {"excluded": error.reasons}
            decided.append(decision)
        return decided

    assert decide(sorted(pool)) == decide(sorted(pool, reverse=True))


@pytest.mark.parametrize("policy", ["cheapest(target=0.4)", "tradeoff(value_per_success=0.02)"])
@settings(max_examples=60)
@given(pool=POOLS, text=st.sampled_from(["hi", "word " * 700]), share=st.floats(0, 1), data=st.data())
def test_a_lower_price_never_loses_a_request(
    policy: str, pool: dict[str, ModelFacts], text: str, share: float, data: st.DataObject
) -> None:
    pool = {name: facts.model_copy(update={"context_window": LARGE}) for name, facts in pool.items()}
    before = make_router(pool, policy).route(text).model
    name = data.draw(st.sampled_from(sorted(pool)))
    lower = {
        field: round(getattr(pool[name], field) * share, 3) for field in ("input_usd_per_mtok", "output_usd_per_mtok")
    }
    after = make_router({**pool, name: pool[name].model_copy(update=lower)}, policy).route(text).model
    assert after in (before, name)
    if before == name:
        assert after == name


@settings(max_examples=40)
@given(pool=POOLS, requests=REQUESTS)
def test_a_batch_decides_as_its_requests_do(
    pool: dict[str, ModelFacts], requests: list[tuple[str, RequestContext]]
) -> None:
    candidates = [Candidate(name, make_profile(name, ord(name) / 200), facts) for name, facts in pool.items()]
    router = Router(candidates, policy="cheapest(target=0.5)", scorer=FakeScorer(), fallback="nobody")
    texts, contexts = [text for text, _ in requests], [context for _, context in requests]
    batch = router.route_each(texts, contexts=contexts)
    single = [router.route_each([text], contexts=context)[0] for text, context in requests]
    assert [_plain(outcome) for outcome in batch] == [_plain(outcome) for outcome in single]


def _plain(outcome: RoutingDecision | ModelSATError) -> tuple[Any, ...]:
    if isinstance(outcome, ModelSATError):
        return type(outcome), str(outcome)
    return outcome.model, outcome.scores, outcome.costs, outcome.excluded, outcome.fallback
