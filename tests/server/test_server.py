"""The endpoints over a real socket: decisions, scores, problems that name the field, limits."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelsat.errors import ConfigurationError
from modelsat.router import Router
from modelsat.server.decider import Decider
from modelsat.server.guard import CLIENT, Keys, RateLimit
from modelsat.server.problems import Problem
from modelsat.server.settings import ServerSettings
from tests.fakes import FakeScorer, make_profile
from tests.server.conftest import Served
from tests.server.servers import serving

CANDIDATES = ["gpt-4o", "gpt-4o-mini"]


def post(served: Served | str, path: str, body: Any, **options: Any) -> httpx.Response:
    address = served if isinstance(served, str) else served.address
    return httpx.post(f"{address}{path}", json=body, timeout=30, **options)


def fields(response: httpx.Response) -> list[str]:
    """The fields that a problem names, after checks that every problem passes."""
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == response.status_code
    assert body["type"].startswith("https://")
    assert body["title"]
    return [entry["field"] for entry in body.get("errors", ())]


def test_route_decides_as_the_router_does(served: Served) -> None:
    router = Router(CANDIDATES, scorer=served.scorer)
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Why is the sky blue? " * 10}]},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    for messages in ("Why is the sky blue?", conversation):
        decision = post(served, "/v1/route", {"messages": messages}).raise_for_status().json()
        expected = router.route(messages)
        assert (decision["model"], decision["scores"]) == (expected.model, dict(expected.scores))
        assert decision["versions"]["weights"] == "fake@served"
    one = post(served, "/v1/route", {"messages": "hello", "candidates": ["gpt-4o-mini"]}).json()
    assert one["model"] == "gpt-4o-mini"
    assert one["excluded"] == {"gpt-4o": {"kind": "not_asked", "reason": "not asked for"}}


@pytest.mark.parametrize("on", [True, False])
def test_a_decision_is_a_line_in_the_log_unless_turned_off(on: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "modelsat.decisions")
    forged = "the secret word\n2026-01-01 INFO modelsat.decisions: forged"
    with serving(FakeScorer(), log_decisions=on, constraints={"deny_models": ["gpt-4o"]}) as address:
        decision = post(address, "/v1/route", {"messages": forged, "thread": forged}).json()
    lines = [record.getMessage() for record in caplog.records if record.name == "modelsat.decisions"]
    assert len(lines) == int(on)
    for line in lines:
        assert line.startswith(f"{decision['id']} gpt-4o-mini: ")
        assert "excluded: gpt-4o (" in line
        assert "secret" not in line
        assert "\n" not in line


def test_a_request_leaves_kept_scores_out(served: Served) -> None:
    def passes(**options: bool) -> int:
        before = len(served.scorer.calls)
        post(served, "/v1/route", {"messages": "asked more than once", **options}).raise_for_status()
        return len(served.scorer.calls) - before

    assert [passes(cache=False), passes(), passes(), passes(cache=False)] == [1, 1, 0, 1]
    assert fields(post(served, "/v1/route", {"messages": "hello", "cache": "maybe"})) == ["cache"]


def test_what_comes_with_the_messages_reaches_the_router(served: Served) -> None:
    body = {"messages": "hello", "thread": "t1", "constraints": {"deny_models": ["gpt-4o"]}, "answer_tokens": 50}
    decision = post(served, "/v1/route", body).raise_for_status().json()
    assert (decision["model"], decision["thread"]) == ("gpt-4o-mini", "t1")
    assert decision["excluded"]["gpt-4o"] == {"kind": "model", "reason": "model is denied"}
    assert decision["costs"]["gpt-4o-mini"] > 0
    long = post(served, "/v1/route", {"messages": "hello", "answer_tokens": 9_000_000}).raise_for_status().json()
    assert "more than any candidate allows" in long["notes"][0]
    nobody = post(served, "/v1/route", {"messages": "hello", "constraints": {"deny_models": ["gpt-4o*"]}})
    assert nobody.status_code == 422
    assert "gpt-4o: model is denied" in nobody.json()["detail"]


def test_policy_constraints_and_facts_of_the_settings() -> None:
    settings = {
        "policy": "cheapest(target=0.0)",
        "facts": {"gpt-4o": {"input_usd_per_mtok": 0.01, "output_usd_per_mtok": 0.01}},
        "constraints": {"max_usd_per_request": 1.0},
    }
    with serving(FakeScorer(), **settings) as address:
        decision = post(address, "/v1/route", {"messages": "hello"}).json()
        assert (decision["model"], decision["policy"]) == ("gpt-4o", "cheapest")
        facts = {entry["id"]: entry["facts"] for entry in httpx.get(f"{address}/v1/models").json()["data"]}
    assert facts["gpt-4o"]["input_usd_per_mtok"] == 0.01
    assert facts["gpt-4o-mini"]["context_window"] > 1000


def test_score_by_name_and_by_profile(served: Served) -> None:
    texts = ["one", "two", "three"]
    answer = post(served, "/v1/score", {"instructions": texts}).raise_for_status().json()
    assert answer["names"] == CANDIDATES
    assert answer["weights"] == "fake@served"
    assert len(answer["scores"]) == 3
    swapped = post(served, "/v1/score", {"instructions": texts, "candidates": CANDIDATES[::-1]}).json()
    assert swapped["scores"] == [row[::-1] for row in answer["scores"]]
    profile = make_profile("own", 0.123)
    asked = {"instructions": texts, "profiles": [profile.digest]}
    unknown = post(served, "/v1/score", asked)
    assert (unknown.status_code, unknown.json()["missing"]) == (404, [profile.digest])
    defined = {**asked, "definitions": [profile.model_dump(mode="json")]}
    assert post(served, "/v1/score", defined).status_code == 200
    assert post(served, "/v1/score", asked).status_code == 200


def test_models_health_and_metrics(served: Served) -> None:
    with httpx.Client(base_url=served.address) as client:
        models = client.get("/v1/models").json()
        assert [entry["id"] for entry in models["data"]] == CANDIDATES
        assert client.get("/healthz").json()["status"] == "ok"
        assert client.get("/readyz").json() == {"status": "ready", "weights": "fake@served"}
        client.post("/v1/route", json={"messages": "hello"})
        text = client.get("/metrics").text
    assert 'modelsat_requests_total{path="/v1/route",status="200"}' in text
    assert "modelsat_decisions_total{model=" in text
    assert "process_resident_memory_bytes" in text


def test_openapi_has_examples_and_problems(served: Served) -> None:
    description = httpx.get(f"{served.address}/openapi.json").json()
    assert description["components"]["schemas"]["RouteRequest"]["examples"]
    route = description["paths"]["/v1/route"]["post"]["responses"]
    assert {"200", "400", "401", "413", "422", "429", "503"} <= set(route)
    assert "application/problem+json" in route["422"]["content"]
    assert "ProblemBody" in description["components"]["schemas"]


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("/v1/route", {}, 422, ["messages"]),
        ("/v1/route", {"messages": ""}, 422, ["messages"]),
        ("/v1/route", {"messages": "   "}, 422, ["messages"]),
        ("/v1/route", {"messages": []}, 422, ["messages"]),
        ("/v1/route", {"messages": [{"content": "hi"}]}, 422, ["messages.0.role"]),
        ("/v1/route", {"messages": [{"role": "user", "content": 3}]}, 422, ["messages.0.content"]),
        ("/v1/route", {"messages": [{"role": "system", "content": "hi"}]}, 422, ["messages"]),
        ("/v1/route", {"messages": "hi", "candidates": ["gpt-9"]}, 422, ["candidates"]),
        ("/v1/route", {"messages": "hi", "candidates": []}, 422, ["candidates"]),
        ("/v1/route", {"messages": "hi", "model": "x"}, 422, ["model"]),
        ("/v1/route", {"messages": "hi", "answer_tokens": 0}, 422, ["answer_tokens"]),
        ("/v1/route", {"messages": "hi", "constraints": {"allow": ["x"]}}, 422, ["constraints"]),
        ("/v1/route", {"messages": "hi", "constraints": {"allow_models": ["x"]}}, 422, ["candidates"]),
        ("/v1/score", {"instructions": []}, 422, ["instructions"]),
        ("/v1/score", {"instructions": ["a", ""]}, 422, ["instructions.1"]),
        ("/v1/score", {"instructions": ["a"] * 300}, 422, ["instructions"]),
        ("/v1/score", {"instructions": ["a"], "profiles": ["short"]}, 422, ["profiles.0"]),
        ("/v1/score", {"instructions": ["a"], "profiles": ["0" * 16], "candidates": ["gpt-4o"]}, 422, ["body"]),
        ("/v1/score", {"instructions": ["a"], "profiles": ["0" * 16], "definitions": [{}]}, 422, ["definitions"]),
        ("/v1/feedback", {"decision_id": "x", "score": 2}, 422, ["score"]),
        ("/v1/feedback", {"decision_id": "x", "score": 1}, 409, []),
    ],
)
def test_bad_input_is_named(served: Served, path: str, body: Any, status: int, named: list[str]) -> None:
    response = post(served, path, body)
    assert response.status_code == status, response.text
    assert [name for name in fields(response) if name in named] == named
    assert len(response.content) < 5000


@pytest.mark.parametrize("content", [b"", b"{", b'{"messages": "a', b"\xff\xfe", b"null", b"[]", b"1", b'"x"'])
def test_malformed_bodies(served: Served, content: bytes) -> None:
    response = httpx.post(
        f"{served.address}/v1/route", content=content, headers={"content-type": "application/json"}, timeout=30
    )
    assert response.status_code in (400, 422)
    assert fields(response) == ["body"]


def test_nothing_of_a_prompt_is_repeated_in_a_problem(served: Served) -> None:
    secret = "the secret prompt"
    for body in (
        {"messages": [{"role": 3, "content": secret}]},
        {"messages": {"x": secret}},
        {"messages": secret, "x": secret},
        {"messages": "hello", secret: 1},
        {"messages": "hello", "constraints": {secret: 1}},
        {"messages": "hello", "constraints": {"residency": [{secret: 1}]}},
        {"messages": "hello", "metadata": secret, "tools": [secret]},
        {"instructions": ["hello"], "profiles": ["0" * 16], "definitions": [{secret: 1}]},
        {"instructions": ["hello"], "profiles": ["0" * 16], "definitions": [{"statements": [{secret: 1}]}]},
    ):
        response = post(served, "/v1/score" if "instructions" in body else "/v1/route", body)
        assert response.status_code == 422
        assert secret not in response.text


def test_names_that_were_sent_are_repeated_on_one_line_and_cut(served: Served) -> None:
    names = [f"no\nbody {number} " + "x" * 400 for number in range(30)]
    for path, body in (("/v1/route", {"messages": "hello"}), ("/v1/score", {"instructions": ["hello"]})):
        response = post(served, path, {**body, "candidates": names})
        assert response.status_code == 422
        assert "\n" not in response.json()["detail"]
        assert len(response.content) < 2000
    huge = b'{"messages": "hi", "constraints": {"max_usd_per_request": 1%s}}' % (b"0" * 400)
    refused = httpx.post(f"{served.address}/v1/route", content=huge, headers={"content-type": "application/json"})
    assert (refused.status_code, fields(refused)) == (422, ["constraints"])


def test_halves_of_surrogate_pairs_are_refused_or_read(served: Served) -> None:
    content = b'{"messages": "hi \\ud800 there"}'
    response = httpx.post(f"{served.address}/v1/route", content=content, headers={"content-type": "application/json"})
    assert response.status_code in (200, 422)
    part = b'{"messages": [{"role": "user", "content": ["hi", {"type": "\\ud800", "x": 1}]}]}'
    response = httpx.post(f"{served.address}/v1/route", content=part, headers={"content-type": "application/json"})
    assert response.status_code == 200
    assert response.json()["notes"] == ["not scored: 1 unknown part"]


def test_unknown_paths_and_methods_are_problems(served: Served) -> None:
    assert httpx.get(f"{served.address}/v1/nothing").status_code == 404
    wrong = httpx.get(f"{served.address}/v1/route")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    fields(wrong)


def test_the_body_is_bounded() -> None:
    with serving(FakeScorer(), max_body_bytes=2048, body_timeout_s=0.3) as address:
        large = post(address, "/v1/route", {"messages": "x" * 3000})
        assert large.status_code == 413
        assert fields(large) == ["body"]

        def endless() -> Any:
            for _ in range(100):
                yield b"x" * 1024

        streamed = httpx.post(f"{address}/v1/route", content=endless(), headers={"content-type": "application/json"})
        assert streamed.status_code == 413
        slow_clients(address)
        assert post(address, "/v1/route", {"messages": "hello"}).status_code == 200


def test_the_head_is_bounded_before_any_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSAT_API_KEYS", "alpha")
    with serving(FakeScorer(), max_head_bytes=4096) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(b"POST /v1/route HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * 8192)
            assert client.recv(4000).startswith(b"HTTP/1.1 431 ")
            assert client.recv(1) == b""
        accepted = httpx.get(f"{address}/readyz", headers={"x-long": "x" * 2048})
        assert accepted.status_code == 200


def test_a_request_is_bounded_beyond_its_body_too() -> None:
    """A body within its limit, in chunks of a byte each, is more than the connection takes."""
    with serving(FakeScorer(), max_head_bytes=1024, max_body_bytes=2048, body_timeout_s=30) as address:
        host, port = address.removeprefix("http://").split(":")
        head = b"POST %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        for path in (b"/v1/route", b"/page/try"):
            with socket.create_connection((host, int(port)), timeout=10) as client, suppress(ConnectionError):
                client.sendall(head % path + b"1\r\nx\r\n" * 1500)
                assert client.recv(100).startswith(b"HTTP/1.1 413 ")
        assert post(address, "/v1/route", {"messages": "x" * 1500}).status_code == 200


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        ({"model": "m", "statements": [{"task": f"t{n}", "accuracy": 0.5} for n in range(600)]}, "500 statements"),
        ({"model": "m", "statements": [{"task": "t" * 2000, "accuracy": 0.5}]}, "1,000 characters"),
        (
            {"model": "m", "statements": [{"task": f"{n} " + "t" * 900, "accuracy": 0.5} for n in range(120)]},
            "100,000 are read in one request",
        ),
    ],
)
def test_definitions_are_bounded(served: Served, definition: dict[str, Any], problem: str) -> None:
    body = {"instructions": ["hello"], "profiles": ["0" * 16], "definitions": [definition]}
    refused = post(served, "/v1/score", body)
    assert (refused.status_code, fields(refused)) == (422, ["definitions"])
    assert problem in refused.text
    many = [
        {"model": f"m{n}", "statements": [{"task": f"t{n}.{task}", "accuracy": 0.5} for task in range(300)]}
        for n in range(4)
    ]
    assert "1,200 different tasks" in post(served, "/v1/score", {**body, "definitions": many}).text


def test_a_header_does_not_lift_the_rate_limit() -> None:
    with serving(FakeScorer(), rate_limit=0.1, rate_burst=2) as address:
        answers = [
            post(address, "/v1/route", {"messages": "hello"}, headers={"x-forwarded-for": f"10.0.0.{n}"})
            for n in range(3)
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_work_that_outlives_its_time_out_counts_until_it_ends() -> None:
    settings = ServerSettings(candidates=CANDIDATES, request_timeout_s=0.05, max_waiting=2)
    decider = Decider(settings, FakeScorer())
    go_on = threading.Event()
    try:
        for _ in range(2):
            with pytest.raises(Problem) as late:
                await decider.run(1, lambda: go_on.wait(30))
            assert late.value.status == 504
        with pytest.raises(Problem) as refused:
            await decider.run(1, lambda: None)
        assert refused.value.status == 429
        go_on.set()
        while decider._in_flight:
            await asyncio.sleep(0.01)
        assert await decider.run(1, lambda: "done") == "done"
    finally:
        go_on.set()
        decider.close()


async def test_late_work_counts_against_its_own_client() -> None:
    settings = ServerSettings(candidates=CANDIDATES, request_timeout_s=0.05, threads=4)
    decider = Decider(settings, FakeScorer())
    go_on = threading.Event()
    try:
        CLIENT.set("slow")
        with pytest.raises(Problem):
            await decider.run(1, lambda: go_on.wait(30))
        with pytest.raises(Problem, match="1 of your requests outlived"):
            await decider.run(1, lambda: None)
        CLIENT.set("another")
        assert await decider.run(1, lambda: "done") == "done"
        CLIENT.set("slow")
        go_on.set()
        while decider._overdue["slow"]:
            await asyncio.sleep(0.01)
        assert await decider.run(1, lambda: "done") == "done"
    finally:
        go_on.set()
        decider.close()


def slow_clients(address: str) -> None:
    """A head that never ends is cut off; a body that never ends is answered."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as head:
        head.sendall(b"POST /v1/route HTTP/1.1\r\nhost: x\r\n")
        assert head.recv(100) == b""
    with socket.create_connection((host, int(port)), timeout=10) as body:
        body.sendall(b"POST /v1/route HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        answer = body.recv(4000)
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b"problem+json" in answer


def test_keys_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSAT_API_KEYS", "alpha,beta")
    with serving(FakeScorer()) as address, httpx.Client(base_url=address) as client:
        body = {"messages": "hello"}
        for headers in ({}, {"authorization": "Bearer gamma"}, {"authorization": "Basic alpha"}, {"x-api-key": "alph"}):
            refused = client.post("/v1/route", json=body, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert fields(refused) == ["authorization"]
        for headers in ({"authorization": "Bearer alpha"}, {"x-api-key": "beta"}):
            assert client.post("/v1/route", json=body, headers=headers).status_code == 200
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        router = Router([make_profile("a"), make_profile("b", 0.7)], scorer=address, fallback="a")
        refused_decision = router.route("hello")
        assert refused_decision.fallback
        assert refused_decision.failure is not None
        assert "401" in refused_decision.failure.message
        monkeypatch.setenv("MODELSAT_API_KEY", "beta")
        assert not Router([make_profile("a"), make_profile("b", 0.7)], scorer=address, fallback="a").route("x").fallback


def test_requests_are_limited_for_each_client() -> None:
    now = 0.0
    limit = RateLimit(2.0, 3, clock=lambda: now)
    assert [limit.wait_for("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limit.wait_for("b") == 0.0
    now = 0.5
    assert [limit.wait_for("a") for _ in range(2)] == [0.0, 0.5]
    with serving(FakeScorer(), rate_limit=0.1, rate_burst=2) as address:
        answers = [post(address, "/v1/route", {"messages": "hello"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 10
    fields(answers[2])


def test_keys_of_any_bytes() -> None:
    keys = Keys(["alpha"])
    assert keys.accepts("alpha")
    assert not keys.accepts("\udcff")
    assert not Keys([]).accepts("")


def test_overload_is_refused_early_and_the_rest_is_served() -> None:
    scorer = FakeScorer()
    with serving(scorer, max_waiting=4, batch_size=2) as address:
        scorer.delay_s = 0.2
        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(lambda n: post(address, "/v1/route", {"messages": f"hello {n}"}), range(24)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 4
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 429)
        scorer.delay_s = 0.0
        assert post(address, "/v1/route", {"messages": "hello"}).status_code == 200
        assert "modelsat_rejected_total" in httpx.get(f"{address}/metrics").text


def test_a_slow_network_is_answered_in_time() -> None:
    scorer = FakeScorer()
    with serving(scorer, request_timeout_s=0.2) as address:
        scorer.delay_s = 0.6
        began = time.monotonic()
        answer = post(address, "/v1/route", {"messages": "hello"})
        assert answer.status_code in (503, 504)
        assert "retry-after" in answer.headers
        fields(answer)
        assert time.monotonic() - began < 0.6


def test_a_broken_network_takes_the_fallback_or_is_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    scorer = FakeScorer()
    with serving(scorer, fallback="gpt-4o") as address:
        scorer.error = ValueError("boom, with the prompt in it")
        decision = post(address, "/v1/route", {"messages": "hello"}).json()
        assert (decision["model"], decision["fallback"]) == ("gpt-4o", True)
        assert 'modelsat_fallbacks_total{error="' in httpx.get(f"{address}/metrics").text
        broken = post(address, "/v1/score", {"instructions": ["hello"]})
        scorer.error = SystemExit(3)
        left = post(address, "/v1/score", {"instructions": ["hello"]})
        assert post(address, "/v1/route", {"messages": "hello there"}).json()["fallback"]
    for answer in (broken, left):
        assert answer.status_code == 500
        assert "boom" not in json.dumps(answer.json())
        fields(answer)
    assert "boom" not in caplog.text
    assert "a request failed: ValueError at " in caplog.text
    assert "fakes.py:" in caplog.text


def test_feedback_is_kept_and_learnt_from(tmp_path: Path) -> None:
    store = tmp_path / "feedback.sqlite"
    with serving(FakeScorer(), feedback=str(store)) as address:
        decision = post(address, "/v1/route", {"messages": "hello"}).json()
        told = {"decision_id": decision["id"], "score": 0.0, "source": "judge"}
        assert post(address, "/v1/feedback", told).status_code == 202
        again = post(address, "/v1/feedback", told)
        assert (again.status_code, fields(again)) == (409, ["decision_id"])
        unknown = post(address, "/v1/feedback", {"decision_id": "never", "score": 1.0})
        assert (unknown.status_code, fields(unknown)) == (404, ["decision_id"])
        assert str(tmp_path) not in unknown.text
        ready = httpx.get(f"{address}/readyz").json()["feedback"]
        assert (ready["usable"], ready["waiting"], ready["dropped"], ready["set_aside"]) == (True, 0, 0, 0)
        assert ready["last_success"] == pytest.approx(time.time(), abs=60.0)
        metrics = httpx.get(f"{address}/metrics").text
        assert 'modelsat_feedback_records{state="written"} 4.0' in metrics
        assert "modelsat_feedback_usable 1.0" in metrics
    assert store.stat().st_size > 0
    with serving(FakeScorer(), feedback={"store": str(store), "keep_prompts": True}) as address:
        assert post(address, "/v1/feedback", {"decision_id": decision["id"], "score": 1.0}).status_code == 409
    with pytest.raises(ConfigurationError, match="feedback"), serving(FakeScorer(), feedback={"explore": 0.1}):
        pass


def test_the_documentation_page_loads_nothing(served: Served) -> None:
    found = httpx.get(f"{served.address}/docs")
    assert found.status_code == 200
    assert "<script" not in found.text
    assert "default-src 'none'" in found.headers["content-security-policy"]
    for part in ("/v1/route", "/v1/feedback", f"curl {served.address}/v1/score", "no valid API key", "(required)"):
        assert part in found.text
    assert not [link for link in ("src=", "https://", "@import") if link in found.text]
