"""The router: decisions, subsets, batches, failures."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import (
    ConfigurationError,
    InvalidRequestError,
    ModelSATError,
    RoutingError,
    ScoringError,
    UnknownModelError,
)
from modelsat.policies import Choice, Scored
from modelsat.request import Exclusion
from modelsat.router import Failure, Router
from tests.fakes import FakeScorer, make_profile

SECRET = "the launch code is 0000"


def test_the_decision(profiles: list[CapabilityProfile], fake_scorer: FakeScorer) -> None:
    router = Router(profiles, scorer=fake_scorer)
    decision = router.route("hello")
    assert decision.model == "strong"
    assert list(decision.scores) == ["strong", "middling", "weak"]
    assert decision.scores == pytest.approx({"strong": 0.9, "middling": 0.6, "weak": 0.3})
    assert decision.score == pytest.approx(0.9)
    assert decision.reason == "highest P(success) 0.90 of 3 candidates"
    assert decision.policy == "best"
    assert decision.versions == router.versions
    assert set(decision.versions) == {"weights", "profiles", "policy"}
    assert decision.versions["weights"] == "fake@1"
    assert decision.excluded == {}
    assert decision.notes == ()
    assert not decision.fallback
    assert decision.failure is None
    assert decision.elapsed_ms > 0
    assert router.fallbacks == Counter()
    assert router.names == ("weak", "middling", "strong")
    assert [candidate.profile for candidate in router.candidates] == profiles
    assert repr(router) == "Router(3 candidates, policy='best', weights='fake@1')"


def test_profiles_version_follows_names_and_figures_not_their_order(profiles: list[CapabilityProfile]) -> None:
    version = Router(profiles).versions["profiles"]
    assert Router(profiles[::-1]).versions["profiles"] == version
    assert Router(profiles[:2]).versions["profiles"] != version
    assert Router({"a": profiles[0], "middling": profiles[1], "strong": profiles[2]}).versions["profiles"] != version
    assert Router([*profiles[:2], make_profile("strong", 0.91)]).versions["profiles"] != version


def test_notes_reach_the_decision(profiles: list[CapabilityProfile], fake_scorer: FakeScorer) -> None:
    parts = [{"type": "text", "text": "x\x00" * 20_000}, {"type": "image_url", "image_url": {}}]
    notes = Router(profiles, scorer=fake_scorer).route({"role": "user", "content": parts}).notes
    assert len(notes) == 4
    assert notes[-1] == "it is not known whether any candidate can do vision (the conversation holds an image part)"
    assert len(fake_scorer.calls[0][0]) == 16_000


def test_one_candidate(fake_scorer: FakeScorer) -> None:
    decision = Router([make_profile("alone", 0.6)], scorer=fake_scorer).route("hello")
    assert decision.model == "alone"
    assert decision.reason == "the only candidate, P(success) 0.60"


def test_many_candidates_and_the_same_decision_again() -> None:
    router = Router([make_profile(f"m{i:03}", i / 500) for i in range(500)], scorer=FakeScorer())
    first, second = router.route("hello"), router.route("hello")
    assert len(first.scores) == 500
    assert list(first.scores.values()) == sorted(first.scores.values(), reverse=True)
    assert (first.model, first.scores) == (second.model, second.scores)
    assert first.id != second.id


def test_ties_are_broken_by_name_whatever_the_order() -> None:
    same = [make_profile(name, 0.6) for name in ("c", "a", "b")]
    for order in (same, same[::-1]):
        decision = Router(order, scorer=FakeScorer({0.6: 0.5})).route("hello")
        assert decision.model == "a"
        assert list(decision.scores) == ["a", "b", "c"]


def test_a_subset(profiles: list[CapabilityProfile], fake_scorer: FakeScorer) -> None:
    router = Router(profiles, scorer=fake_scorer)
    for _ in range(2):
        decision = router.route("hello", candidates=["middling", "weak", "weak"])
        assert decision.model == "middling"
        assert list(decision.scores) == ["middling", "weak"]
        assert decision.excluded == {"strong": Exclusion("not_asked", "not asked for")}
    assert router.route("hello", candidates=["strong"]).model == "strong"
    assert router.route("hello", candidates=["weak", "middling", "strong"]).excluded == {}


def test_subsets_do_not_pile_up(fake_scorer: FakeScorer) -> None:
    router = Router([make_profile(f"m{i}", 0.6) for i in range(300)], scorer=fake_scorer)
    for name in router.names:
        assert router.route("hello", candidates=[name]).model == name


@pytest.mark.parametrize(
    ("subset", "error"), [(["nobody"], UnknownModelError), ([], RoutingError), (["weak", 7], UnknownModelError)]
)
def test_a_subset_that_leaves_nothing(
    profiles: list[CapabilityProfile], fake_scorer: FakeScorer, subset: Any, error: type[ModelSATError]
) -> None:
    with pytest.raises(error):
        Router(profiles, scorer=fake_scorer).route("hello", candidates=subset)
    assert Router(profiles, scorer=fake_scorer, fallback="weak").route("hello", candidates=subset).fallback


def nan(scores: Any) -> Any:
    return np.full_like(scores, math.nan)


FAILURES = [
    (FakeScorer(error=ValueError(SECRET)), "hello", RoutingError, "ValueError"),
    (FakeScorer(error=ScoringError("no network")), "hello", ScoringError, "ScoringError"),
    (FakeScorer(transform=nan), "hello", ScoringError, "ScoringError"),
    (FakeScorer(transform=lambda scores: scores + 1.5), "hello", ScoringError, "ScoringError"),
    (FakeScorer(transform=lambda scores: -scores - 0.1), "hello", ScoringError, "ScoringError"),
    (FakeScorer(transform=lambda scores: scores[:, :1]), "hello", ScoringError, "ScoringError"),
    (FakeScorer(), "", InvalidRequestError, "InvalidRequestError"),
    (FakeScorer(), None, InvalidRequestError, "InvalidRequestError"),
]


@pytest.mark.parametrize(("scorer", "messages", "error", "counted"), FAILURES)
@pytest.mark.parametrize(("fallback", "strict"), [(None, False), (None, True), ("strong", True), ("elsewhere", False)])
def test_failures_take_the_fallback_or_raise(
    profiles: list[CapabilityProfile],
    caplog: pytest.LogCaptureFixture,
    scorer: FakeScorer,
    messages: Any,
    error: type[ModelSATError],
    counted: str,
    fallback: str | None,
    strict: bool,
) -> None:
    router = Router(profiles, scorer=scorer, fallback=fallback, strict=strict)
    if strict or fallback is None:
        with pytest.raises(error) as caught:
            router.route(messages)
        assert type(caught.value) is error
        assert router.fallbacks == Counter()
        return
    with caplog.at_level(logging.WARNING, logger="modelsat"):
        decision = router.route(messages)
    assert decision.model == fallback
    assert decision.fallback
    assert decision.scores == {}
    assert decision.score is None
    assert decision.failure is not None
    assert decision.failure.kind == counted
    assert decision.versions == router.versions
    assert router.fallbacks == Counter({counted: 1})
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert counted in record.getMessage()
    assert SECRET not in record.getMessage()


def test_foreign_errors_are_the_cause(profiles: list[CapabilityProfile]) -> None:
    with pytest.raises(RoutingError, match="ValueError: boom") as caught:
        Router(profiles, scorer=FakeScorer(error=ValueError("boom"))).route("hello")
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_interrupt_is_not_a_failure(profiles: list[CapabilityProfile]) -> None:
    with pytest.raises(KeyboardInterrupt):
        Router(profiles, scorer=FakeScorer(error=KeyboardInterrupt()), fallback="weak").route("hello")


def test_what_is_not_scores_is_a_failure(profiles: list[CapabilityProfile]) -> None:
    class Plain(FakeScorer):
        def score(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Any:
            return super().score(texts, profiles).p

    router = Router(profiles, scorer=Plain(), fallback="weak")
    assert router.route("hello").fallback
    with pytest.raises(ScoringError, match=r"ndarray, not modelsat\.inference\.Scores"):
        router.warmup()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"policy": "cheapst"}, "known policies"),
        ({"fallback": "  "}, "fallback"),
        ({"fallback": 7}, "fallback"),
        ({"extractor": "last"}, "extractor"),
        ({"candidates": []}, "at least one"),
        ({"candidates": [make_profile("a"), make_profile("a", 0.7)]}, "more than once: 'a'"),
    ],
)
def test_construction_errors_always_raise(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Router(**{"candidates": [make_profile("a")], "fallback": "b", **settings})


def test_a_batch_is_one_call_and_one_bad_element_spoils_nothing(
    profiles: list[CapabilityProfile], fake_scorer: FakeScorer
) -> None:
    router = Router(profiles, scorer=fake_scorer, fallback="weak")
    decisions = router.route_batch(
        ["one", "", {"role": "user", "content": "two"}, b"three"], candidates=["middling", "weak"]
    )
    assert [decision.model for decision in decisions] == ["middling", "weak", "middling", "weak"]
    assert [decision.fallback for decision in decisions] == [False, True, False, True]
    assert fake_scorer.calls == [["one", "two"]]
    assert router.fallbacks == Counter({"InvalidRequestError": 2})
    with pytest.raises(InvalidRequestError):
        Router(profiles, scorer=fake_scorer).route_batch(["one", ""])


def test_a_batch_agrees_with_single_routes(profiles: list[CapabilityProfile]) -> None:
    router = Router(profiles, scorer=FakeScorer())
    prompts = [f"prompt {i}" for i in range(20)]
    batch = router.route_batch(prompts)
    assert [d.scores for d in batch] == [router.route(prompt).scores for prompt in prompts]
    assert len({decision.model for decision in batch}) > 1


def test_batches_at_the_edge(profiles: list[CapabilityProfile], fake_scorer: FakeScorer) -> None:
    router = Router(profiles, scorer=fake_scorer, fallback="weak")
    assert router.route_batch([]) == []
    assert [decision.fallback for decision in router.route_batch(["", " "])] == [True, True]
    assert fake_scorer.calls == []
    with pytest.raises(InvalidRequestError, match="a batch is a list"):
        router.route_batch("hello")


def test_a_policy_of_ones_own(profiles: list[CapabilityProfile], fake_scorer: FakeScorer) -> None:
    class Worst:
        name = "worst"

        def choose(self, scored: Sequence[Scored], request: Any = None) -> Choice:
            assert scored[0].score >= scored[-1].score
            return Choice(scored[-1].name, "lowest", {scored[0].name: Exclusion("policy", "too good")})

    decision = Router(profiles, scorer=fake_scorer, policy=Worst()).route("hello")
    assert (decision.model, decision.policy, decision.reason) == ("weak", "worst", "lowest")
    assert decision.excluded == {"strong": Exclusion("policy", "too good")}


def test_a_policy_that_chooses_a_stranger(profiles: list[CapabilityProfile], fake_scorer: FakeScorer) -> None:
    class Stray:
        name = "stray"

        def choose(self, scored: Sequence[Scored], request: Any = None) -> Choice:
            return Choice("nobody", "why not")

    with pytest.raises(RoutingError, match="chose 'nobody'"):
        Router(profiles, scorer=fake_scorer, policy=Stray()).route("hello")


def test_an_extractor_of_ones_own(profiles: list[CapabilityProfile], fake_scorer: FakeScorer) -> None:
    router = Router(profiles, scorer=fake_scorer, extractor=lambda turns: turns[0].text.upper())
    router.route(["first", "second"])
    assert fake_scorer.calls == [["FIRST"]]
    failing = Router(profiles, scorer=fake_scorer, extractor=lambda turns: str(turns[9]), fallback="weak")
    assert failing.route("hello").failure == Failure(
        "IndexError", "routing failed: IndexError: list index out of range"
    )


class _MuteError(Exception):
    """An error that cannot even say what it is."""

    def __str__(self) -> str:
        raise ValueError("nothing to say")


@pytest.mark.parametrize(
    ("raised", "kind"),
    [(_MuteError(), "_MuteError"), (SystemExit(3), "ScoringError"), (RecursionError(), "RecursionError")],
)
def test_no_error_of_a_scorer_escapes_the_fallback(
    profiles: list[CapabilityProfile], raised: BaseException, kind: str
) -> None:
    class Broken(FakeScorer):
        def score(self, *arguments: Any) -> Any:
            raise raised

    decision = Router(profiles, scorer=Broken(), fallback="weak").route("hello")
    assert (decision.model, decision.fallback) == ("weak", True)
    assert decision.failure is not None
    assert decision.failure.kind == kind


def test_a_name_forges_no_log_line(profiles: list[CapabilityProfile], caplog: pytest.LogCaptureFixture) -> None:
    router = Router(profiles, scorer=FakeScorer(), fallback="weak")
    with caplog.at_level(logging.WARNING, "modelsat"):
        decision = router.route("hello", candidates=["a\nWARNING forged \u2028 line"])
    assert decision.failure is not None
    for text in (decision.failure.message, *caplog.messages):
        assert text.splitlines() == [text]
    assert "forged" in caplog.text
