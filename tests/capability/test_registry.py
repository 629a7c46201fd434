from __future__ import annotations

import json
import runpy
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from modelsat.capability import CapabilityProfile, Registry, find_task, save_profiles
from modelsat.capability.equating import equate
from modelsat.capability.naming import forms
from modelsat.capability.registry_file import RegistryFile
from modelsat.errors import InvalidProfileError, UnknownModelError

ROOT = Path(__file__).parents[2]


def profile(model: str, accuracy: float = 0.5, aliases: tuple[str, ...] = ()) -> CapabilityProfile:
    return CapabilityProfile.from_benchmarks(model, {"MMLU": accuracy}, aliases=aliases)


def test_the_shipped_registry_is_large_and_every_figure_has_a_source_and_keywords() -> None:
    registry = Registry.default()
    names = runpy.run_path(str(ROOT / "recipes" / "model_names.py"))
    cards = {names["SAME"].get(name, name) for name in names["FROM_CARDS"]}
    assert cards <= set(registry.names())
    assert len(registry) - len(cards) >= 150
    assert f"{len(registry)} models are known by name" in (ROOT / "README.md").read_text("utf-8")
    for known in registry:
        assert known.statements
        tasks = [statement.task for statement in known.statements]
        assert len(set(tasks)) == len(tasks), known.model
        for statement in known.statements:
            assert statement.source, known.model
            if statement.provenance or statement.items is not None:
                assert statement.items is None or statement.items >= 10
            elif known.model not in cards:  # cards and the tables of 2026 do not always say how many
                assert statement.items is not None
            task = find_task(statement.task)
            assert task is not None, statement.task
            assert statement.description == task.description
            assert len(statement.description.split(", ")) == 5


@pytest.mark.parametrize(
    ("written", "model"),
    [
        ("openai/gpt-4.1", "gpt-4.1-2025-04-14"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("o3", "o3"),
        ("gpt-5.4-2026-03-05", "gpt-5.4"),
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4.5"),
        ("claude-opus-4-6", "claude-opus-4.6"),
        ("anthropic/claude-opus-4-8", "claude-opus-4.8"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4.5"),
        ("gemini/gemini-3.1-pro-preview", "gemini-3.1-pro"),
        ("groq/llama-3.3-70b-versatile", "Llama-3.3-70B-Instruct"),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", "Llama-4-Maverick-17B-128E-Instruct"),
        ("kimi-k2", "kimi-k2-0905"),
        ("openai/gpt-5.4-mini-2026-03-17", "gpt-5.4-mini"),
        ("xai/grok-4-0709", "grok-4"),
        ("mistralai/mistral-small-3.2-24b-instruct:free", "Mistral-Small-3.2-24B-Instruct"),
        ("azure_ai/Phi-4", "phi-4"),
        ("ollama/gemma3:27b", "gemma-3-27b-it"),
    ],
)
def test_models_of_model_cards_are_found_by_their_names(written: str, model: str) -> None:
    assert Registry.shipped().find(written).model == model


@pytest.mark.parametrize("other", ["o3-pro", "gpt-5.2-codex", "claude-opus-4-1", "gpt-5.4-pro", "kimi-k2-thinking"])
def test_a_sibling_is_not_taken_for_a_model_of_a_card(other: str) -> None:
    names = runpy.run_path(str(ROOT / "recipes" / "model_names.py"))
    assert Registry.shipped().find(other).model not in {names["SAME"].get(n, n) for n in names["FROM_CARDS"]}
    with pytest.raises(UnknownModelError):
        Registry.shipped().find(f"{other}-audio")


def test_models_of_model_cards_stand_in_order() -> None:
    """A card's benchmarks differ from generation to generation; on common scales they line up all the same."""
    names = ["claude-opus-4.8", "gpt-5.4", "gpt-5-mini", "gpt-4.1", "gpt-4.1-nano", "Llama-3.2-1B-Instruct"]
    levels = [equate(Registry.shipped().find(name)).level for name in names]
    assert levels == sorted(levels, reverse=True)


def test_the_shipped_file_is_small() -> None:
    file = resources.files("modelsat.capability").joinpath("data/registry.jsonl")
    assert len(file.read_bytes()) < 700_000


def test_no_two_shipped_models_share_a_spelling() -> None:
    owners: dict[str, str] = {}
    for known in Registry.default():
        for name in (known.model, *known.aliases):
            assert owners.setdefault(forms(name)[2], known.model) == known.model, name


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-5", "gpt-5"),
        ("openai/gpt-5-2025-08-07", "gpt-5"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ("azure/gpt-35-turbo", "gpt-3.5-turbo-0125"),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
        ("anthropic/claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-3.5-sonnet", "claude-3-5-sonnet-20241022"),
        ("bedrock/us.anthropic.claude-3-5-sonnet-20240620-v1:0", "claude-3-5-sonnet-20240620"),
        ("anthropic.claude-v2:1", "claude-2.1"),
        ("models/gemini-1.5-pro", "gemini-1.5-pro"),
        ("gemini-1.5-flash-002", "gemini-1.5-flash-002"),
        ("gemini-1.5-flash-001", "gemini-1.5-flash"),
        ("ollama/llama3.1:8b-instruct-q4_K_M", "Llama-3.1-8B-Instruct"),
        ("ollama/llama3.1", "Llama-3.1-8B-Instruct"),
        ("meta-llama/Llama-3.1-8B", "Meta-Llama-3.1-8B"),
        ("together_ai/meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo", "Meta-Llama-3.1-70B-Instruct"),
        ("Meta-Llama-3.1-405B-Instruct", "Llama-3.1-405B-Instruct"),
        ("Llama-3.1-405B-Inst-fp8", "Llama-3.1-405B-Instruct-FP8"),
        ("hugging-quants/Meta-Llama-3.1-405B-Instruct-AWQ-INT4", "Llama-3.1-405B-Instruct"),
        ("DeepSeek-Coder-V2-0724", "deepseek-v2-coder-0724"),
        ("o3-mini", "o3-mini-2025-01-31-medium"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-R1"),
    ],
)
def test_models_are_found_under_the_names_people_use(name: str, model: str) -> None:
    registry = Registry.default()
    assert registry.find(name).model == model
    assert name in registry


@pytest.mark.parametrize(
    "name",
    ["gpt-7", "o9-pro", "claude-opus-4-9", "claude-3-9-sonnet", "llama-2-7b-chat-hf", "claude", "gpt", "", "/"],
)
def test_models_without_figures_are_not_taken_for_others(name: str) -> None:
    assert name not in Registry.default()
    with pytest.raises(UnknownModelError):
        Registry.default().find(name)


def test_every_own_name_and_alias_finds_its_model() -> None:
    registry = Registry.default()
    for known in registry:
        for name in (known.model, *known.aliases):
            assert registry.find(name) is known
            assert registry.find(f"  {name.upper()} ") is known


def test_an_unknown_name_is_answered_with_similar_ones_and_the_ways_out() -> None:
    with pytest.raises(UnknownModelError) as raised:
        Registry.default().find("gpt-7-nano")
    message = str(raised.value)
    assert "the closest names are gpt-" in message
    assert message.count("\n") == 2
    for way_out in ("modelsat profile add gpt-7-nano", "aptitude test", "--like gpt-7-nano=", "profiles={'gpt-7-nano'"):
        assert way_out in message
    assert "Registry" not in message


def test_membership_of_other_things() -> None:
    assert 5 not in Registry.default()
    assert None not in Registry.default()


def test_a_base_model_is_not_taken_for_an_instruct_model() -> None:
    registry = Registry([profile("Llama-3.1-8B"), profile("Llama-3.1-70B-Instruct")])
    assert "Llama-3.1-8B-Instruct" not in registry
    assert "Llama-3.1-70B" not in registry


def test_an_exact_alias_wins_over_a_looser_match() -> None:
    registry = Registry([profile("gpt-4o-2024-08-06"), profile("mine", aliases=("gpt-4o",))])
    assert registry.find("gpt-4o").model == "mine"
    assert registry.find("azure/gpt-4o").model == "mine"
    assert registry.find("gpt-4o-2024-08-06").model == "gpt-4o-2024-08-06"


@pytest.mark.parametrize("reverse", [False, True])
def test_the_newest_of_several_dated_models_is_taken(reverse: bool) -> None:
    models = [profile("gpt-4o-2024-05-13"), profile("gpt-4o-2024-08-06"), profile("gpt-4o-2023-12-31")]
    registry = Registry(models[::-1] if reverse else models)
    assert registry.find("openai/gpt-4o").model == "gpt-4o-2024-08-06"


def test_names_length_and_iteration_keep_the_order() -> None:
    registry = Registry([profile("b"), profile("a")])
    assert registry.names() == ["b", "a"] == [known.model for known in registry]
    assert len(registry) == 2
    assert repr(registry) == "Registry(2 models)"


@pytest.mark.parametrize(
    "models",
    [
        [profile("a"), profile("a", 0.6)],
        [profile("a", aliases=("x",)), profile("b", aliases=("X",))],
        [profile("a", aliases=("b",)), profile("b")],
    ],
)
def test_two_profiles_under_one_name_are_refused(models: list[CapabilityProfile]) -> None:
    with pytest.raises(InvalidProfileError, match="two profiles claim the name") as raised:
        Registry(models)
    assert all(repr(known.model) in str(raised.value) for known in models)


def test_search_looks_for_every_word_in_names_and_aliases() -> None:
    registry = Registry.default()
    found = [known.model for known in registry.search("claude 3.5")]
    assert found == ["claude-3-5-haiku-20241022", "claude-3-5-sonnet-20240620", "claude-3-5-sonnet-20241022"]
    assert registry.search("gpt-5")[0].model == "gpt-5"
    assert registry.search("no such thing") == []
    assert len(registry.search("")) == len(registry)


def test_own_profiles_override_shipped_ones_and_the_old_registry_stays() -> None:
    shipped = Registry.default()
    mine = profile("gpt-5", 0.123)
    merged = shipped.with_profiles([mine, profile("brand-new")])
    assert merged.find("gpt-5") is mine
    assert merged.find("openai/gpt-5-2025-08-07") is mine
    assert "brand-new" in merged
    assert "brand-new" not in shipped
    assert shipped.find("gpt-5") is not mine
    assert len(merged) == len(shipped) + 1


def test_an_override_takes_an_alias_and_leaves_the_model() -> None:
    mine = profile("my-tuned", aliases=("gpt-4-turbo",))
    merged = Registry.default().with_profiles([mine])
    assert merged.find("gpt-4-turbo") is mine
    assert merged.find("gpt-4-turbo-2024-04-09").model == "gpt-4-turbo-2024-04-09"
    assert "gpt-4-turbo" not in merged.find("gpt-4-turbo-2024-04-09").aliases


def test_own_profiles_must_not_contradict_each_other() -> None:
    with pytest.raises(InvalidProfileError, match="two profiles claim"):
        Registry.default().with_profiles([profile("a"), profile("a", 0.6)])


def test_deployment_names_become_aliases() -> None:
    registry = Registry.default().with_aliases({"prod-chat": "gpt-5", "cheap": "openai/gpt-4o-mini"})
    assert registry.find("azure/prod-chat").model == "gpt-5"
    assert registry.find("cheap").model == "gpt-4o-mini-2024-07-18"
    assert registry.find("prod-chat").digest == Registry.default().find("gpt-5").digest
    assert len(registry) == len(Registry.default())
    with pytest.raises(UnknownModelError):
        Registry.default().with_aliases({"x": "no-such-model"})
    with pytest.raises(InvalidProfileError):
        Registry.default().with_aliases({"gpt-5-chat": "gpt-5"})


def test_a_registry_from_a_file(tmp_path: Path) -> None:
    save_profiles([profile("a"), profile("b")], tmp_path / "mine.json")
    assert Registry.from_file(tmp_path / "mine.json").names() == ["a", "b"]
    with pytest.raises(InvalidProfileError, match="cannot read profiles"):
        Registry.from_file(tmp_path / "missing.json")


def test_the_default_is_read_once() -> None:
    assert Registry.default() is Registry.default()


def test_the_shipped_file_is_read_fast() -> None:
    script = (
        "import modelsat.capability, time\n"
        "t = time.process_time(); from modelsat.capability import Registry\n"
        "Registry.default().find('openai/gpt-5'); print(time.process_time() - t)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert float(result.stdout) < 0.5  # measured: 0.05 s; the rest is for slow machines


def test_the_shipped_file_has_one_model_a_line() -> None:
    text = resources.files("modelsat.capability").joinpath("data/registry.jsonl").read_text("utf-8")
    head, *lines = text.splitlines()
    assert [json.loads(line)["model"] for line in lines] == [names[0][0] for names in json.loads(head)["names"]]
    assert len(lines) == len(Registry.shipped())


def test_the_names_of_the_shipped_file_are_spelt_by_the_rules_of_today() -> None:
    """``python recipes/build_registry.py --names`` renews them after a change of ``modelsat.capability.naming``."""
    data = resources.files("modelsat.capability").joinpath("data/registry.jsonl").read_bytes()
    for names, spellings in zip((file := RegistryFile.of(data)).names, file.spellings, strict=True):
        assert spellings == [forms(name) for name in names]


def test_only_the_model_asked_for_is_read() -> None:
    registry = Registry.of_bytes(resources.files("modelsat.capability").joinpath("data/registry.jsonl").read_bytes())
    registry.find("openai/gpt-5")
    assert [slot.model for slot in registry._slots if "whole" in vars(slot)] == ["gpt-5"]


def test_effort_is_part_of_the_name() -> None:
    registry = Registry.shipped()
    low, high = registry.find("openai/gpt-5.6@low"), registry.find("gpt-5.6@HIGH")
    assert (low.model, low.effort, high.effort) == ("gpt-5.6-sol", "low", "high")
    assert equate(low).level < equate(high).level - 0.2
    assert registry.find("gpt-5.6-sol").digest == high.digest
    assert registry.figures("gpt-5.6").statements != high.statements
    assert "gpt-5.6@enormous" not in registry
    assert registry.find("claude-3-5-sonnet@20240620").model == "claude-3-5-sonnet-20240620"


def test_sources_that_contradict_each_other_stand_beside_the_figure() -> None:
    shipped = Registry.shipped()
    figure = next(s for s in shipped.figures("gpt-oss-20b").statements if s.task == "GPQA" and not s.effort)
    assert figure.accuracy == pytest.approx(0.715)
    assert 0.4596 in figure.others.values()
    assert figure.doubt > 0.1
    for known in shipped:
        for statement in shipped.figures(known.model).statements:
            assert all(abs(other - statement.accuracy) > 0.0299 for other in statement.others.values())
            assert bool(statement.others) == bool(statement.doubt)


def test_what_goes_back_to_a_board_whose_terms_are_open_does_not_ship() -> None:
    for known in Registry.shipped():
        for statement in Registry.shipped().figures(known.model).statements:
            assert "artificialanalysis" not in statement.source
            assert "Artificial Analysis" not in statement.source


def test_the_registry_says_how_old_it_is() -> None:
    assert Registry.shipped().date == "2026-11-30"


def test_the_levels_of_the_best_known_models_of_2026_agree_with_their_figures() -> None:
    """Spearman of the levels with the mean figure, each standardised among these models on its benchmark."""
    known = [profile for profile in Registry.shipped() if any(s.provenance for s in profile.statements)]
    known = sorted(known, key=lambda profile: -len(profile.statements))[:30]
    figures: dict[str, dict[str, float]] = {}
    for profile in known:
        for statement in profile.statements:
            figures.setdefault(statement.task, {})[profile.model] = statement.accuracy
    standard: dict[str, list[float]] = {profile.model: [] for profile in known}
    for by_model in figures.values():
        if len(by_model) >= 10:
            values = np.array(list(by_model.values()))
            for model, value in by_model.items():
                standard[model].append((value - values.mean()) / values.std())
    assert min(map(len, standard.values())) >= 5
    ranks = [
        np.argsort(np.argsort(numbers))
        for numbers in (
            [equate(profile, report=False).level for profile in known],
            [np.mean(standard[profile.model]) for profile in known],
        )
    ]
    assert np.corrcoef(*ranks)[0, 1] >= 0.9  # measured: 0.94
