from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelsat.capability import CapabilityProfile, Registry
from tests.cli.conftest import Run


def test_all_models_are_listed(run: Run) -> None:
    result = run("models")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in Registry.default().names())
    assert result.stderr == ""


def test_levels_stand_in_a_narrow_window(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = run("models", "claude 3.5").stdout
    assert "level" in listed.splitlines()[0]
    assert "claude-3-5-sonnet-20241022    +0." in listed


def test_a_query_narrows_the_list_best_first(run: Run) -> None:
    rows = json.loads(run("models", "claude 3.5", "--json").stdout)
    assert {row["model"] for row in rows} == {
        "claude-3-5-haiku-20241022",
        "claude-3-5-sonnet-20240620",
        "claude-3-5-sonnet-20241022",
    }
    levels = [row["level"] - 1.645 * row["doubt"] for row in rows]
    assert levels == sorted(levels, reverse=True)  # by what they are at least
    assert all(row["statements"] and row["sources"] for row in rows)


def test_own_profiles_are_listed(run: Run, profiles_file: Path) -> None:
    assert "middling" in run("models", "midd", "--profiles", profiles_file).stdout


def test_nothing_found(run: Run) -> None:
    result = run("models", "no-such-model")
    assert result.exit_code == 2
    assert "no-such-model" in result.stderr
    assert json.loads(run("models", "no-such-model", "--json").stdout) == []


def test_show_has_text_bars_and_counts(run: Run) -> None:
    result = run("show", "openai/gpt-5-2025-08-07")
    profile = Registry.default().find("gpt-5")
    assert result.exit_code == 0
    assert "The model achieves accuracy" in result.stdout
    assert "┃" in result.stdout
    for statement in profile.statements:
        items = "?" if statement.items is None else f"{statement.items:,}"
        assert any(
            statement.task in line and f"{statement.accuracy:.1%}" in line and items in line
            for line in result.stdout.splitlines()
        )


def test_show_sorts_by_accuracy(run: Run) -> None:
    lines = run("show", "gpt-5").stdout.splitlines()
    bars = [line.split("┃")[1] for line in lines if "┃" in line and "%" in line]
    shown = [float(next(part for part in bar.split() if part.endswith("%")).rstrip("%")) for bar in bars]
    assert shown == sorted(shown, reverse=True)


def test_show_json_is_the_profile(run: Run) -> None:
    result = run("show", "claude-sonnet-4", "--json")
    assert CapabilityProfile(**json.loads(result.stdout)) == Registry.default().find("claude-sonnet-4")


def test_show_own_profile(run: Run, profiles_file: Path) -> None:
    assert "ability level" in run("show", "strong", "--profiles", profiles_file).stdout


def test_show_unknown_model(run: Run) -> None:
    result = run("show", "no-such-model")
    assert result.exit_code == 2
    assert "closest names are" in result.stderr


def test_a_broken_profile_is_one_clear_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"mine": {"MMLU": 73}}', "utf-8")
    result = run("models", "--profiles", tmp_path / "bad.json")
    assert result.exit_code == 2
    assert "write 0.73 for 73 %" in result.stderr
    assert result.stderr.count("\n") == 1


def test_show_lists_facts_with_their_origin(run: Run) -> None:
    whole, facts = run("show", "gpt-4o").stdout, run("show", "gpt-4o", "--facts").stdout
    for text in (whole, facts):
        assert any("output_usd_per_mtok" in line and "price table of" in line for line in text.splitlines())
        assert any("vision" in line and "yes" in line for line in text.splitlines())
    assert "The model achieves" in whole
    assert "The model achieves" not in facts


def test_facts_as_json_and_of_nobody(run: Run) -> None:
    found = json.loads(run("show", "azure/gpt-4o", "--facts", "--json").stdout)
    assert found["provider"] == "azure"
    assert found["origins"]["abilities.tools"].startswith("price table of")
    nobody = run("show", "no-such-model", "--facts")
    assert (nobody.exit_code, nobody.stdout) == (2, "")
    assert "no price, limit or ability is known" in nobody.stderr


def test_show_says_where_no_facts_are_known(run: Run, profiles_file: Path) -> None:
    assert "price, limits and abilities: unknown" in run("show", "strong", "--profiles", profiles_file).stdout


def test_a_model_of_few_figures_is_not_listed_among_the_best(run: Run) -> None:
    rows = json.loads(run("models", "--json").stdout)
    assert all(row["statements"] >= 3 for row in rows[:10])
    assert all(row["doubt"] > 0 for row in rows)


def test_efforts_date_and_doubt_stand_in_a_narrow_window(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    line = next(line for line in run("models", "gpt-5.6").stdout.splitlines() if "sol " in line)
    assert "none-max" in line
    assert "2026-" in line
    shown = run("show", "gpt-oss-20b").stdout
    assert "71.5% ±18" in shown
    assert "46.0%" in next(line for line in shown.splitlines()[4:] if "but" in line and "46.0" in line)
    assert "level by reasoning effort: none" in run("show", "gpt-5.6").stdout
    assert "at low effort" in run("show", "gpt-5.6@low").stdout


def test_an_estimated_model_says_so(run: Run) -> None:
    shown = run("show", "grok-5").stdout
    assert shown.startswith("~grok-5")
    assert "estimated from grok-" in shown
