"""What measures the judgement of requests stays out of what trains it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def constructed(monkeypatch):
    pytest.importorskip("pandas", reason="the recipes need the extra 'eval'")
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    import constructed

    yield constructed
    sys.modules.pop("constructed", None)


@pytest.fixture(scope="module")
def pairs():
    return json.loads((ROOT / "benchmarks" / "easy_and_hard.json").read_text("utf-8"))


def plain(text: str) -> str:
    return re.sub(r"\W+", "", text.casefold())


def test_the_suite_covers_kinds_and_languages(pairs) -> None:
    assert len(pairs) >= 200
    assert len({pair["kind"] for pair in pairs}) >= 15
    assert len({pair["language"] for pair in pairs}) >= 8
    texts = [plain(pair[key]) for pair in pairs for key in ("easy", "hard")]
    assert len(texts) == len(set(texts))


def test_no_request_of_the_suite_is_constructed_for_training(pairs, constructed) -> None:
    made = {plain(text) for _, _, text in constructed.texts()}
    assert len(made) > 500
    assert not made & {plain(pair[key]) for pair in pairs for key in ("easy", "hard")}


def test_no_attack_of_the_benchmark_trains(constructed, monkeypatch) -> None:
    pytest.importorskip("sklearn", reason="the benchmarks need the extra 'eval'")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import easy_and_hard

    further = json.loads((ROOT / "benchmarks" / "further_lines.json").read_text("utf-8"))
    measured = (*easy_and_hard.ATTACKS, *easy_and_hard.CONTROLS, *further["begging"], *further["harmless"])
    trained = {plain(text) for text in (*constructed.BEGGING, *constructed.HARMLESS)}
    assert not {text for text in trained if text} & {plain(text) for text in measured}


def test_every_constructed_class_has_a_difficulty(constructed) -> None:
    assert {name for name, _, _ in constructed.texts()} == set(constructed.CLASSES)
    assert all("<" + slot + ">" not in text for _, _, text in constructed.texts() for slot in ("name", "lang", "topic"))
