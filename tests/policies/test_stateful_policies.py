"""Policies that remember: budget and sticky; and the cascade's ladder."""

from __future__ import annotations

import copy
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from modelsat.errors import ConfigurationError
from modelsat.policies import Best, Budget, Cascade, Cheapest, PolicyRequest, Scored, Sticky, resolve_policy
from modelsat.policies.resolve import spell_policy
from modelsat.request import Exclusion


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


SMALL, LARGE = Scored("small", 0.5, 0.001), Scored("large", 0.9, 0.01)


# -- budget --------------------------------------------------------------------------------------------------------


def test_cheap_requests_save_up_for_dear_ones() -> None:
    budget = Budget(usd_per_1k=4, clock=Clock())
    chosen = [budget.choose([SMALL, LARGE]).name for _ in range(9)]
    assert chosen[:3] == ["small", "small", "large"]
    count, spent = budget.spent
    assert count == 9
    assert spent / count <= 0.004


def test_what_does_not_fit_is_struck_with_its_price() -> None:
    choice = Budget(usd_per_1k=4, clock=Clock()).choose([SMALL, LARGE])
    assert choice.excluded == {"large": Exclusion("budget", "over the budget: $0.01")}
    assert choice.reason == "P(success) 0.50 for $0.001, within budget: $1 of $4 per 1,000 requests"


def test_when_nothing_fits_the_cheapest_answers_and_the_decision_says_so() -> None:
    choice = Budget(usd_per_1k=0.5, clock=Clock()).choose([LARGE, SMALL])
    assert choice.name == "small"
    assert "nothing fits into the budget: $1 of $0.5" in choice.reason


def test_spending_is_forgotten_with_the_window() -> None:
    clock = Clock()
    budget = Budget(usd_per_1k=1.5, window_s=60, clock=clock)
    budget.charge(10.0, 1)
    assert "nothing fits" in budget.choose([SMALL, LARGE]).reason
    clock.now += 61
    assert budget.spent == (0, 0.0)
    assert "within budget" in budget.choose([SMALL, LARGE]).reason


def test_the_window_needs_no_more_memory_for_more_requests() -> None:
    clock = Clock()
    budget = Budget(usd_per_1k=5, clock=clock)
    for _ in range(2_000):
        clock.now += 1.8
        budget.choose([SMALL, LARGE])
    assert len(budget._ledger._slots) <= 121


def test_a_budget_comes_close_to_the_best_that_it_can_buy() -> None:
    """Against the best fixed price of money that hindsight knows, on 3,000 requests of three candidates."""
    rng = random.Random(0)

    def draw() -> list[Scored]:
        hard, length = rng.random(), rng.lognormvariate(0, 1)
        shape = (("s", 0.9, 0.8, 0.0003), ("m", 0.95, 0.45, 0.002), ("l", 0.97, 0.2, 0.012))
        return [Scored(name, top - slope * hard, price * length) for name, top, slope, price in shape]

    requests = [draw() for _ in range(3_000)]
    clock = Clock()
    budget = Budget(usd_per_1k=2.5, clock=clock)
    quality = spent = 0.0
    for request in requests:
        clock.now += 1
        name = budget.choose(request).name
        taken = next(candidate for candidate in request if candidate.name == name)
        quality, spent = quality + taken.score, spent + (taken.cost or 0.0)
    assert 2.2 <= spent / 3 <= 2.5

    def hindsight(price: float) -> tuple[float, float]:
        chosen = [max(request, key=lambda c: c.score - price * (c.cost or 0.0)) for request in requests]
        return sum(c.cost or 0.0 for c in chosen), sum(c.score for c in chosen)

    best = max(found for price in range(0, 400, 5) if (pair := hindsight(price))[0] <= 7.5 for found in [pair[1]])
    assert quality > 0.98 * best


def test_a_budget_is_kept_by_many_threads() -> None:
    budget = Budget(usd_per_1k=4, clock=Clock())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: budget.choose([SMALL, LARGE]), range(400)))
    count, spent = budget.spent
    assert count == 400
    assert spent <= 0.004 * 400 + 1e-9


# -- sticky --------------------------------------------------------------------------------------------------------


def request(thread: str | None = "t", turn: str = "1", tokens: int = 1_000) -> PolicyRequest:
    return PolicyRequest(thread, turn, tokens)


def pool(a: float, b: float, **fields: Any) -> list[Scored]:
    return [Scored("a", a, 0.01, **fields), Scored("b", b, 0.01, **fields)]


def test_a_thread_keeps_its_model_until_another_is_worth_the_switch() -> None:
    sticky = Sticky(Best(), clock=Clock())
    assert sticky.choose(pool(0.8, 0.7), request()).name == "a"
    kept = sticky.choose(pool(0.7, 0.74), request(turn="2"))
    assert kept.name == "a"
    assert kept.reason == "kept in this conversation: b would gain +0.04, less than 0.05"
    switched = sticky.choose(pool(0.7, 0.76), request(turn="3"))
    assert switched.name == "b"
    assert switched.reason.endswith("switched from a")
    assert sticky.choose(pool(0.7, 0.69), request(turn="4")).name == "b"
    assert sticky.choose(pool(0.7, 0.69), request("other")).name == "a"
    assert sticky.choose(pool(0.7, 0.69), request(None)).name == "a"
    assert len(sticky) == 2


def test_a_struck_model_is_left() -> None:
    sticky = Sticky("best", clock=Clock())
    sticky.choose(pool(0.8, 0.7), request())
    assert sticky.choose(pool(0.8, 0.7)[1:], request()).name == "b"


def test_the_lost_prompt_cache_is_what_a_switch_costs() -> None:
    clock = Clock()
    sticky = Sticky(Cheapest(0.6), clock=clock)
    dear = Scored("dear", 0.9, 0.012, None, 0.010, 0.001)
    cheap = Scored("cheap", 0.5, 0.008, None, 0.007, 0.0035)
    assert sticky.choose([dear, cheap], request()).name == "dear"
    able = Scored("cheap", 0.9, 0.008, None, 0.007, 0.0035)
    assert sticky.choose([dear, able], request(turn="2", tokens=1_100)).name == "dear"
    assert Cheapest(0.6).choose([dear, able]).name == "cheap"
    clock.now += 301
    assert sticky.choose([dear, able], request(turn="3")).name == "cheap"


def test_per_turn_stays_within_the_turn_and_decides_anew_after_it() -> None:
    sticky = Sticky(Best(), per="turn", clock=Clock())
    assert sticky.choose(pool(0.8, 0.7), request(turn="1")).name == "a"
    assert sticky.choose(pool(0.1, 0.9), request(turn="1")).reason == "kept for this user turn, P(success) 0.10"
    assert sticky.choose(pool(0.7, 0.71), request(turn="2")).name == "b"
    assert sticky.choose(pool(0.8, 0.7), request(None, turn="x")).name == "a"
    assert sticky.choose(pool(0.7, 0.9), request(None, turn="x")).name == "a"


def test_conversations_are_forgotten() -> None:
    clock = Clock()
    sticky = Sticky(Best(), max_threads=3, ttl_s=100, clock=clock)
    for number in range(10):
        sticky.choose(pool(0.8, 0.7), request(str(number)))
    assert len(sticky) == 3
    clock.now += 101
    assert sticky.choose(pool(0.7, 0.72), request("9")).name == "b"
    assert len(sticky) == 1


def test_a_budget_inside_pays_for_what_was_really_chosen() -> None:
    budget = Budget(usd_per_1k=100, clock=Clock())
    sticky = Sticky(budget, per="turn", clock=Clock())
    for _ in range(3):
        sticky.choose([SMALL, LARGE], request())
    assert budget.spent == (3, pytest.approx(0.03))
    thread = Sticky(Budget(usd_per_1k=100, clock=Clock()), clock=Clock())
    thread.choose([Scored("a", 0.8, 0.01), Scored("b", 0.7, 0.02)], request())
    thread.choose([Scored("a", 0.8, 0.01), Scored("b", 0.82, 0.02)], request())
    assert thread.inner.spent == (2, pytest.approx(0.02))  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", [Budget(1), Sticky(Best())])
def test_a_deep_copy_goes_on_with_the_same_state(policy: Any) -> None:
    assert copy.deepcopy({"policy": policy})["policy"] is policy


def test_many_threads_at_once() -> None:
    sticky = Sticky(Best(), max_threads=50)
    with ThreadPoolExecutor(8) as workers:
        chosen = list(workers.map(lambda n: sticky.choose(pool(0.8, 0.7), request(str(n % 100))).name, range(2_000)))
    assert set(chosen) == {"a"}
    assert len(sticky) == 50


# -- cascade -------------------------------------------------------------------------------------------------------

LADDER = [
    Scored("xl", 0.93, 0.05),
    Scored("large", 0.9, 0.02),
    Scored("medium", 0.7, 0.004),
    Scored("odd", 0.6, 0.01),
    Scored("small", 0.5, 0.0004),
    Scored("tiny", 0.2, 0.0001),
]


def test_a_cascade_climbs_by_price_and_probability() -> None:
    choice = Cascade().choose(LADDER)
    assert (choice.name, choice.escalation, choice.threshold) == ("small", ("medium", "large"), 0.5)
    assert choice.reason == (
        "cheapest ($0.0004) with P(success) of at least 0.50: 0.50; answers below 0.50 go on to medium, large"
    )
    assert Cascade(steps=2, threshold=0.8).choose(LADDER).escalation == ("large",)
    assert Cascade(start=0.1, min_gain=0.0, steps=9).choose(LADDER).escalation == ("small", "medium", "large", "xl")
    assert Cascade(start=0.92).choose(LADDER).escalation == ()
    lost = Cascade(start=0.99).choose(LADDER)
    assert (lost.name, lost.escalation, lost.threshold) == ("xl", (), 0.5)


def test_a_cascade_inside_sticky_keeps_its_escalation() -> None:
    sticky = Sticky(Cascade(), clock=Clock())
    assert sticky.choose(LADDER, request()).name == "small"
    moved = [Scored("small", 0.48, 0.0004), *(c for c in LADDER if c.name != "small")]
    again = sticky.choose(moved, request(turn="2"))
    assert (again.name, again.escalation) == ("medium", ("large",))


# -- forms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "budget(usd_per_1k=2.5, window_s=600)",
        "sticky(cheapest(target=0.7), per='turn')",
        "sticky(inner=tradeoff(value_per_success=0.1), min_gain=0.1)",
        "sticky('cheapest(target=0.7)')",
        "cascade(start=0.4, threshold=0.6)",
        "sticky(best)",
    ],
)
def test_text_and_plain_data_mean_the_same(text: str) -> None:
    policy = resolve_policy(text)
    assert resolve_policy(spell_policy(policy)) == policy
    assert "clock" not in str(spell_policy(policy))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("budget", "needs usd_per_1k"),
        ("budget('2.5 USD')", "plain number of USD: write 2.5"),
        ("budget(0)", "more than 0"),
        ("budget(1, window_s=-5)", "window_s must be more than 0 seconds"),
        ("budget(1, clock=1)", "no parameter 'clock'"),
        ("sticky", "needs inner"),
        ("sticky(best, per='week')", "per must be 'thread' or 'turn'"),
        ("sticky(best, min_gain=5)", "write 0.05 for 5 %"),
        ("sticky(best, max_threads=0)", "max_threads is a whole number"),
        ("sticky(sticky(best))", "sticky inside sticky"),
        ("sticky(" * 12 + "best" + ")" * 12, r"cannot read|nested|sticky inside"),
        ("cascade(steps=1)", "steps is a whole number of 2 or more"),
        ("cascade(threshold=50)", "write 0.5 for 50 %"),
    ],
)
def test_refused(policy: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        resolve_policy(policy)
