"""The quick starts of the docs run as they stand: an empty folder, the weights that ship, a loopback provider.

Those of LiteLLM run in ``tests/litellm_modelsat/test_command.py``, on a proxy that is there already.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.openai_server import OpenAIServer
from tests.snippets import newcomer, run_page

DOCS = Path(__file__).parents[1] / "docs"
PAGES = DOCS / "quickstarts"


@pytest.fixture
def provider() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: OpenAIServer) -> dict[str, str]:
    return newcomer(tmp_path, monkeypatch, provider.url)


@pytest.mark.filterwarnings("ignore")
def test_a_langchain_app(environment: dict[str, str], provider: OpenAIServer) -> None:
    found = run_page(PAGES / "langchain.md", Path.cwd(), environment)
    assert set(found["decision"]["scores"]) == {"gpt-5.6-sol", "gpt-5.6-luna"}
    assert found["state"]["routing_decision"]["model"] in found["decision"]["scores"]
    assert len(provider.requests) == 6
    assert found["said"].count("with P(success) of at least 0.90") == 2


def test_a_server(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    found = run_page(PAGES / "server.md", Path.cwd(), environment)
    decision = json.loads(Path("decision.json").read_text("utf-8"))
    assert set(decision["scores"]) == {"gpt-5.6-sol", "gpt-5.6-luna", "claude-haiku-4-5"}
    assert '"kind":"provider"' in found["said"].replace(" ", "")
    assert "near_best" in capsys.readouterr().out, "the client's own policy, on the server's scores"


def test_own_outcomes(environment: dict[str, str]) -> None:
    found = run_page(PAGES / "own-outcomes.md", Path.cwd(), environment)
    assert found["decision"].model in found["decision"].scores
    assert any(found["decision"].corrections.values()), "outcomes move the scores"
    assert "600" in found["said"], "two outcomes of each prompt were imported"


@pytest.mark.filterwarnings("ignore")
def test_five_minutes(environment: dict[str, str], provider: OpenAIServer) -> None:
    found = run_page(DOCS / "index.md", Path.cwd(), environment)
    assert "How sure:" in found["said"]
    assert len(provider.requests) == 1


@pytest.mark.parametrize("page", sorted(DOCS.glob("concepts/*.md")), ids=lambda page: page.stem)
def test_concepts(page: Path, environment: dict[str, str]) -> None:
    run_page(page, Path.cwd(), environment)
