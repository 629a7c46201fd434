"""The page without a browser: who may see it, what forms refuse, what it says of stores that will not do."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelsat.feedback.sqlite import SQLiteStore
from modelsat.server.guard import Keys
from modelsat.server.page.access import COOKIE, Sessions
from modelsat.server.page.page import FOLDER
from tests.fakes import FakeScorer
from tests.server.page.conftest import MODELS
from tests.server.servers import serving

HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
"""SHA-256 of dist/htmx.min.js in htmx.org 2.0.11 on npm."""
LARGEST = 600_000


def token_of(text: str) -> str:
    found = re.search(r'name="token" value="([0-9a-f]{64})"', text)
    assert found, text
    return found.group(1)


class Visitor:
    """A browser of few words."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, path: str, where: str, **fields: Any) -> httpx.Response:
        token = token_of(self.http.get(where).text)
        return self.http.post(path, data={"token": token, **fields}, headers={"hx-request": "true"})


@contextmanager
def visiting(address: str) -> Iterator[Visitor]:
    with httpx.Client(base_url=address, timeout=120, follow_redirects=True) as http:
        yield Visitor(http)


@pytest.fixture
def visitor(page: str) -> Iterator[Visitor]:
    with visiting(page) as one:
        yield one


def said(response: httpx.Response) -> str:
    found = re.search(r'role="alert">(.*?)</p>', response.text, re.S)
    assert found, response.text
    return html.unescape(found.group(1).strip())


def test_what_is_vendored_is_what_npm_has_and_everything_is_small() -> None:
    assert hashlib.sha256((FOLDER / "static" / "htmx.min.js").read_bytes()).hexdigest() == HTMX
    assert "Zero-Clause BSD" in (FOLDER / "static" / "htmx.LICENSE").read_text("utf-8")
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < LARGEST


def test_no_answer_allows_scripts_or_styles_in_the_page(page: str) -> None:
    with httpx.Client(base_url=page, timeout=120) as client:
        for path in ("/", "/watch", "/replay", "/models?q=gpt-4o", "/page/static/page.css", "/page/watch.csv"):
            answer = client.get(path)
            assert answer.status_code == 200, answer.text
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", answer.text), path


def test_a_key_opens_a_session_which_ends_with_signing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSAT_API_KEYS", "first-key,second-key")
    with serving(FakeScorer()) as address, visiting(address) as visitor:
        assert visitor.http.get("/watch").url.path == "/login"
        assert visitor.http.get("/watch", headers={"hx-request": "true"}).headers["hx-redirect"] == "/login"
        assert "not one of this server" in visitor.post("/page/login", "/login", key="guess").text
        assert COOKIE not in visitor.http.cookies
        answer = visitor.http.post(
            "/page/login", data={"token": token_of(visitor.http.get("/login").text), "key": "second-key"}
        )
        assert answer.url.path == "/"
        kept = answer.history[0].headers["set-cookie"]
        assert all(word in kept for word in ("HttpOnly", "SameSite=strict"))
        assert "second-key" not in kept
        decided = visitor.post("/page/try", "/", messages="Why is the sky blue?")
        assert 'class="verdict"' in decided.text
        assert visitor.post("/page/logout", "/").url.path == "/login"
        assert visitor.http.get("/").url.path == "/login"
        for _ in range(12):
            last = visitor.post("/page/login", "/login", key="guess")
        assert (last.status_code, said(last)) == (429, "too many tries: wait a moment")


def test_forged_and_old_sessions_and_forms_are_refused(visitor: Visitor) -> None:
    now = [1_000.0]
    sessions = Sessions(Keys(["a"]), lambda: now[0])
    session = sessions.opened("a", "here")
    assert session is not None
    ask = lambda cookie: type("R", (), {"cookies": {COOKIE: cookie}})()  # noqa: E731
    assert sessions.read(ask(session)) == session
    assert sessions.read(ask(session.replace("44200", "94200"))) is None
    assert sessions.read(ask("")) is None
    assert Sessions(Keys(["a"]), lambda: now[0]).read(ask(session)) == session
    assert Sessions(Keys(["a", "b"]), lambda: now[0]).read(ask(session)) is None
    now[0] += 13 * 3600
    assert sessions.read(ask(session)) is None
    visitor.http.get("/")
    refused = visitor.http.post("/page/try", data={"messages": "hello", "token": "0" * 64})
    assert (refused.status_code, said(refused)) == (403, "this form is not of your session: load the page again")
    elsewhere = visitor.http.get("/", headers={"host": "evil.example"})
    assert elsewhere.status_code == 403


def test_the_page_can_be_turned_off() -> None:
    with serving(FakeScorer(), ui=False) as address:
        assert httpx.get(f"{address}/", timeout=120).status_code == 404
        assert httpx.get(f"{address}/page/static/page.css", timeout=120).status_code == 404


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"messages": " "}, "messages"),
        ({"messages": "hello", "policy": "other", "policy_text": "guess"}, "unknown policy"),
        ({"messages": "hello", "tools_json": "{"}, "tools: this is not JSON"),
        ({"messages": "hello", "max_usd_per_request": "little"}, "is not a number"),
        ({"messages": "hello", "weights": "../other"}, "weights: "),
        ({"messages": "hello", "deny_models": "*"}, "no candidate is left"),
        ({"messages": "hello", "choose": "1"}, "candidates: tick one at least"),
        ({"messages": "hello", "policy": "other", "policy_text": "/etc/policy.json"}, "start alone"),
        ({"messages": "hello", "against": "/etc/policy.json"}, "start alone"),
        ({"messages": "hello", "against_weights": "modelsat-pico"}, "weights: 'modelsat-pico' is none of"),
    ],
)
def test_what_makes_no_sense_is_said_on_the_page(visitor: Visitor, fields: dict[str, str], problem: str) -> None:
    assert problem in said(visitor.post("/page/try", "/", **fields))


def test_a_decision_shows_who_was_left_out_and_leaves_no_trace(visitor: Visitor, filled: Path) -> None:
    store = SQLiteStore(filled)
    before = store.counts()
    answer = visitor.post(
        "/page/try", "/", messages="Why is the sky blue?", candidates=list(MODELS[:2]), deny_models="gpt-4o", image="1"
    ).text
    assert '<h2 class="verdict">gpt-4o-mini' in answer
    assert "model is denied" in answer
    assert "not asked for" in answer
    assert re.search(r"<small>0\.\d\d–[01]\.\d\d</small>", answer), "P stands beside its interval"
    assert "route([{" in answer.replace("&#39;", "'")
    assert store.counts() == before
    store.close()


def test_knob_and_abstain_are_tried_beside_another_policy(visitor: Visitor) -> None:
    knob = visitor.post("/page/try", "/", messages="hello", policy="knob", knob_knob="100", against="best").text
    assert "knob(position=10.0) ·" in knob
    assert knob.count('class="verdict"') == 2
    verdicts = re.findall(r'class="verdict">([^<]+)', knob)
    assert verdicts[0] == verdicts[1], "at its end the knob chooses the best"
    assert "knob: From the cheapest (0) to the best (10)" in knob
    unsure = visitor.post("/page/try", "/", messages="hello", abstain="1", least="100").text
    assert "Nobody is known to be good enough" in unsure
    assert "abstain(inner=cheapest(target=0.5), least=1.0)" in unsure
    assert (
        "Nobody is known"
        not in visitor.post("/page/try", "/", messages="hello", abstain="1", least="0", widest="100").text
    )
    assert "a policy file is read" in said(visitor.post("/page/replay", "/replay", with_policy="/etc/policy.json"))


def test_two_weights_stand_side_by_side() -> None:
    shipped = str(Path(__file__).parents[3] / "weights" / "modelsat-nano")
    with serving(FakeScorer(), ui_weights=[shipped]) as address, visiting(address) as visitor:
        assert shipped in visitor.http.get("/").text
        text = visitor.post("/page/try", "/", messages="Why is the sky blue?", against_weights=shipped).text
        assert text.count('class="verdict"') == 2
        assert "· fake@1" in text
        assert "· modelsat-nano@" in text


def test_watch_narrows_and_exports(page: str) -> None:
    with httpx.Client(base_url=page, timeout=120) as client:
        whole = client.get("/watch?span=all").text
        assert "<dd>300</dd>" in whole
        assert "<dd>30</dd>" in client.get("/watch?span=all&thread=thread 3").text
        assert "<dd>60</dd>" in client.get("/watch?span=all&policy=best").text
        assert "No decisions" in client.get("/watch?span=all&thread=nobody").text
        assert re.search(r"Is any model getting worse\?</h2>\s*<p[^>]*>(Too early|None that|Yes)", whole)
        rows = list(csv.DictReader(io.StringIO(client.get("/page/watch.csv?span=all").text)))
    assert sum(float(row["decisions"]) for row in rows) == 300
    assert {row["model"] for row in rows} <= set(MODELS)


def test_replay_says_what_would_change(visitor: Visitor) -> None:
    best = visitor.post("/page/replay", "/replay", span="all", with_policy="best").text
    assert re.search(r"[1-9]\d* of 300 would change", best)
    assert best.count('<tr class="below">') <= 10
    same = visitor.post("/page/replay", "/replay", span="all", with_policy="cheapest(target=0.75)", policy="cheapest")
    assert "0 of 240 would change" in same.text
    left = visitor.post("/page/replay", "/replay", span="all", with_policy="best", without=list(MODELS))
    assert "no candidate of theirs is left" in said(left)
    assert "unknown policy" in said(visitor.post("/page/replay", "/replay", span="all", with_policy="guess"))


def test_figures_are_added_and_shown(visitor: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSAT_PROFILES", str(tmp_path))
    added = visitor.post("/page/models", "/models", name="own-model", benchmarks="GPQA=71.2, MMLU=80")
    assert "own-model" in added.text
    assert "71.2" in visitor.http.get("/models?model=own-model").text
    unknown = visitor.post("/page/models", "/models", name="own-model", benchmarks="Nothing=1")
    assert "Nothing" in said(unknown)
    assert "nobody-knows-this-one" in said(visitor.http.get("/models?model=nobody-knows-this-one"))


def test_stores_that_will_not_do_are_named(tmp_path: Path) -> None:
    with serving(FakeScorer()) as address:
        assert "keeps no decisions" in said(httpx.get(f"{address}/watch", timeout=120))
    path = tmp_path / "feedback.sqlite"
    with serving(FakeScorer(), feedback=str(path)) as address, visiting(address) as visitor:
        assert "No decisions" in visitor.http.get("/watch").text
        path.unlink()
        path.write_bytes(b"no database" * 1000)
        assert "is damaged" in said(visitor.http.get("/watch"))
        assert visitor.post("/page/try", "/", messages="hello").status_code == 200
