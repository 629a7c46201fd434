"""The example of ``deploy/`` without containers: a proxy of two workers, and a scorer that both of them share."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy, environment
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
    before = deployed.scored()
    prompts = [f"{prompt} ({number})" for number in range(8) for prompt in (EASY, HARD)]
    chosen = [deployed.ask(prompt).headers["x-modelsat-model"] for prompt in prompts]
    assert chosen == ["openai/gpt-4o-mini", "openai/gpt-4o"] * 8
    assert deployed.scored() == before + len(prompts)
    assert "connection refused" not in deployed.proxy.text.casefold()


def test_no_request_is_lost_without_the_scorer(deployed: Deployed, server: OpenAIServer) -> None:
    """Last in this file: it ends the scorer."""
    deployed.scorer.kill()
    deployed.scorer.wait()
    answers = [deployed.ask(f"{HARD} again {number}") for number in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert not any("x-modelsat-score" in answer.headers for answer in answers)
    assert "modelsat.fallback" in deployed.proxy.text
