"""Shared fixtures: a deterministic scorer, a handful of profiles, and cache and profile folders of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from modelsat.capability.profile import CapabilityProfile
from tests.fakes import FakeScorer, make_profile

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # LiteLLM downloads prices as it is imported

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True)
def _own_cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests out of the user's cache folder and profile store, and the user's settings out of the tests."""
    directory = tmp_path / "modelsat-cache"
    monkeypatch.setenv("MODELSAT_CACHE_DIR", str(directory))
    monkeypatch.setenv("MODELSAT_PROFILES", str(tmp_path / "modelsat-profiles"))
    monkeypatch.setenv("MODELSAT_REGISTRY", str(tmp_path / "modelsat-registry"))
    monkeypatch.setattr("modelsat.capability.registry.OLD_DAYS", 100_000)
    for name in ("MODELSAT_BASE", "MODELSAT_API_KEY", "MODELSAT_API_KEYS"):
        monkeypatch.delenv(name, raising=False)
    return directory


@pytest.fixture
def fake_scorer() -> FakeScorer:
    """A scorer that gives 0.9 to accuracy 0.9, 0.6 to 0.6 and 0.3 to 0.3, whatever the text."""
    return FakeScorer({0.9: 0.9, 0.6: 0.6, 0.3: 0.3})


@pytest.fixture
def profiles() -> list[CapabilityProfile]:
    """Three candidates, from weak to strong."""
    return [make_profile("weak", 0.3), make_profile("middling", 0.6), make_profile("strong", 0.9)]
