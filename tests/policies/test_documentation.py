"""The snippets of docs/policies.md run, one after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelsat.policies.resolve import PolicyFile
from modelsat.router import RoutingDecision
from tests.fakes import FakeScorer
from tests.snippets import texts

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"


def test_the_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("modelsat.inference.load_scorer", lambda *args, **kwargs: FakeScorer())
    names: dict[str, Any] = {"__name__": "documentation"}
    for snippet in texts(PAGE, "python"):
        exec(compile(snippet, str(PAGE), "exec"), names)
    assert isinstance(names["decision"], RoutingDecision)
    assert "P(success)" in capsys.readouterr().out
    (data,) = texts(PAGE, "json")
    assert PolicyFile(**json.loads(data)) == PolicyFile.load("policy.json")


def test_every_policy_and_field_is_described() -> None:
    from modelsat.policies.base import POLICIES
    from modelsat.request import Constraints

    page = PAGE.read_text("utf-8")
    for name in (*POLICIES, *Constraints.model_fields):
        assert f"`{name}`" in page
