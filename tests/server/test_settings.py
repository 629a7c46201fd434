"""Settings from YAML and options; API keys from the environment and a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelsat.errors import ConfigurationError
from modelsat.server.settings import api_keys, read_settings

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "serving.md"


def test_the_documented_settings_are_accepted(tmp_path: Path) -> None:
    block = DOCUMENTATION.read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "server.yaml"
    path.write_text(block, "utf-8")
    settings = read_settings(path, {})
    assert settings.policy == "cheapest(target=0.8)"
    defaults = {name: field.default for name, field in type(settings).model_fields.items()}
    shown = ("max_waiting", "batch_size", "request_timeout_s", "max_body_bytes", "max_prompts", "threads")
    assert all(getattr(settings, name) == defaults[name] for name in shown), "the comments tell the defaults"


def test_options_replace_the_file(tmp_path: Path) -> None:
    path = tmp_path / "server.yaml"
    path.write_text("candidates: {fast: gpt-4o-mini, strong: gpt-4o}\nport: 9000\nbatch_size: 8\n", "utf-8")
    settings = read_settings(path, {"port": 9001, "weights": None})
    assert (settings.port, settings.batch_size, settings.network) == (9001, 8, "modelsat-nano")
    assert settings.candidates == {"fast": "gpt-4o-mini", "strong": "gpt-4o"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("candidates: [a]\nprot: 80", "unknown field 'prot'; known: "),
        ("candidates: [a]\nport: 80000", "port: .*65535"),
        ("candidates: [a]\nrate_limit: -1", "rate_limit"),
        ("port: 80", "no candidates: give --models"),
        ("- a\n- b", "does not hold settings"),
        ("candidates: [a\n", "cannot read settings"),
    ],
)
def test_a_bad_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "server.yaml"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigurationError, match=message) as raised:
        read_settings(path, {})
    assert str(path) in str(raised.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read settings"):
        read_settings(tmp_path / "none.yaml", {})


def test_keys_from_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    path.write_text("# comment\nalpha\n\nbeta\n", "utf-8")
    monkeypatch.setenv("MODELSAT_API_KEYS", "gamma, alpha ,")
    settings = read_settings(None, {"candidates": ["a"], "api_keys_file": path})
    assert api_keys(settings) == ("gamma", "alpha", "beta")


@pytest.mark.parametrize("content", [None, "", "# only this\n"])
def test_a_keys_file_without_keys_does_not_open_the_server(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(ConfigurationError, match="API key"):
        api_keys(read_settings(None, {"candidates": ["a"], "api_keys_file": path}))
