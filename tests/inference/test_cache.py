"""The score cache: bounded, for a limited time, safe among threads, and never an answer to another question."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from modelsat.errors import ConfigurationError, ScoringError
from modelsat.inference.base import ScoreCache, TextScores
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile


class _Counting:
    def __init__(self, version="v"):
        self.texts, self.version = [], version

    def __call__(self, texts):
        self.texts += texts
        return [TextScores((float(len(text)), hash(text) % 7), {}, self.version) for text in texts]


def test_equal_texts_are_computed_once_and_rows_stand_in_order():
    cache, compute = ScoreCache(), _Counting()
    first = cache.score(["a", "bb", "a"], "v", ("a", "b"), compute)
    again = cache.score(["bb", "ccc"], "v", ("a", "b"), compute)
    assert compute.texts == ["a", "bb", "ccc"]
    assert [row.p[0] for row in first] == [1.0, 2.0, 1.0]
    assert [row.p[0] for row in again] == [2.0, 3.0]
    assert cache.counts == {"hits": 1, "misses": 4}


@pytest.mark.parametrize(("version", "digests"), [("w", ("a", "b")), ("v", ("b", "a")), ("v", ("a", "c"))])
def test_other_weights_or_candidates_are_another_question(version, digests):
    cache, compute = ScoreCache(), _Counting()
    cache.score(["a"], "v", ("a", "b"), compute)
    cache.score(["a"], version, digests, compute)
    assert compute.texts == ["a", "a"]


def test_bounded_and_the_least_recently_used_row_goes_first():
    cache, compute = ScoreCache(size=2), _Counting()
    for text in ("a", "b", "a", "c", "a", "b"):
        cache.score([text], "v", ("a", "b"), compute)
    assert len(cache) == 2
    assert compute.texts == ["a", "b", "c", "b"]
    cache.clear()
    assert len(cache) == 0


def test_rows_expire():
    times = iter([0.0, 0.0, 9.9, 10.0, 10.0])  # asked when a row is looked for and when it is kept
    cache, compute = ScoreCache(ttl_s=10, clock=lambda: next(times)), _Counting()
    for _ in range(3):
        cache.score(["a"], "v", ("a", "b"), compute)
    assert compute.texts == ["a", "a"]


def test_scores_of_a_server_are_good_as_long_as_it_answers_with_the_same_weights():
    cache, old, new = ScoreCache(), _Counting("old"), _Counting("new")
    cache.score(["a"], "http://server", ("x", "y"), old)  # nothing is known of its weights before the first answer
    cache.score(["a"], "old", ("x", "y"), new)
    assert new.texts == []
    cache.score(["b"], "old", ("x", "y"), new)
    cache.score(["a"], "new", ("x", "y"), new)
    assert new.texts == ["b", "a"]


def test_failures_are_not_kept():
    cache = ScoreCache()

    def broken(texts):
        raise ScoringError("broken")

    with pytest.raises(ScoringError):
        cache.score(["a"], "v", ("a", "b"), broken)
    assert cache.score(["a"], "v", ("a", "b"), _Counting())[0].p[0] == 1.0


def test_threads():
    cache, compute = ScoreCache(size=50), _Counting()
    texts = [str(number % 80).rjust(number % 80 + 1) for number in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: cache.score([text], "v", ("a", "b"), compute)[0].p[0], texts))
    assert rows == [float(len(text)) for text in texts]
    assert len(cache) <= 50


@pytest.mark.parametrize("arguments", [{"size": 0}, {"ttl_s": 0}, {"ttl_s": float("nan")}])
def test_bounds_that_make_no_sense(arguments):
    with pytest.raises(ConfigurationError, match="positive"):
        ScoreCache(**arguments)


def test_a_router_asks_for_its_cache_or_none():
    profiles = [make_profile("weak", 0.3), make_profile("strong", 0.9)]
    for cache, calls in ((True, 1), (False, 2), (ScoreCache(), 1)):
        scorer = FakeScorer({0.9: 0.9, 0.3: 0.3})
        router = Router(profiles, scorer=scorer, cache=cache)
        decisions = [router.route("Hello there") for _ in range(2)]
        assert len(scorer.calls) == calls
        assert decisions[0].scores == decisions[1].scores
        assert router.route("Hello there", candidates=["weak"]).model == "weak"
    with pytest.raises(ConfigurationError, match="ScoreCache"):
        Router(profiles, cache=3)


async def test_one_call_leaves_the_cache_out_and_keeps_nothing():
    scorer, cache = FakeScorer({0.9: 0.9, 0.3: 0.3}), ScoreCache()
    router = Router([make_profile("weak", 0.3), make_profile("strong", 0.9)], scorer=scorer, cache=cache)
    router.route("new", cache=False)
    assert len(cache) == 0
    router.route("Hello there")
    anew = (
        lambda: router.route("Hello there", cache=False),
        lambda: router.route_batch(["Hello there"], cache=False)[0],
        lambda: router.route_each(["Hello there"], cache=False)[0],
    )
    decisions = [call() for call in anew]
    decisions.append(await router.aroute("Hello there", cache=False))
    decisions += await router.aroute_batch(["Hello there"], cache=False)
    assert [decision.model for decision in decisions] == ["strong"] * 5
    assert scorer.calls == [["new"]] + [["Hello there"]] * 6
    router.route("Hello there")
    assert len(scorer.calls) == 7
    assert cache.counts == {"hits": 1, "misses": 1}


def test_routers_with_other_profiles_share_a_cache_without_mixing():
    cache, scorer = ScoreCache(), FakeScorer({0.9: 0.9, 0.3: 0.3})
    up = Router([make_profile("a", 0.9), make_profile("b", 0.3)], scorer=scorer, cache=cache)
    down = Router([make_profile("a", 0.3), make_profile("b", 0.9)], scorer=scorer, cache=cache)
    assert [up.route("Hello").model, down.route("Hello").model] == ["a", "b"]
