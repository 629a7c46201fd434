"""The benchmark of agreement says so where scores differ, and holds AVX2 kernels against wider ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("MODELSAT_DATA", "../shared/data")).resolve()
AGREEMENT = "benchmarks/agreement.py"

pytestmark = pytest.mark.skipif(
    not (DATA / "items.parquet").is_file(), reason=f"no outcome data in {DATA} (set MODELSAT_DATA)"
)


def run(*arguments: object, prompts: int = 12) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments), "--prompts", str(prompts), "--data", str(DATA)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    file = tmp_path_factory.mktemp("agreement") / "scores.npz"
    ran = run(AGREEMENT, "--dump", file)
    assert ran.returncode == 0, ran.stderr
    return file


def test_the_shipped_graph_chooses_as_the_float_network_does():
    pytest.importorskip("torch", reason="the reference needs the extra 'torch'")
    ran = run(AGREEMENT, prompts=2000)
    assert ran.returncode == 0, ran.stderr  # mean difference of P at most 0.005, same choice on at least 99.5 %


def test_avx2_kernels_score_alike(dump):
    ran = run("benchmarks/avx2.py", AGREEMENT, "--against", dump, "--most", 0.02)
    if ran.returncode == 2:
        pytest.skip(ran.stderr.strip())
    assert ran.returncode == 0, ran.stderr
    assert "AVX2" in ran.stdout
    assert "same choice: 100.00%" in ran.stdout


def test_other_scores_end_with_an_error(dump, tmp_path):
    stored = dict(np.load(dump))
    stored["scores"] = 1 - stored["scores"]
    np.savez(tmp_path / "other.npz", **stored)
    ran = run(AGREEMENT, "--against", tmp_path / "other.npz")
    assert ran.returncode == 1
    assert "the mean difference of P is" in ran.stderr
    assert "the choice is the same on" in ran.stderr
