"""A runner for the command line, with a scripted scorer in place of the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from modelsat.capability import CapabilityProfile, save_profiles
from modelsat.cli import app
from tests.fakes import FakeScorer
from tests.hub_server import _running_hub, hub  # noqa: F401

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: object, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def scorer(fake_scorer: FakeScorer, monkeypatch: pytest.MonkeyPatch) -> FakeScorer:
    """The scorer that every command loads."""
    monkeypatch.setattr("modelsat.inference.load_scorer", lambda *_args, **_options: fake_scorer)
    return fake_scorer


@pytest.fixture
def profiles_file(profiles: list[CapabilityProfile], tmp_path: Path) -> Path:
    """The profiles ``weak``, ``middling`` and ``strong`` in a file."""
    path = tmp_path / "profiles.json"
    save_profiles(profiles, path)
    return path
