"""The whole of it with the shipped weights: a prompt in, a decision out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from modelsat import CapabilityProfile, Router
from modelsat.capability import save_profiles
from modelsat.cli import app
from modelsat.errors import NoCandidateError
from modelsat.router.scoring import selection_of

EASY, HARD = "What is the capital of France?", "Determine all continuous f with f(x+y) = f(x)f(y) + sin x sin y."
POOL = ["gpt-4o-2024-05-13", "claude-3-haiku-20240307", "Meta-Llama-3-8B-Instruct"]


@pytest.fixture(scope="module")
def router():
    return Router(POOL)


def test_a_decision(router):
    decision = router.route(HARD)
    assert decision.model == "gpt-4o-2024-05-13"
    assert list(decision.scores.values()) == sorted(decision.scores.values(), reverse=True)
    assert not decision.fallback
    assert decision.versions["weights"].startswith("modelsat-nano@")
    assert decision.model in decision.explain()


def test_easy_prompts_are_easier_for_everyone(router):
    easy, hard = router.route_batch([EASY, HARD])
    assert all(easy.scores[name] > hard.scores[name] + 0.1 for name in POOL)


def test_a_batch_decides_as_single_requests_do(router):
    for prompt, batched in zip([EASY, HARD], router.route_batch([EASY, HARD]), strict=True):
        assert batched.scores == pytest.approx(dict(router.route(prompt).scores), abs=1e-4)


def test_a_new_model_needs_figures_only():
    weak = CapabilityProfile.from_benchmarks("mine", {"MMLU-Pro": 0.25, "GPQA": 0.26, "MATH-500": 0.2})
    strong = CapabilityProfile.from_benchmarks("theirs", {"MMLU-Pro": 0.86, "GPQA": 0.82, "MATH-500": 0.96})
    assert Router([weak, strong]).route(HARD).model == "theirs"


@pytest.mark.parametrize(
    ("prompt", "specialist"),
    [
        ("Find the number of ordered pairs of integers (a, b) with a^2 + b^2 = 2025.", "maths"),
        ("A man of 45 has chest pain and ST elevation in II, III and aVF. Which artery is occluded?", "knowledge"),
        ("Which treaty ended the Thirty Years' War, and what did it change?", "knowledge"),
    ],
)
def test_specialists_never_seen_in_training_get_their_prompts(prompt, specialist):
    figures = {"MATH-500": (0.9, 0.5), "AIME": (0.6, 0.05), "MMLU": (0.6, 0.85), "MedQA": (0.4, 0.8)}
    pool = [
        CapabilityProfile.from_benchmarks(name, {task: pair[index] for task, pair in figures.items()})
        for index, name in enumerate(("maths", "knowledge"))
    ]
    assert Router(pool).route(prompt).model == specialist


@pytest.mark.parametrize("prompt", ["\ud800 lone", "\x00\x01 binary \x7f", "好" * 5000])
def test_odd_prompts_get_a_decision(router, prompt):
    assert 0 < router.route(prompt).score < 1


@pytest.mark.parametrize("prompt", ["x" * 2_000_000, "word " * 250_000])
def test_huge_prompts_get_a_decision_where_they_fit(router, prompt):
    with pytest.raises(NoCandidateError, match=r"context window of 128,000 tokens: prompt ~[1-6]\d\d,\d\d\d and"):
        router.route(prompt)
    roomy = Router(POOL, facts={POOL[1]: {"context_window": 1_000_000}})
    assert roomy.route(prompt).model == POOL[1]


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads Linux's /proc")
def test_a_routing_process_loads_no_torch_and_stays_small():
    code = f"""
import re, sys
from pathlib import Path
from modelsat import Router
Router({POOL!r}).route({HARD!r})
assert "torch" not in sys.modules and "transformers" not in sys.modules
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert float(output) <= 600, "resident memory in MB"


def test_route_on_the_command_line():
    result = CliRunner().invoke(app, ["route", HARD, "--models", ",".join(POOL), "--json"])
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)["scores"]) == set(POOL)


def test_score_on_the_command_line(tmp_path, router):
    items, profiles, output = tmp_path / "items.parquet", tmp_path / "profiles.json", tmp_path / "scores.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b"], "prompt": [EASY, HARD]}), items)
    save_profiles([candidate.profile for candidate in router.candidates], profiles)
    arguments = ["score", str(items), "--profiles", str(profiles), "--output", str(output)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    scores = pq.read_table(output).to_pylist()
    assert len(scores) == 6
    decision = router.route(HARD)
    selection = selection_of(router.versions["weights"], router.policy)
    assert selection is not None  # The command gives what the network says, before anything is chosen.
    expected = dict(zip(decision.scores, selection.undo(list(decision.scores.values())), strict=True))
    for row in scores:
        if row["item_id"] == "b":
            assert np.isclose(row["p"], expected[row["model"]], atol=1e-4)
