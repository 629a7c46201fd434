"""What comes with the messages, through the whole router: needs, costs, constraints, nobody left."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import pytest

from modelsat.candidates import Candidate, ModelFacts
from modelsat.capability import CapabilityProfile
from modelsat.errors import ConfigurationError, InvalidRequestError, NoCandidateError, RoutingError
from modelsat.policies import Choice
from modelsat.request import Constraints, Exclusion, RequestContext
from modelsat.request.costs import Tariff
from modelsat.request.messages import parse_messages
from modelsat.request.needs import find_needs
from modelsat.router import Router, RoutingDecision
from tests.fakes import FakeScorer, make_profile

FACTS: dict[str, Any] = {
    "weak": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.2, "abilities": {"vision": False}},
    "middling": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "abilities": ["tools", "vision"]},
    "strong": {"abilities": ["tools"], "context_window": 3_000},
}
IMAGE = {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {}}]}


@pytest.fixture
def router(profiles: list[CapabilityProfile], fake_scorer: FakeScorer) -> Router:
    return Router(profiles, facts=FACTS, scorer=fake_scorer)


def test_a_decision_carries_costs_tokens_and_thread(router: Router) -> None:
    decision = router.route("hello", context=RequestContext(thread="t", answer_tokens=100))
    assert (decision.model, decision.thread, decision.cost) == ("strong", "t", None)
    assert set(decision.costs) == {"weak", "middling"}
    assert decision.costs["middling"] == pytest.approx(10 * decision.costs["weak"])
    assert decision.tokens == {"prompt": 5}
    priced = router.route("hello", candidates=["weak"], context=RequestContext(answer_tokens=20))
    assert priced.tokens == {"prompt": 5, "completion": 20}
    assert priced.cost == pytest.approx(5 * 0.1e-6 + 20 * 0.2e-6)
    assert RoutingDecision(**priced.model_dump(mode="json")) == priced


def test_the_needs_of_a_request_strike(router: Router) -> None:
    decision = router.route([IMAGE])
    assert decision.model == "middling"
    assert decision.excluded == {
        "weak": Exclusion("ability", "cannot do vision (the conversation holds an image part)"),
        "strong": Exclusion("ability", "not known to do vision, while middling surely can"),
    }
    long = router.route("word " * 3_000)
    assert "context window of 3,000 tokens" in long.excluded["strong"].reason


def test_only_candidates_that_may_answer_are_scored(router: Router, fake_scorer: FakeScorer) -> None:
    counts: list[int] = []
    score = fake_scorer.score

    def counting(texts: Any, profiles: Any) -> Any:
        counts.append(len(profiles))
        return score(texts, profiles)

    fake_scorer.score = counting  # type: ignore[method-assign]
    router.route([IMAGE])
    decisions = router.route_batch([[IMAGE], "hello", "hello"], contexts=RequestContext(needs=["tools"]))
    assert counts == [1, 2]
    both = ["strong", "middling"]
    assert [list(decision.scores) for decision in decisions] == [["middling"], both, both]


def test_nobody_left_names_every_reason(router: Router, fake_scorer: FakeScorer) -> None:
    context = RequestContext(constraints=Constraints(deny_models=["strong"], allow_providers=["acme"]))
    with pytest.raises(NoCandidateError) as caught:
        router.route("hello", context=context, candidates=["weak", "strong"])
    assert caught.value.reasons == {
        "weak": Exclusion("provider", "provider is unknown, and only some are allowed"),
        "middling": Exclusion("not_asked", "not asked for"),
        "strong": Exclusion("model", "model is denied"),
    }
    assert "weak: provider is unknown" in str(caught.value)
    assert fake_scorer.calls == []


def test_a_denied_provider_that_cannot_be_checked_gets_a_note(router: Router) -> None:
    denied = router.route("hello", context=RequestContext(constraints=Constraints(deny_providers=["acme"])))
    assert denied.notes == ("deny_providers could not be checked, provider unknown: weak, middling, strong",)
    assert "weak" in denied.scores
    assert router.route("hello").notes == ()


def test_a_fallback_that_is_itself_unable_gets_a_note(
    profiles: list[CapabilityProfile], fake_scorer: FakeScorer, caplog: pytest.LogCaptureFixture
) -> None:
    facts = {name: {"abilities": {"vision": False}} for name in ("weak", "middling", "strong")}
    router = Router(profiles, facts=facts, scorer=fake_scorer, fallback="weak")
    with caplog.at_level(logging.WARNING, logger="modelsat"):
        decision = router.route([IMAGE])
    assert (decision.model, decision.fallback) == ("weak", True)
    assert decision.notes[0].startswith("the fallback weak is itself unable: cannot do vision")
    assert set(decision.excluded) == {"middling", "strong"}
    assert router.fallbacks == Counter({"NoCandidateError": 1})
    assert "fell back to weak" in caplog.text
    elsewhere = Router(profiles, facts=facts, scorer=fake_scorer, fallback="elsewhere")
    assert elsewhere.route([IMAGE]).notes == ()


def test_an_escalation_to_a_stranger_is_refused(profiles: list[CapabilityProfile], fake_scorer: FakeScorer) -> None:
    class Stray:
        name = "stray"

        def choose(self, scored: Any, request: Any) -> Choice:
            return Choice(scored[0].name, "why not", escalation=("nobody",), threshold=0.5)

    with pytest.raises(RoutingError, match="chose 'nobody'"):
        Router(profiles, scorer=fake_scorer, policy=Stray()).route("hello")


def test_contexts_of_a_batch(router: Router) -> None:
    contexts = [RequestContext(needs=["vision"], thread="a"), None]
    decisions = router.route_batch(["one", "two"], contexts=contexts)
    assert [(decision.model, decision.thread) for decision in decisions] == [("middling", "a"), ("strong", None)]
    with pytest.raises(InvalidRequestError, match="or a list of 2, one for each request"):
        router.route_batch(["one", "two"], contexts=contexts[:1])


async def test_contexts_asynchronously(router: Router) -> None:
    context = RequestContext(needs=["vision"])
    assert (await router.aroute("hello", context=context)).model == "middling"
    assert [d.model for d in await router.aroute_batch(["a", "b"], contexts=context)] == ["middling"] * 2


def test_failures_stay_in_their_places(router: Router) -> None:
    fine, bad = router.route_each(["hello", ""])
    assert isinstance(fine, RoutingDecision)
    assert isinstance(bad, InvalidRequestError)


@pytest.mark.parametrize("fallback", [None, "weak"])
def test_a_context_of_another_kind(
    profiles: list[CapabilityProfile], fake_scorer: FakeScorer, fallback: str | None
) -> None:
    router = Router(profiles, scorer=fake_scorer, fallback=fallback)
    context: Any = [{"tools": []}]
    if fallback is None:
        with pytest.raises(ConfigurationError, match="context must be a RequestContext, not dict"):
            router.route_batch(["hello"], contexts=context)
    else:
        assert router.route_batch(["hello"], contexts=context)[0].fallback


def test_expected_costs_count_cached_prices_limits_and_tokenizers() -> None:
    facts = ModelFacts(
        input_usd_per_mtok=2, output_usd_per_mtok=10, cached_input_usd_per_mtok=0.5, max_output_tokens=50
    )
    plain = Candidate("plain", make_profile("plain"), facts)
    counting = Candidate("counting", make_profile("counting"), facts, tokenizer=lambda text: 1_000_000)
    unpriced = Candidate("unpriced", make_profile("unpriced"))
    pool = [plain, counting, unpriced]
    needs = find_needs(parse_messages("hello"))
    first, second, third = (Tariff.of(candidate).cost(needs, 300) for candidate in pool)
    assert first is not None
    assert second is not None
    assert third is None
    assert first.completion_tokens == 50
    assert first.total == pytest.approx((needs.prompt_tokens * 2 + 50 * 10) / 1e6)
    assert first.cached_input == pytest.approx(first.input / 4)
    assert second.input == pytest.approx(2.0, abs=1e-4)


def test_a_maximum_price_acts_on_what_is_sure_to_be_paid(fake_scorer: FakeScorer) -> None:
    router = Router(["gpt-5.5", "gpt-5-mini"], scorer=fake_scorer, constraints={"max_usd_per_request": 0.045})
    greeting = router.route("hi")
    assert set(greeting.scores) == {"gpt-5.5", "gpt-5-mini"}
    assert greeting.costs["gpt-5.5"] > 0.045
    assert "more than 0.045 USD with the hidden reasoning that is assumed: gpt-5.5" in " ".join(greeting.notes)
    long = router.route("A dark and stormy night. " * 20_000)
    assert long.excluded["gpt-5.5"].kind == "price"
    assert "USD for the prompt and a visible answer, more than 0.045" in long.excluded["gpt-5.5"].reason


def test_who_may_not_answer_is_known_without_a_score(router: Router, fake_scorer: FakeScorer) -> None:
    assert {name: why.kind for name, why in router.excluded(IMAGE).items()} == {"weak": "ability", "strong": "ability"}
    assert router.excluded("hello") == {}
    denied = RequestContext(constraints=Constraints(deny_models=["weak"]))
    assert set(router.excluded("hello", context=denied)) == {"weak"}
    assert fake_scorer.calls == []
