"""README's snippets run as they stand, on a loopback provider and with the weights that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from litellm_modelsat.command import check
from tests.openai_server import OpenAIServer
from tests.snippets import texts

README = Path(__file__).parents[1] / "README.md"


def test_it_fits_a_screen_or_two() -> None:
    lines = README.read_text("utf-8").splitlines()
    assert len(lines) <= 130
    assert not [line for line in lines if len(line) > 120]


@pytest.mark.filterwarnings("ignore")
def test_the_python_snippets_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        found: dict[str, Any] = {"__name__": "readme"}
        for snippet in texts(README, "python"):
            exec(compile(snippet, "README.md", "exec"), found)
        assert server.models_called == ["gpt-5.6-sol"], "the proof goes to the strongest"
    assert found["decision"].model == "gpt-5.6-luna", "a common question does not"
    assert "P(success)" in capsys.readouterr().out


def test_the_proxy_takes_the_configuration(tmp_path: Path) -> None:
    (block,) = texts(README, "yaml")
    file = tmp_path / "config.yaml"
    file.write_text(block, "utf-8")
    assert {entry["model_name"] for entry in check(file)["model_list"]} == {"smart"}
    assert yaml.safe_load(block)["router_settings"]["routing_strategy"] == "modelsat"
