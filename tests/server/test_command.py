"""``modelsat serve`` as a process with the shipped weights: same decisions, an orderly end, one line on bad input."""

from __future__ import annotations

import importlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from modelsat.cli import app
from modelsat.router import Router
from modelsat.server import RemoteScorer
from tests.server.servers import wait_until_ready

CANDIDATES = ["gpt-4o", "gpt-4o-mini", "claude-3-haiku"]
PROMPTS = [
    "Prove that every bounded monotone sequence of real numbers converges.",
    "yes",
    "Write a haiku about the sea. " * 40,
    "¿Cuál es la capital de Francia?",
]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str]]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "server.yaml").write_text("request_timeout_s: 120\n", "utf-8")
    command = [sys.executable, "-m", "modelsat", "serve", "--config", str(folder / "server.yaml")]
    command += ["--models", ",".join(CANDIDATES), "--port", "0"]
    environment = {**os.environ, "MODELSAT_CACHE_DIR": str(folder)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        try:
            assert running.stderr is not None
            line = running.stderr.readline()
            address = re.search(r"http://\S+", line)
            assert address, line
            wait_until_ready(address[0])
            yield running, address[0]
        finally:
            running.kill()


@pytest.fixture
def address(process: tuple[subprocess.Popen[str], str]) -> str:
    return process[1]


def test_same_decisions_as_in_the_process(address: str) -> None:
    near = Router(CANDIDATES)
    far = Router(CANDIDATES, scorer=address)
    for prompt in PROMPTS:
        here, there = near.route(prompt), far.route(prompt)
        asked = httpx.post(f"{address}/v1/route", json={"messages": prompt}, timeout=30).json()
        assert here.model == there.model == asked["model"]
        assert here.scores == pytest.approx(there.scores, abs=1e-6)
        assert here.scores == pytest.approx(asked["scores"], abs=1e-6)
        assert here.versions == there.versions == asked["versions"]


def test_same_choices_under_load(address: str) -> None:
    """Batch mates may move a score in its last digits, never more."""
    near, far = Router(CANDIDATES), Router(CANDIDATES, scorer=RemoteScorer(address, timeout_s=120))
    prompts = [f"{prompt} ({number})" for number in range(4) for prompt in PROMPTS]
    expected = near.route_batch(prompts)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(far.route, prompts))
    assert not any(decision.fallback for decision in found)
    for one, other in zip(expected, found, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=0.01)


def test_requests_in_flight_are_finished_after_sigterm(process: tuple[subprocess.Popen[str], str]) -> None:
    """Last in this file: it ends the shared process."""
    running, address = process
    body = {"instructions": ["Tell me everything about the sea. " * 10] * 100}
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=address) as watching:
        answer = pool.submit(httpx.post, f"{address}/v1/score", json=body, timeout=120)
        while not re.search(r"^modelsat_prompts_in_flight 100", watching.get("/metrics").text, re.MULTILINE):
            assert not answer.done()
        running.send_signal(signal.SIGTERM)
        assert answer.result().status_code == 200
        assert len(answer.result().json()["scores"]) == 100
    assert running.wait(timeout=60) in (0, -signal.SIGTERM)
    assert running.stderr is not None
    log = running.stderr.read()
    assert "Traceback" not in log
    decided = [line for line in log.splitlines() if " INFO modelsat.decisions: " in line]
    assert len(decided) == len(PROMPTS), "one line a decision"
    assert all("highest P(success)" in line for line in decided)
    assert not any(prompt[:20] in log for prompt in PROMPTS if len(prompt) > 20)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{address}/healthz")


def refused(*arguments: str, lines_of_it: int = 1) -> str:
    """The line with which the command ends, or the few that a name nobody knows gets."""
    result = CliRunner().invoke(app, ["serve", *arguments], env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == lines_of_it, lines
    return lines[0]


def test_bad_input_ends_in_one_line(tmp_path: Path) -> None:
    assert "no checkpoint at '/nowhere'" in refused("--models", "gpt-4o", "--port", "0", "--weights", "/nowhere")
    assert "no candidates" in refused()
    assert "gpt-99" in refused("--models", "gpt-99-unheard-of", "--port", "0", lines_of_it=3)
    assert "unknown policy" in refused("--models", "gpt-4o", "--policy", "worst", "--port", "0")
    assert "cannot read settings" in refused("--config", str(tmp_path / "none.yaml"))
    assert "not an address" in refused("--models", "gpt-4o", "--scorer", "localhost:80", "--port", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f":{port}: Address already in use; choose another --port" in refused(
            "--models", "gpt-4o", "--port", port
        )
    assert "cannot listen" in refused("--models", "gpt-4o", "--host", "no.such.host.invalid")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsat.cli.serve.find_spec", lambda name: None)
    assert 'pip install "modelsat[serve]"' in refused("--models", "gpt-4o")


def test_the_benchmarks_find_a_server_that_has_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    serving = importlib.import_module("serve").serving
    with serving(["gpt-4o", "gpt-4o-mini"]) as (process, port):
        assert process.poll() is None
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
