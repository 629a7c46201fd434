"""The snippets of docs/langchain.md run, one after the other, on the loopback provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeScorer
from tests.openai_server import OpenAIServer
from tests.snippets import texts

PAGE = Path(__file__).parents[3] / "docs" / "langchain.md"


def test_the_snippets_run(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    monkeypatch.setattr("modelsat.inference.load_scorer", lambda *args, **kwargs: FakeScorer())
    snippets = texts(PAGE, "python")
    assert len(snippets) > 5
    names: dict[str, Any] = {"__name__": "documentation"}
    for snippet in snippets:
        exec(compile(snippet, str(PAGE), "exec"), names)
    assert "P(success)" in capsys.readouterr().out
