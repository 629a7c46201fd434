"""``modelsat explain`` as a user meets it; what mattered is found with the shipped weights."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from modelsat.capability import CapabilityProfile, Registry, save_profiles
from modelsat.cli.explain import percentile
from modelsat.inference import load_scorer
from modelsat.inference.attribution import influences
from modelsat.request import Exclusion
from modelsat.router import RoutingDecision
from modelsat.storage.checkpoint import SHIPPED, open_checkpoint
from tests.cli.conftest import Run
from tests.fakes import FakeScorer

DECISION = RoutingDecision(
    model="strong",
    scores={"strong": 0.71, "weak": 0.3},
    excluded={"blind": Exclusion("ability", "cannot read images")},
    costs={"strong": 0.0021},
    corrections={"strong": -0.12},
    reason="highest P(success) 0.71 of 2 candidates",
)


@pytest.fixture
def decision(tmp_path: Path) -> Path:
    path = tmp_path / "decision.json"
    path.write_text(DECISION.model_dump_json(), "utf-8")
    return path


def test_a_decision_without_its_prompt(run: Run, decision: Path) -> None:
    result = run("explain", decision)
    assert result.exit_code == 0
    for part in ("strong", "0.710", "0.0021", "-0.120", "blind: cannot read images (ability)", "--prompt TEXT"):
        assert part in result.stdout
    assert "How sure: P(success) of strong is 0.71; 0.41 above weak." in result.stdout


def test_a_decision_on_standard_input_or_inside_an_answer(run: Run, decision: Path, tmp_path: Path) -> None:
    assert "0.710" in run("explain", "-", input=DECISION.model_dump_json()).stdout
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"routing_decision": DECISION.model_dump(mode="json")}), "utf-8")
    assert "0.710" in run("explain", answer).stdout


def test_a_prompt_with_candidates(run: Run, scorer: FakeScorer, profiles_file: Path) -> None:
    result = run("explain", "What is the law?", "--profiles", profiles_file)
    assert result.exit_code == 0
    assert "strong: highest P(success) 0.90 of 3 candidates" in result.stdout
    assert "the profile of strong has one figure only" in result.stdout
    assert "Prompt: asks for a plain fact; " in result.stdout
    assert "known models more likely fail at it than not" in result.stdout
    assert "strong: 1 figure: 90% on " in result.stdout
    assert "as far as its profile is known (90 %)" in result.stdout


def test_what_other_policies_would_have_done(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    costs = {"strong": 0.02, "weak": 0.001}
    path.write_text(DECISION.model_copy(update={"costs": costs}).model_dump_json(), "utf-8")
    chosen = json.loads(run("explain", path, "--json").stdout)["other_policies"]
    assert chosen == {
        "best": "strong",
        "near_best(margin=0.02)": "strong",
        "cheapest(target=0.8)": "strong",
        "knob(5)": "strong",
        "knob(0)": "weak",
    }
    path.write_text(DECISION.model_dump_json(), "utf-8")  # the price of one is not known
    assert json.loads(run("explain", path, "--json").stdout)["other_policies"] == {"best": "strong"}


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "cannot read a decision"), ("[]", "holds no decision"), ('{"scores": {}}', "model: Field required")],
)
def test_what_is_no_decision(run: Run, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "decision.json"
    path.write_text(content, "utf-8")
    result = run("explain", path)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no-file.json",), "cannot read a decision from no-file.json"),
        (("What is the law?",), "give model names"),
        (("What?", "--prompt", "why"), "give a decision and --prompt, or only a prompt"),
        (("-", "--prompt", "-"), "cannot both come from standard input"),
    ],
)
def test_arguments_that_do_not_fit(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("explain", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_mattered_and_what_is_near_with_the_shipped_weights(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    figures = {"MATH-500": 0.9, "AIME": 0.6, "MedQA": 0.4, "MMLU": 0.6}
    mine = CapabilityProfile.from_benchmarks("mine", figures)
    other = CapabilityProfile.from_benchmarks("other", {"MATH-500": 0.5, "AIME": 0.05, "MedQA": 0.8, "MMLU": 0.85})
    save_profiles([mine, other], path)
    prompt = "Find all primes p such that p + 2 and p^2 + 2p - 8 are both prime."
    result = run("explain", prompt, "--profiles", path, "--json")
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    found = content["statements"][content["decision"]["model"]]
    assert {entry["task"] for entry in found} == set(figures)
    assert [abs(entry["effect"]) for entry in found] == sorted((abs(entry["effect"]) for entry in found), reverse=True)
    assert next(iter(content["fields"])) == "mathematics"
    assert content["kind"] == "mathematics"
    assert 0.2 < content["difficulty"] < 1.0
    assert content["percentile"] >= 0.3
    assert content["known_by"]["mine"].startswith("4 figures: ")
    shown = run("explain", prompt, "--profiles", path).stdout
    assert "Prompt: asks for a derivation; field: mathematics" in shown
    assert "What mattered for mine" in shown

    scorer = load_scorer()
    (whole, without) = scorer.score(
        [prompt],
        [mine, CapabilityProfile.from_benchmarks("x", {k: v for k, v in figures.items() if k != "AIME"})],
    ).p[0]
    effects = {entry.statement.task: entry.effect for entry in influences(scorer, mine, prompt)}
    assert effects["AIME"] == pytest.approx(float(whole - without), abs=1e-4)


def test_where_a_prompt_stands_among_those_of_its_field() -> None:
    """Weights that change need `python recipes/difficulty.py`."""
    entry = json.loads(files("modelsat.cli").joinpath("data", "difficulty.json").read_text("utf-8"))[SHIPPED]
    assert entry["network"] == open_checkpoint(SHIPPED).digests["model.onnx"]
    scorer, known = load_scorer(SHIPPED), list(Registry.shipped())
    fields = {"mathematics": ("What is 2 + 3?", "Prove that every finite group of odd order is solvable.")}
    for field, texts in fields.items():
        easy, hard = (percentile(scorer.version, field, 1 - float(row.mean())) for row in scorer.score(texts, known).p)
        assert easy is not None
        assert hard is not None
        assert easy <= 0.3
        assert hard >= 0.6
        quantiles = entry["fields"][field]
        assert quantiles == sorted(quantiles)
        assert [percentile(scorer.version, field, at) for at in (0.0, quantiles[10] + 1e-6, 1.0)] == [0.0, 0.5, 1.0]
    assert percentile("somebody-elses@0123456789ab", "mathematics", 0.5) is None
    assert percentile(scorer.version, "heraldry", 0.5) is None
