"""Rules: what they apply to, what they do, and that none of them ever overrules a constraint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from modelsat.candidates import Candidate
from modelsat.errors import ConfigurationError, NoCandidateError
from modelsat.request import RequestContext
from modelsat.request.routing_rules import RoutingRules
from modelsat.request.wording import language_of
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile

FACTS: dict[str, dict[str, Any]] = {
    "large": {"provider": "acme", "region": "us", "abilities": {"tools": True, "vision": True}},
    "small": {"provider": "acme", "region": "eu", "abilities": {"tools": True, "vision": False}},
    "local": {"provider": "home", "region": "eu", "abilities": {"tools": False, "vision": False}},
}
SCORES = {0.9: 0.9, 0.6: 0.6, 0.3: 0.3}
QUESTION = "Why is the sky blue?"


def candidates() -> list[Candidate]:
    accuracies = {"large": 0.9, "small": 0.6, "local": 0.3}
    return [
        Candidate(name, make_profile(name, accuracy), {**FACTS[name], "abilities": FACTS[name]["abilities"]})
        for name, accuracy in accuracies.items()
    ]


def router(*rules: dict[str, Any], **options: Any) -> Router:
    return Router(candidates(), scorer=FakeScorer(SCORES), rules=list(rules), **options)


@pytest.mark.parametrize(
    ("when", "messages", "context"),
    [
        ({"keyword": "invoice"}, "Read this INVOICE for me.", {}),
        ({"keyword": ["nothing", "sky blue"]}, QUESTION, {}),
        ({"regex": r"\b\d{3}-\d{2}-\d{4}\b"}, "My number is 078-05-1120.", {}),
        ({"language": ["de", "fr"]}, "Warum ist der Himmel blau und nicht rot?", {}),
        ({"kind": "small_talk"}, "Thanks a lot!", {}),
        ({"kind": "code"}, "What does this do?\n```python\nprint(1)\n```", {}),
        ({"kind": "schema"}, QUESTION, {"response_format": {"type": "json_object"}}),
        ({"tools": True}, QUESTION, {"tools": [{"name": "look_up"}]}),
        ({"tools": False}, QUESTION, {}),
        ({"tokens_over": 500}, "word " * 1000, {}),
        ({"tokens_under": 500}, QUESTION, {}),
        ({"metadata": {"tier": ["free", "trial"]}}, QUESTION, {"metadata": {"tier": "trial"}}),
        ({"metadata": {"seats": 3}}, QUESTION, {"metadata": {"seats": "3"}}),
        ({"group": "support"}, QUESTION, {"metadata": {"group": "support"}}),
        ({}, QUESTION, {}),
    ],
)
def test_a_rule_applies_where_everything_it_names_is_true(when: Any, messages: str, context: dict[str, Any]) -> None:
    ruled = router({"name": "mine", "when": when, "then": {"exclude": "large"}})
    decision = ruled.route(messages, context=RequestContext(**context))
    assert decision.rules == ("mine",)
    assert decision.excluded["large"].kind == "rule"
    assert str(decision.excluded["large"]) == "by 'mine'"
    assert decision.model == "small"
    elsewhere = {"metadata": {"group": "other", "tier": "paid"}}
    if when:
        other = ruled.route("Lies " * 600 if "tokens_under" in when else "ok so", context=RequestContext(**elsewhere))
        if when not in ({"tools": False},):
            assert other.rules == ()
            assert other.model == "large"


def test_rules_are_obeyed_in_order_and_seen_in_the_decision() -> None:
    ruled = router(
        {"when": {"keyword": "sky"}, "then": {"use": ["small", "local"]}},
        {"name": "cheap", "then": {"use": "local"}},
        {"name": "never", "then": {"exclude": "*"}},
    )
    decision = ruled.route(QUESTION)
    assert (decision.model, decision.rules) == ("local", ("rule 1", "cheap"))
    assert "'never' would leave nobody who may answer, and was passed over" in decision.notes
    assert "excluded: large (by 'rule 1')" in decision.explain()
    assert set(ruled.exclusions(QUESTION)) == {"large", "small"}
    assert ruled.versions["policy"] != router().versions["policy"]


def test_a_constraint_of_a_rule_holds_and_leaves_nobody_rather_than_anybody() -> None:
    rule = {"when": {"metadata": {"tenant": "bank"}}, "then": {"constraints": {"allow_regions": ["eu"]}}}
    bank = RequestContext(metadata={"tenant": "bank"})
    assert router(rule).route(QUESTION, context=bank).model == "small"
    assert router(rule).route(QUESTION).model == "large"
    with pytest.raises(NoCandidateError):
        router(rule, constraints={"allow_regions": ["us"]}).route(QUESTION, context=bank)
    fallen = router(rule, fallback="large").route([{"role": "user", "content": ""}], context=bank)
    assert fallen.fallback
    assert fallen.model == "small"  # what cannot be read exempts nobody


def test_least_effort_leaves_out_what_is_asked_for_less() -> None:
    made = [
        Candidate(f"m@{effort}", make_profile("m", 0.5 + place / 10).model_copy(update={"effort": effort}))
        for place, effort in enumerate(("low", "medium", "high"))
    ]
    ruled = Router(made, scorer=FakeScorer(), rules=[{"then": {"least_effort": "medium"}}])
    assert set(ruled.route(QUESTION).excluded) == {"m@low"}


def test_a_pattern_that_takes_too_long_counts_as_found() -> None:
    decision = router({"when": {"regex": r"(\w+\s?)+$"}, "then": {"exclude": "large"}}).route("ab " * 2000 + "!" * 50)
    assert decision.model == "small"
    assert any("took longer than 10 ms and counts as found" in note for note in decision.notes)


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ([{"then": {}}], "then is empty"),
        ([{"when": {"kind": "poem"}, "then": {"use": "a"}}], r"rules, rule 1: .*kind"),
        ([{"when": {"language": "tlh"}, "then": {"use": "a"}}], "language 'tlh' is not recognised"),
        ([{"when": {"regex": "("}, "then": {"use": "a"}}], r"regex '\(' cannot be read"),
        ([{"when": {"tokens_over": 5, "tokens_under": 5}, "then": {"use": "a"}}], "no request has more"),
        ([{"when": {"weather": "fine"}, "then": {"use": "a"}}], "unknown field 'weather'"),
        ([{"then": {"use": "a", "exclude": "a"}}], "both used and excluded"),
        ([{"then": {"least_effort": "huge"}}], "least_effort must be one of"),
        ([{"then": {"constraints": {"allow_regions": ["eu"], "deny_regions": ["eu"]}}}], "contradictory constraints"),
        ([{"then": {"use": "a"}}, {"then": {"use": "b"}}], "apply to the same requests and use different models"),
        ([{"name": "x", "then": {"use": "a"}}, {"name": "x", "then": {"exclude": "b"}}], "two are called 'x'"),
        ({"then": {"use": "a"}}, "must be a list of rules"),
    ],
)
def test_what_makes_no_sense_is_refused_at_start(rules: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Router(candidates(), scorer=FakeScorer(), rules=rules)


def test_one_file_for_all_ways_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n- name: sky\n  when: {keyword: sky}\n  then: {use: small}\n- then: {exclude: gone}\n")
    assert Router(candidates(), scorer=FakeScorer(SCORES), rules=path).route(QUESTION).model == "small"
    assert "names gone, which is not a candidate here" in caplog.text
    assert RoutingRules.of(str(path)) == RoutingRules.of(path)
    path.write_text("- then: {use: small}\n")
    with pytest.raises(ConfigurationError):
        RoutingRules.of(path)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I sort a list in Python, and why is it stable?", "en"),
        ("Wie sortiere ich eine Liste und warum ist das stabil?", "de"),
        ("Comment trier une liste et pourquoi est-ce stable ?", "fr"),
        ("¿Cómo se ordena una lista y por qué es estable?", "es"),
        ("リストを並べ替えるにはどうすればよいですか", "ja"),
        ("如何对列表排序?", "zh"),
        ("Как отсортировать список?", "ru"),
        ("x = 1", ""),
        ("", ""),
    ],
)
def test_languages_are_told_apart(text: str, language: str) -> None:
    assert language_of(text) == language


PATTERNS = st.lists(st.sampled_from(["large", "small", "local", "l*", "*", "none"]), max_size=2)
WHENS = st.fixed_dictionaries(
    {},
    optional={
        "keyword": st.sampled_from(["sky", "sea"]),
        "tools": st.booleans(),
        "tokens_over": st.integers(0, 50),
        "metadata": st.sampled_from([{"t": "a"}, {"t": "b"}]),
    },
)
CONSTRAINTS = st.fixed_dictionaries(
    {},
    optional={
        "allow_regions": st.sampled_from([["eu"], ["us"]]),
        "deny_models": st.sampled_from([["large"], ["small"], ["l*"]]),
        "deny_providers": st.sampled_from([["acme"], ["home"]]),
    },
)


@st.composite
def some_rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        then: dict[str, Any] = {"use": draw(PATTERNS), "exclude": draw(PATTERNS)}
        then["exclude"] = [name for name in then["exclude"] if name not in then["use"]]
        if draw(st.booleans()):
            then["constraints"] = draw(CONSTRAINTS)
        then = {name: value for name, value in then.items() if value}
        if then:
            made.append({"name": f"r{number}", "when": {**draw(WHENS), "group": f"g{number % 2}"}, "then": then})
    return made


@settings(max_examples=150, deadline=None)
@given(some_rules(), CONSTRAINTS, st.booleans(), st.sampled_from(["g0", "g1"]))
def test_no_rule_ever_overrules_a_constraint(
    rules: list[dict[str, Any]], constraints: dict[str, Any], tools: bool, group: str
) -> None:
    context = RequestContext(tools=[{"name": "x"}] if tools else [], metadata={"t": "a", "group": group})
    try:
        ruled = router(*rules, constraints=constraints)
    except ConfigurationError:
        reject()  # two of them contradict each other
    forbidden = router(constraints=constraints).exclusions(QUESTION, context=context)
    try:
        decision = ruled.route(QUESTION, context=context)
    except NoCandidateError:
        assert len(forbidden) == 3 or any(rule["then"].get("constraints") for rule in rules)
        return
    assert decision.model not in forbidden
    assert {name: why.kind for name, why in forbidden.items()}.keys() <= decision.excluded.keys()
    for rule in rules:
        if rule["name"] in decision.rules and (regions := rule["then"].get("constraints", {}).get("allow_regions")):
            assert FACTS[decision.model]["region"] in regions
