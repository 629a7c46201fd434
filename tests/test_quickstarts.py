"""The quick starts of the docs run as they stand: an empty folder, the weights that ship, a loopback provider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from litellm_modelsat.command import check
from tests.openai_server import OpenAIServer
from tests.snippets import run_page

DOCS = Path(__file__).parents[1] / "docs"
PAGES = DOCS / "quickstarts"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: OpenAIServer) -> dict[str, str]:
    """An empty current folder, and keys that are good for the loopback provider alone."""
    names = {
        "OPENAI_API_KEY": "none",
        "ANTHROPIC_API_KEY": "none",
        "OPENAI_API_BASE": provider.url,
        "OPENAI_BASE_URL": provider.url,
        "LITELLM_MASTER_KEY": "sk-5f1d7c",
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return names


@pytest.fixture
def provider() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.mark.filterwarnings("ignore")
def test_a_langchain_app(environment: dict[str, str], provider: OpenAIServer) -> None:
    found = run_page(PAGES / "langchain.md", Path.cwd(), environment)
    assert set(found["decision"]["scores"]) == {"gpt-5.6-sol", "gpt-5.6-luna"}
    assert found["state"]["routing_decision"]["model"] in found["decision"]["scores"]
    assert len(provider.requests) == 6
    assert found["said"].count("with P(success) of at least 0.90") == 2


@pytest.mark.filterwarnings("ignore")
def test_a_litellm_proxy(environment: dict[str, str], provider: OpenAIServer) -> None:
    found = run_page(PAGES / "litellm.md", Path.cwd(), environment)
    assert "Nothing to do." in found["said"]
    assert "x-modelsat-model: openai/gpt-5.6-" in found["said"]
    assert len(provider.requests) == 2
    assert set(check(Path("groups.yaml"))["litellm_settings"]["modelsat"]["groups"]) == {"smart", "careful"}


def test_coding_agents(environment: dict[str, str]) -> None:
    run_page(PAGES / "coding-agents.md", Path.cwd(), environment, serve=False)
    settings = check(Path("coding.yaml"))["litellm_settings"]["modelsat"]
    assert settings["groups"]["coding"]["policy"]["per"] == "turn"


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
