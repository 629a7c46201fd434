"""Nothing phones home: neither a decision nor a server nor LiteLLM's start looks up a name on the network."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.litellm_modelsat.proxies import Proxy, environment
from tests.server.servers import free_port, wait_until_ready

SOURCE = Path(__file__).with_name("lookups.c")
LOCAL = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1", "::", socket.gethostname()})
DECISION = "from modelsat import Router; Router(['gpt-4o', 'gpt-4o-mini']).route('hello')"
REPORTS_COME_AFTER_S = 8
"""ONNX Runtime sends its first report some seconds after it was imported."""

Watched = Callable[[], tuple[dict[str, str], Callable[[], set[str]]]]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that notes lookups, built with the C compiler of this machine."""
    compiler = shutil.which("cc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("needs Linux and a C compiler to watch lookups of compiled code too")
    built = tmp_path_factory.mktemp("lookups") / "lookups.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", built, SOURCE, "-ldl"], check=True, timeout=60)
    return built


@pytest.fixture
def watched(library: Path, tmp_path: Path) -> Watched:
    """Environment of a process with a home of its own, and what it looked up or connected to beyond this machine."""
    log, home = tmp_path / "lookups.txt", tmp_path / "home"
    home.mkdir()

    def away() -> set[str]:
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        return {line for line in lines if line.partition(" ")[2] not in LOCAL}

    variables = {key: value for key, value in environment(tmp_path).items() if not key.startswith(("ORT_", "XDG_"))}
    del variables["LITELLM_LOCAL_MODEL_COST_MAP"]
    return lambda: ({**variables, "HOME": str(home), "LOOKUPS": str(log), "LD_PRELOAD": str(library)}, away)


def files_of(home: Path) -> set[str]:
    """Files in a home folder."""
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def run(environment: dict[str, str], script: str) -> None:
    """Run a script that waits for late reports."""
    waiting = f"{script}\nimport time; time.sleep({REPORTS_COME_AFTER_S})"
    subprocess.run([sys.executable, "-c", waiting], env=environment, check=True, timeout=300)


def test_the_watch_sees_what_a_process_looks_up(watched: Watched) -> None:
    environment, away = watched()
    script = "import socket\ntry: socket.getaddrinfo('example.invalid', 443)\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)
    assert "lookup example.invalid" in away()


def test_a_decision_looks_nothing_up_and_leaves_no_identifier(watched: Watched) -> None:
    environment, away = watched()
    run(environment, DECISION)
    assert away() == set()
    assert files_of(Path(environment["HOME"])) == set()


def test_the_adapters_look_nothing_up(watched: Watched) -> None:
    environment, away = watched()
    run(environment, f"import litellm_modelsat; litellm_modelsat.attach\n{DECISION}")
    assert away() == set()


def test_the_documented_order_of_imports_looks_nothing_up(watched: Watched) -> None:
    documented = set()
    for page in ("litellm.md", "quickstarts/litellm.md"):
        lines = (SOURCE.parents[1] / "docs" / page).read_text("utf-8").splitlines()
        documented.add("\n".join(line for line in lines if line.startswith(("from litellm", "import litellm"))))
    assert len(documented) == 1
    environment, away = watched()
    run(environment, f"{documented.pop()}\nassert Router and attach")
    assert away() == set()


def test_who_wants_prices_of_the_day_keeps_them(watched: Watched) -> None:
    environment, _ = watched()
    script = "import litellm_modelsat, os; assert os.environ['LITELLM_LOCAL_MODEL_COST_MAP'] == 'False'"
    subprocess.run(
        [sys.executable, "-c", script], env={**environment, "LITELLM_LOCAL_MODEL_COST_MAP": "False"}, check=True
    )


@pytest.fixture
def server(watched: Watched) -> Iterator[tuple[str, Callable[[], set[str]]]]:
    """``modelsat serve``, watched."""
    environment, away = watched()
    port = free_port()
    arguments = ["serve", "--models", "gpt-4o,gpt-4o-mini", "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-m", "modelsat", *arguments], env=environment)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", 120)
        yield f"http://127.0.0.1:{port}", away
    finally:
        process.terminate()
        process.wait(30)


def test_a_server_looks_nothing_up(server: tuple[str, Callable[[], set[str]]]) -> None:
    address, away = server
    assert httpx.post(f"{address}/v1/route", json={"messages": "hello"}, timeout=60).status_code == 200
    assert away() == set()


def test_a_proxy_started_by_our_command_looks_nothing_up(watched: Watched, tmp_path: Path) -> None:
    environment, away = watched()
    models = [
        {"model_name": "smart", "litellm_params": {"model": f"openai/{name}", "api_key": "none", "mock_response": "hi"}}
        for name in ("gpt-4o", "gpt-4o-mini")
    ]
    configuration = {
        "model_list": models,
        "router_settings": {"routing_strategy": "modelsat"},
        "general_settings": {"master_key": os.urandom(8).hex()},
    }
    key = f"sk-{configuration['general_settings']['master_key']}"
    configuration["general_settings"]["master_key"] = key
    proxy = Proxy(tmp_path, configuration, command=True)
    proxy._environment = environment
    with proxy:
        assert proxy.chat("smart", "hello", key).status_code == 200
    assert away() == set()
