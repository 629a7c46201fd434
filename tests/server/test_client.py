"""The remote scorer: same decisions as in the process, profiles sent once, and what happens when the server is away."""

from __future__ import annotations

import gzip
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np
import pytest

from modelsat.capability import CapabilityProfile
from modelsat.errors import ConfigurationError, ScorerUnavailableError, ScoringError
from modelsat.inference import Scorer, Scores
from modelsat.inference.client import CircuitBreaker
from modelsat.router import Router
from modelsat.server import RemoteScorer
from tests.fakes import FakeScorer, make_profile
from tests.server.conftest import Served
from tests.server.servers import free_port, serving

PROMPTS = ["Why is the sky blue?", "Integrate x·eˣ.", "naïve café 東京 🙂", "x" * 5000, "yes"]


def answering(handler: Callable[[httpx.Request], httpx.Response], **options: Any) -> RemoteScorer:
    return RemoteScorer("http://scorer", transport=httpx.MockTransport(handler), **options)


def ask(scorer: RemoteScorer) -> Any:
    return scorer.score(["hello"], [make_profile("a", 0.5)]).p


def test_same_decisions_as_in_the_process(served: Served, profiles: list[CapabilityProfile]) -> None:
    remote = Router(profiles, scorer=served.address)
    local = Router(profiles, scorer=served.scorer)
    for prompt in PROMPTS:
        far, near = remote.route(prompt), local.route(prompt)
        assert (far.model, dict(far.scores), far.reason) == (near.model, dict(near.scores), near.reason)
        assert far.versions == near.versions
    some = ["weak", "middling"]
    assert remote.route("hello", candidates=some).scores == local.route("hello", candidates=some).scores
    assert [d.scores for d in remote.route_batch(PROMPTS)] == [d.scores for d in local.route_batch(PROMPTS)]


def test_it_is_a_scorer_and_says_whose_weights_decided(served: Served) -> None:
    scorer = RemoteScorer(served.address)
    assert isinstance(scorer, Scorer)
    assert scorer.version == served.address
    ask(scorer)
    assert scorer.version == "fake@served"
    scorer.close()
    ask(scorer)


def test_profiles_are_sent_once() -> None:
    bodies: list[dict[str, Any]] = []
    known: set[str] = set()

    def handler(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        bodies.append(body)
        known.update(CapabilityProfile(**entry).digest for entry in body.get("definitions", ()))
        missing = [digest for digest in body["profiles"] if digest not in known]
        if missing:
            return httpx.Response(404, json={"type": "x#unknown-profiles", "missing": missing})
        return httpx.Response(200, json={"weights": "w@1", "scores": [[0.25, 0.75]] * len(body["instructions"])})

    scorer = answering(handler)
    router = Router([make_profile("a", 0.2), make_profile("b", 0.8)], scorer=scorer)
    assert [router.route(text).model for text in ("one", "two")] == ["b", "b"]
    assert ["definitions" in body for body in bodies] == [False, True, False]
    known.clear()  # the server was restarted
    assert router.route("three").model == "b"
    assert ["definitions" in body for body in bodies[3:]] == [False, True]


def test_long_batches_are_sent_in_parts(served: Served) -> None:
    scorer, profiles = RemoteScorer(served.address), [make_profile("a", 0.3), make_profile("b", 0.7)]
    texts = [f"text {number}" for number in range(150)] + ["long " * 30_000]
    expected = served.scorer.score(texts, profiles).p
    before = len(served.scorer.calls)
    np.testing.assert_array_equal(scorer.score(texts, profiles).p, expected)
    assert len(served.scorer.calls) - before >= 4
    assert scorer.score([], profiles).p.shape == (0, 2)


def test_fields_come_with_the_scores() -> None:
    class Knowing(FakeScorer):
        def score(self, texts: Any, profiles: Any) -> Scores:
            shares = np.array([[0.25, 0.75]] * len(texts), np.float32)
            return replace(super().score(texts, profiles), fields=("law", "mathematics"), shares=shares)

    with serving(Knowing()) as address:
        scores = RemoteScorer(address, timeout_s=30.0).score(
            [str(number) for number in range(100)], [make_profile("a", 0.5)]
        )
    assert scores.by_field() == [{"law": 0.25, "mathematics": 0.75}] * 100
    old = answering(lambda _request: httpx.Response(200, json={"weights": "w", "scores": [[0.5]]}))
    assert old.score(["hello"], [make_profile("a", 0.5)]).by_field() == [{}], "a server of an earlier version"
    wrong = {"weights": "w", "scores": [[0.5]], "fields": ["law"], "shares": [[0.5, 0.5]]}
    with pytest.raises(ScoringError, match=r"shares of shape \(1, 2\)"):
        ask(answering(lambda _request: httpx.Response(200, json=wrong)))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_transient_failures_are_tried_again(status: int) -> None:
    answers = [httpx.Response(status), httpx.Response(200, json={"weights": "w", "scores": [[0.5]]})]
    assert ask(answering(lambda _request: answers.pop(0))) == [[0.5]]
    assert not answers


def test_it_waits_as_long_as_the_server_asks_or_gives_up_at_once() -> None:
    calls: list[float] = []

    def busy(_request: httpx.Request) -> httpx.Response:
        calls.append(time.monotonic())
        return httpx.Response(429, headers={"retry-after": "30"})

    scorer = answering(busy, timeout_s=1.0)
    with pytest.raises(ScorerUnavailableError, match="HTTP 429"):
        ask(scorer)
    assert len(calls) == 1
    assert scorer.breaker.state == "closed", "a server that is busy is not away"


def test_the_breaker_spares_a_server_that_is_away() -> None:
    calls = 0

    def gone(_request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        raise httpx.ConnectError("refused")

    scorer = answering(gone, attempts=1, breaker=CircuitBreaker(failures=2, reset_s=60))
    for _ in range(5):
        with pytest.raises(ScorerUnavailableError):
            ask(scorer)
    assert calls == 2


def test_without_a_server_the_router_falls_back(profiles: list[CapabilityProfile]) -> None:
    router = Router(profiles, scorer=f"http://127.0.0.1:{free_port()}", fallback="strong")  # type: ignore[arg-type]
    decision = router.route("hello")
    assert (decision.model, decision.fallback) == ("strong", True)
    assert decision.failure is not None
    assert decision.failure.kind == "ScorerUnavailableError"
    assert router.fallbacks["ScorerUnavailableError"] == 1


def test_an_embedded_scorer_stands_in_visibly(
    profiles: list[CapabilityProfile], fake_scorer: FakeScorer, caplog: pytest.LogCaptureFixture
) -> None:
    remote = RemoteScorer(f"http://127.0.0.1:{free_port()}", embedded=fake_scorer, attempts=1)
    router = Router(profiles, scorer=remote)
    with caplog.at_level(logging.WARNING, "modelsat"):
        decision = router.route("a secret prompt")
    assert (decision.model, decision.fallback) == ("strong", False)
    assert decision.versions["weights"] == "fake@1 (embedded)"
    assert remote.fallbacks == {"ScorerUnavailableError": 1}
    assert "stands in" in caplog.text
    assert "secret" not in caplog.text
    assert router.route("again").model == "strong"
    assert remote.version == remote.place, "the server has not answered"


def test_a_restarted_server_is_found_again(profiles: list[CapabilityProfile]) -> None:
    port = free_port()
    scorer = RemoteScorer(f"http://127.0.0.1:{port}", attempts=1, breaker=CircuitBreaker(failures=1, reset_s=0.05))
    router = Router(profiles, scorer=scorer, fallback="weak", cache=False)
    assert router.route("hello").fallback
    for version in ("fake@1", "fake@2"):
        with serving(FakeScorer({0.3: 0.3, 0.6: 0.6, 0.9: 0.9}, version=version), port=port):
            time.sleep(0.1)
            decision = router.route("hello")
            assert (decision.model, decision.versions["weights"]) == ("strong", version)
        assert router.route("hello").fallback


def test_kept_scores_of_a_server_hold_until_it_answers_with_other_weights(profiles: list[CapabilityProfile]) -> None:
    port = free_port()
    router = Router(profiles, scorer=f"http://127.0.0.1:{port}")
    with serving(FakeScorer({0.3: 0.3, 0.6: 0.6, 0.9: 0.9}, version="fake@1"), port=port):
        assert router.route("hello").model == "strong"
    assert router.route("hello").versions["weights"] == "fake@1", "the server is away, and its scores are at hand"
    with serving(FakeScorer({0.3: 0.9, 0.6: 0.6, 0.9: 0.3}, version="fake@2"), port=port):
        assert router.route("another").versions["weights"] == "fake@2"
        decision = router.route("hello")
    assert (decision.model, decision.versions["weights"]) == ("weak", "fake@2")


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx.Response(401, json={"detail": "give a key"}), "HTTP 401: give a key.*MODELSAT_API_KEY"),
        (httpx.Response(422, json={"title": "Unprocessable"}), "HTTP 422: Unprocessable"),
        (httpx.Response(200, text="<html>"), "is this the address of `modelsat serve`"),
        (httpx.Response(404, text="nothing here"), "is this the address of `modelsat serve`"),
        (httpx.Response(200, json={"weights": "w", "scores": [[0.1, 0.2]]}), "shape"),
        (httpx.Response(200, json=[1]), "not a score"),
    ],
)
def test_wrong_answers_are_told_plainly(response: httpx.Response, message: str) -> None:
    with pytest.raises(ScoringError, match=message):
        ask(answering(lambda _request: response))


def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json={"weights": "w", "scores": [[0.5]]})

    monkeypatch.setenv("MODELSAT_API_KEY", "from-the-environment")
    scorer = answering(handler)
    ask(scorer)
    ask(answering(handler, api_key="given"))
    assert seen == ["Bearer from-the-environment", "Bearer given"]
    assert "from-the" not in repr(scorer)


@pytest.mark.parametrize("seconds", [0, float("nan"), 10**400])
def test_time_outs_that_are_none(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout_s > 0"):
        RemoteScorer("http://scorer", timeout_s=seconds)


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://user:secret@host"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError, match="scorer") as raised:
        RemoteScorer(url)
    assert "secret" not in str(raised.value)


@contextmanager
def dribbling(answer: bytes, pause_s: float, *, head: bool = False) -> Iterator[str]:
    """A server whose answers never end: the same bytes again and again, from the ``head`` on or behind it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.flush_headers() if head else self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(answer)
                    time.sleep(pause_s)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("head", [True, False])
def test_the_time_out_holds_for_a_slow_answer_too(head: bool) -> None:
    with dribbling(b"x: y\r\n" if head else b" ", 0.3, head=head) as address:
        began = time.monotonic()
        with pytest.raises(ScorerUnavailableError, match=r"no (whole )?answer within 0\.5 s"):
            ask(RemoteScorer(address, timeout_s=0.5))
        assert time.monotonic() - began < 5.0


def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsat.inference.client._LARGEST_ANSWER", 1 << 20)
    with dribbling(b" " * (1 << 16), 0.0) as address, pytest.raises(ScoringError, match="more than 1,048,576 bytes"):
        ask(RemoteScorer(address, timeout_s=30.0))


def test_a_compressed_answer_is_not_asked_for_and_refused() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        return httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b"{}"))

    with pytest.raises(ScoringError, match="answered compressed"):
        ask(answering(handler))
    assert asked == ["identity"]


def test_a_deeply_nested_answer_is_not_a_score() -> None:
    nested = "[" * 2 * sys.getrecursionlimit() + "]" * 2 * sys.getrecursionlimit()
    with pytest.raises(ScoringError, match="not a score"):
        ask(answering(lambda _request: httpx.Response(200, text=nested)))


def test_loopback_is_never_asked_through_a_proxy(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", nobody)
    monkeypatch.setenv("http_proxy", nobody)
    ask(RemoteScorer(served.address))
    with pytest.raises(ScorerUnavailableError, match=r"through the proxy 127\.0\.0\.1:\d+ of the environment"):
        ask(RemoteScorer("http://scorer.example", timeout_s=5.0, attempts=1))
