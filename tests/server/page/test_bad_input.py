"""Stores, names, requests and rules that will not do: a clear message at the start or on the page; routing goes on."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelsat.errors import ConfigurationError
from modelsat.feedback.sqlite import SQLiteStore
from modelsat.server import ServerSettings, create_app
from tests.fakes import FakeScorer
from tests.server.page.conftest import MARKUP, MODELS, records
from tests.server.page.test_page import Visitor, said, visiting
from tests.server.servers import free_port, serving

NAME = "<img src=x onerror=alert(1)>"


def goes_on(visitor: Visitor, address: str) -> None:
    """The page decides, and so does the server."""
    assert 'class="verdict"' in visitor.post("/page/try", "/", messages="hello").text
    assert httpx.post(f"{address}/v1/route", json={"messages": "hello"}, timeout=60).status_code == 200


def of_another_version(path: Path) -> None:
    """A store as a later modelsat may write it."""
    store = SQLiteStore(path)
    store.counts()
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()


def test_a_store_of_another_version_stops_the_start_and_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    of_another_version(path)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="is of format 9, this modelsat reads format 2; it was not changed"):
        create_app(ServerSettings(candidates=list(MODELS), feedback=str(path)), FakeScorer())
    assert path.read_bytes() == before


def test_a_store_that_another_version_takes_over_is_named_on_the_page(tmp_path: Path) -> None:
    path, other = tmp_path / "feedback.sqlite", tmp_path / "other.sqlite"
    of_another_version(other)
    with serving(FakeScorer(), feedback=str(path)) as address, visiting(address) as visitor:
        assert "No decisions" in visitor.http.get("/watch").text
        other.replace(path)
        for tab in ("/watch", "/replay"):
            assert "is of format 9" in said(visitor.http.get(tab))
        goes_on(visitor, address)


def test_a_locked_store_is_named_and_shown_once_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    store = SQLiteStore(path)
    store.add_decisions(records(5))
    store.close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode = DELETE")  # readers wait, too
    holder.execute("BEGIN EXCLUSIVE")
    with (
        serving(FakeScorer(), feedback=SQLiteStore(path, busy_s=0.05)) as address,
        visiting(address) as visitor,
    ):
        assert "is locked by another process" in said(visitor.http.get("/watch"))
        goes_on(visitor, address)
        holder.execute("ROLLBACK")
        holder.close()
        assert re.search(r"<dd>[56]</dd>", visitor.http.get("/watch").text), "the one that waited may be there, too"


def test_a_store_that_cannot_be_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    path = tmp_path / "folder" / "feedback.sqlite"
    with serving(FakeScorer(), feedback=str(path)) as address, visiting(address) as visitor:
        assert "cannot use the feedback store" in said(visitor.http.get("/watch"))
        goes_on(visitor, address)


def test_decisions_in_redis_are_not_added_up_and_the_page_says_where_to_look(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    with serving(FakeScorer(), feedback=f"redis://127.0.0.1:{free_port()}/0") as address, visiting(address) as visitor:
        for tab in ("/watch", "/replay", "/page/watch.csv"):
            message = said(visitor.http.get(tab))
            assert "this page reads SQLite files" in message
            assert "docs/operations.md" in message
        goes_on(visitor, address)


def test_markup_in_names_is_text_on_every_tab(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    store = SQLiteStore(path)
    made = records(3, now=time.time())
    named: dict[str, Any] = {"model": NAME, "network": {NAME: 0.8}, "costs": {NAME: 0.1}, "excluded": {MARKUP: "rule"}}
    store.add_decisions(
        [type(record)(**{**{f: getattr(record, f) for f in record.__slots__}, **named}) for record in made]
    )
    store.close()
    candidates = {NAME: "gpt-4o", "plain": "gpt-4o-mini"}
    with (
        serving(FakeScorer(), candidates=candidates, feedback=str(path)) as address,
        visiting(address) as visitor,
    ):
        shown = [
            visitor.http.get("/").text,
            visitor.post("/page/try", "/", messages=f"'; rm -rf / {MARKUP}", against="best").text,
            visitor.http.get("/watch?span=all").text,
            visitor.post("/page/replay", "/replay", span="all", with_policy="best").text,
            visitor.http.get("/models", params={"model": NAME, "q": NAME}).text,
            visitor.post("/page/models", "/models", name=NAME, benchmarks="MMLU=2000").text,
        ]
    for text in shown:
        assert "<img" not in text
        assert "<script>" not in text
    assert shown[0].count("&lt;img src=x") >= 1
    assert "&lt;img src=x" in shown[2]


def test_rules_that_will_not_do_stop_the_start_and_slow_ones_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n- {when: {kind: poem}, then: {use: gpt-4o}}\n")
    with pytest.raises(ConfigurationError, match=r"rule 1: .*kind"):
        ServerSettings.of({"candidates": list(MODELS), "rules": str(path)})
    path.write_text("rules:\n- {then: {use: gpt-4o}}\n- {then: {use: gpt-4o-mini}}\n")
    with pytest.raises(ConfigurationError, match="apply to the same requests and use different models"):
        ServerSettings.of({"candidates": list(MODELS), "rules": str(path)})
    pytest.importorskip("regex")
    path.write_text(
        "rules:\n- {name: slow, when: {regex: '(\\w+\\s?)+$'}, then: {exclude: gpt-4o}}\n"
        "- {name: by team, when: {metadata: {team: legal}}, then: {exclude: gpt-4.1-nano}}\n"
    )
    with serving(FakeScorer(), candidates=list(MODELS), rules=str(path)) as address, visiting(address) as visitor:
        text = visitor.post(
            "/page/try", "/", messages="ab " * 2000 + "!" * 50, metadata='{"team": "legal"}', candidates=list(MODELS)
        ).text
        assert "took longer than 10 ms and counts as found" in text
        assert "Rules that applied: slow, by team" in text
        assert '<h2 class="verdict">gpt-4o-mini' in text
        assert "metadata: this is not JSON" in said(visitor.post("/page/try", "/", messages="x", metadata="{"))
        deep = "[" * 100_000
        assert 'class="verdict"' in visitor.post("/page/try", "/", messages=deep).text
        assert "tools: this is not JSON" in said(visitor.post("/page/try", "/", messages="x", tools_json=deep))
        assert "unknown policy" in said(visitor.post("/page/try", "/", messages="x", policy="poem"))
