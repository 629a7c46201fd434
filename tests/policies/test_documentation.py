"""The snippets of docs/policies.md run, one after the other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from modelsat.policies.resolve import PolicyFile
from modelsat.router import RoutingDecision
from tests.fakes import FakeScorer

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_the_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("modelsat.inference.load_scorer", lambda *args, **kwargs: FakeScorer())
    names: dict[str, Any] = {"__name__": "documentation"}
    for snippet in snippets("python"):
        exec(compile(snippet, str(PAGE), "exec"), names)
    assert isinstance(names["decision"], RoutingDecision)
    assert "P(success)" in capsys.readouterr().out
    (data,) = snippets("json")
    assert PolicyFile(**json.loads(data)) == PolicyFile.load("policy.json")


def test_every_policy_and_field_is_described() -> None:
    from modelsat.policies.base import POLICIES
    from modelsat.request import Constraints

    page = PAGE.read_text("utf-8")
    for name in (*POLICIES, *Constraints.model_fields):
        assert f"`{name}`" in page
