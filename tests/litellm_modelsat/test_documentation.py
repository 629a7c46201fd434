"""The configurations and snippets of docs/litellm.md work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from litellm_modelsat.command import check
from tests.openai_server import OpenAIServer
from tests.snippets import texts

DOCS = Path(__file__).parents[2] / "docs"
PAGE, AGENTS = DOCS / "litellm.md", DOCS / "coding-agents.md"


def test_the_configurations_for_coding_agents_are_accepted(tmp_path: Path) -> None:
    first, off = (yaml.safe_load(block) for block in texts(AGENTS, "yaml"))
    for number, configuration in enumerate((first, {**first, **off})):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(configuration), "utf-8")
        group = check(file)["litellm_settings"]["modelsat"]["groups"]["coding"]
        assert group["policy"]["per"] == "turn"
        assert group.get("escalation", True) is (number == 0)


def test_the_functions_for_coding_agents_run() -> None:
    found: dict[str, Any] = {}
    for snippet in texts(AGENTS, "python"):
        exec(compile(snippet, "docs/coding-agents.md", "exec"), found)
    assert found["housekeeping"]([], {"max_tokens": 64}) == "title"
    assert found["housekeeping"]([], {}) is None
    assert [found["stuck"]([{"content": text}]) for text in ("ULTRA please", "go on")] == [1, 0]


def test_the_configurations_are_accepted(tmp_path: Path) -> None:
    configurations: list[dict[str, Any]] = [yaml.safe_load(block) for block in texts(PAGE, "yaml")]
    assert len(configurations) == 5
    models = configurations[0]["model_list"]
    for number, configuration in enumerate(configurations):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump({"model_list": models, **configuration}), "utf-8")
        derived = check(file)
        if number < 4:
            assert derived["litellm_settings"]["modelsat"]["groups"]["smart"] == {"policy": "cheapest(target=0.8)"}


@pytest.mark.filterwarnings("ignore")
def test_the_snippets_run(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    (snippet,) = texts(PAGE, "python")
    assert len(snippet.replace("\n\n", "\n").splitlines()) <= 10
    exec(compile(snippet, "docs/litellm.md", "exec"), {"__name__": "documentation"})
    assert server.models_called == ["gpt-4o"]
    assert "gpt-4o" in capsys.readouterr().out


def test_every_key_is_in_the_tables() -> None:
    from litellm_modelsat.settings import GroupSettings, ModelSettings, Settings

    page = PAGE.read_text("utf-8")
    for kind in (Settings, GroupSettings, ModelSettings):
        for key in kind.model_fields:
            assert f"`{key}`" in page
