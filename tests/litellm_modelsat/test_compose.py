"""The example of ``deploy/`` without containers: a proxy of two workers, and a scorer that both of them share."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy, environment, free_port
from tests.litellm_modelsat.test_dashboard import expressions
from tests.openai_server import OpenAIServer
from tests.server.servers import wait_until_ready

DEPLOY = Path(__file__).parents[2] / "deploy"
KEY = "key-of-the-scorer"
EASY = "What is the capital of France?"
HARD = "Prove that every entire function whose image omits two complex values is constant."


@dataclass(frozen=True)
class Deployed:
    """Both processes."""

    proxy: Proxy
    scorer: subprocess.Popen[str]
    address: str

    def ask(self, prompt: str) -> httpx.Response:
        """One chat completion over a connection of its own, so that either worker may get it."""
        body = {"model": "smart", "messages": [{"role": "user", "content": prompt}]}
        headers = {"Authorization": f"Bearer {MASTER_KEY}", "Connection": "close"}
        return self.proxy.client.post("/v1/chat/completions", json=body, headers=headers)

    def scored(self) -> float:
        """Prompts that the scorer has scored."""
        text = httpx.get(f"{self.address}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
        found = re.search(r"^modelsat_batch_prompts_sum (\S+)", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


class Prometheus:
    """Prometheus with the file of ``deploy``, on other addresses; a context manager.

    Args:
        folder: Where it lives.
        addresses: Addresses here by those of the containers.
    """

    def __init__(self, folder: Path, addresses: dict[str, str]) -> None:
        text = (DEPLOY / "prometheus.yaml").read_text("utf-8").replace("15s", "1s")
        for there, here in addresses.items():
            assert there in text
            text = text.replace(there, here.removeprefix("http://"))
        (folder / "key").write_text(MASTER_KEY)
        self._folder = folder
        self._file = folder / "prometheus.yaml"
        self._file.write_text(text.replace("/run/secrets/litellm_master_key", str(folder / "key")))
        self._address = f"127.0.0.1:{free_port()}"

    def __enter__(self) -> Prometheus:
        options = [f"--config.file={self._file}", f"--storage.tsdb.path={self._folder / 'data'}"]
        options.append(f"--web.listen-address={self._address}")
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(["prometheus", *options], stdout=self._log, stderr=subprocess.STDOUT)
        wait_until_ready(f"http://{self._address}", path="/-/ready")
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is worth now."""
        answer = httpx.get(f"http://{self._address}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer)
        return list(answer["data"]["result"])

    def number(self, expression: str) -> float:
        """The value of a sum; 0 without any."""
        return sum(float(row["value"][1]) for row in self.ask(expression))

    def wait_for(self, expression: str, value: float, patience_s: float = 90) -> float:
        """The value of a sum once it is ``value``, or else the last."""
        deadline = time.monotonic() + patience_s
        while (found := self.number(expression)) != value and time.monotonic() < deadline:
            time.sleep(0.5)
        return found


@pytest.fixture(scope="module")
def deployed(provider: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("compose")
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    command = [sys.executable, "-m", "modelsat", "serve", *services["scorer"]["command"], "--port", "0"]
    variables = {**environment(folder), "MODELSAT_API_KEYS": KEY}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables) as scorer:
        assert scorer.stderr is not None
        line = scorer.stderr.readline()
        address = re.search(r"http://\S+", line)
        assert address, line + scorer.stderr.read()
        wait_until_ready(address[0])
        settings = yaml.safe_load((DEPLOY / "litellm.yaml").read_text("utf-8"))
        settings["litellm_settings"]["modelsat"]["scorer"] = address[0]
        settings["litellm_settings"]["modelsat"]["timeout_ms"] = 5000
        for deployment in settings["model_list"]:
            deployment["litellm_params"]["api_base"] = provider.url
        options = [o for o in services["litellm"]["entrypoint"] if not o.startswith(("litellm", "--config", "--port"))]
        assert "--num_workers=2" in options
        keys = {"MODELSAT_API_KEY": KEY, "OPENAI_API_KEY": "none", "LITELLM_MASTER_KEY": MASTER_KEY}
        try:
            with Proxy(folder, settings, command=True, options=options, variables=keys) as proxy:
                yield Deployed(proxy, scorer, address[0])
        finally:
            scorer.kill()


def test_both_workers_ask_the_same_scorer(deployed: Deployed, server: OpenAIServer) -> None:
    deadline = time.monotonic() + 60
    while (before := deployed.scored()) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)  # the scorer warms up once, and so does each of the two workers, the second a moment later
    prompts = [f"{prompt} ({number})" for number in range(8) for prompt in (EASY, HARD)]
    chosen = [deployed.ask(prompt).headers["x-modelsat-model"] for prompt in prompts]
    assert chosen == ["openai/gpt-4o-mini", "openai/gpt-4o"] * 8
    assert deployed.scored() == before + len(prompts)
    assert "connection refused" not in deployed.proxy.text.casefold()


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus (Debian: prometheus)")
def test_prometheus_reads_both_and_the_dashboard_asks_it(
    deployed: Deployed, server: OpenAIServer, tmp_path: Path
) -> None:
    with Prometheus(tmp_path, {"scorer:8080": deployed.address, "litellm:4000": deployed.proxy.url}) as prometheus:
        before = prometheus.wait_for("sum(up)", 2)
        assert before == 2, prometheus.ask("up")
        counted = "sum(litellm_modelsat_decisions_total)"
        start = prometheus.number(counted)
        for number in range(6):
            deployed.ask(f"{EASY} Number {number}, please.")
        assert prometheus.wait_for(counted, start + 6) == start + 6, "over both workers"
        for expression in expressions():
            prometheus.ask(re.sub(r"\$__r\w+", "1m", expression).replace("$group", ".*"))
        assert prometheus.number('sum(litellm_modelsat_outcomes_total{outcome="carried_out"})') >= 6
        assert prometheus.number('sum(litellm_modelsat_outcomes_total{outcome="ignored"})') == 0


def test_no_request_is_lost_without_the_scorer(deployed: Deployed, server: OpenAIServer) -> None:
    """Last in this file: it ends the scorer."""
    deployed.scorer.kill()
    deployed.scorer.wait()
    answers = [deployed.ask(f"{HARD} again {number}") for number in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert not any("x-modelsat-score" in answer.headers for answer in answers)
    assert "modelsat.fallback" in deployed.proxy.text
