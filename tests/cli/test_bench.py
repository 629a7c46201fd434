"""``modelsat bench`` runs whole and its JSON is complete."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from modelsat.cli import app, bench


def test_bench(monkeypatch):
    monkeypatch.setattr(bench, "SIZES", ((5, 3),))
    monkeypatch.setattr(bench, "_agreement", lambda scorer, weights: None)
    result = CliRunner().invoke(app, ["bench", "--rounds", "2", "--prompts", "3", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["weights"].startswith("modelsat-nano@")
    assert found["decisions"][0]["candidates"] == 3
    assert found["decisions"][0]["p95_ms"] >= found["decisions"][0]["median_ms"] > 0
    assert found["bulk"]["prompts_per_s"] > 0
    shown = CliRunner().invoke(app, ["bench", "--rounds", "1", "--prompts", "1"])
    assert "not compared" in shown.stdout
