"""``modelsat doctor``: what it sees, and what it says to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.fakes import FakeScorer


def found(run: Run, *arguments: object, code: int = 0) -> dict[str, dict[str, Any]]:
    result = run("doctor", *arguments, "--json")
    assert result.exit_code == code, result.stdout
    return {finding["check"]: finding for finding in json.loads(result.stdout)}


def test_models_prices_and_decisions(run: Run, scorer: FakeScorer) -> None:
    checks = found(run, "--models", "openai/gpt-4o,azure/nobody-knows-this,gpt-5", code=1)
    assert "known as gpt-4o" in checks["openai/gpt-4o"]["found"]
    unknown = checks["azure/nobody-knows-this"]
    assert unknown["state"] == "error"
    assert checks["decision"]["state"] == "ok"
    assert "no price" in unknown["found"]
    assert "--like azure/nobody-knows-this=KNOWN" in unknown["todo"]
    assert checks["packages"]["state"] == "ok"


def test_without_arguments_it_ends_well(run: Run, scorer: FakeScorer) -> None:
    result = run("doctor")
    assert result.exit_code == 0
    assert len(scorer.calls) == 3
    assert "'hi': " in result.stdout


def test_names_of_a_litellm_configuration(run: Run, scorer: FakeScorer, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("model_list: [{model_name: b, litellm_params: {model: azure/gpt-4o-mini}}]")
    config = tmp_path / "config.yaml"
    config.write_text(
        "include: [more.yaml]\n"
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/gpt-4o}}\n"
        "  - {model_name: a, litellm_params: {model: azure/mine}, model_info: {base_model: azure/gpt-4o}}\n"
        "  - {model_name: a, litellm_params: {model: x/y}, model_info: {modelsat: {profile: gpt-5}}}\n"
    )
    checks = found(run, config)
    assert {"azure/gpt-4o-mini", "openai/gpt-4o", "azure/gpt-4o", "gpt-5"} <= checks.keys()
    config.write_text("model_list: [{model_name: a}]")
    refused = run("doctor", config)
    assert refused.exit_code == 2
    assert "entry 1 of model_list has no litellm_params.model" in refused.stderr


def test_a_cache_folder_that_cannot_be_written(
    run: Run, scorer: FakeScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MODELSAT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    cache = found(run)["cache folder"]
    assert cache["state"] == "warning"
    assert "$MODELSAT_CACHE_DIR" in cache["todo"]


def test_an_old_registry(run: Run, scorer: FakeScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelsat.capability.registry import Registry

    old = Registry.shipped()
    monkeypatch.setattr(old, "date", "2020-01-01")
    monkeypatch.setattr("modelsat.capability.registry.OLD_DAYS", 90)
    assert found(run)["registry"]["todo"] == "modelsat models update"


def test_weights_that_are_not_there_end_with_an_error(run: Run, tmp_path: Path) -> None:
    result = run("doctor", "--weights", tmp_path / "none")
    assert result.exit_code == 1
    assert "error" in result.stdout
    assert "decision" in result.stdout


def test_an_installed_package_of_another_version(run: Run, scorer: FakeScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsat.cli.doctor.requires", lambda _: ["numpy<1", "litellm<1; extra == 'litellm'"])
    result = run("doctor")
    assert result.exit_code == 1
    assert "pip install 'numpy<1'" in result.stdout
