"""How long a caller waits for a fallback, end to end: the first choice fails, and somebody else answers.

    python benchmarks/fallback.py [--runs 3]

Real clients on a provider of the loopback interface whose first model hangs, answers with status 500, or ends a stream
before the answer; the time limit of a request is one second. OpenAI's client sends a failed request twice more by
default; ``max_retries=0`` leaves failures to what stands behind the router, and LiteLLM's router always does. Prints
the median time until the answer is there, how many requests the first model got, and who answered.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from langchain_openai import ChatOpenAI
from rich.console import Console
from rich.table import Table
from tests.openai_server import OpenAIServer

from langchain_modelsat import ModelSATRouter
from litellm_modelsat import attach

PROMPT = "Which artery is occluded in a man with crushing chest pain and ST elevation in leads II, III and aVF?"
PROFILES = {"first": {"MMLU": 0.9, "MedQA": 0.9}, "second": {"MMLU": 0.3, "MedQA": 0.3}}
TIMEOUT_S, HANG_S = 1.0, 20.0
FAILURES = ("none", "hangs", "status 500", "empty stream")
Ask = Callable[[bool], str]
"""Asks for an answer, as a stream or whole, and returns its text."""


def langchain_router(url: str, retries: int | None) -> Ask:
    own = {} if retries is None else {"max_retries": retries}
    given: Any = {"base_url": url, "api_key": "none", "timeout": TIMEOUT_S, **own}
    models = {name: ChatOpenAI(model=name, **given) for name in PROFILES}
    facts = {"first": {"provider": "openai"}}  # its streams always say why they end
    router = ModelSATRouter(models=models, profiles=PROFILES, facts=facts).with_fallbacks([models["second"]])

    def ask(stream: bool) -> str:
        return "".join(chunk.text for chunk in router.stream(PROMPT)) if stream else router.invoke(PROMPT).text

    return ask


def litellm_router(url: str, retries: int | None) -> Ask:
    params = {"api_base": url, "api_key": "none", "timeout": TIMEOUT_S}
    deployments = [
        {
            "model_name": "smart",
            "litellm_params": {"model": f"openai/{name}", **params},
            "model_info": {"modelsat": figures},
        }
        for name, figures in PROFILES.items()
    ]
    router = litellm.Router(deployments, num_retries=2, disable_cooldowns=True)
    attach(router, timeout_ms=5000.0, log_decisions=False)
    messages = [{"role": "user", "content": PROMPT}]

    def ask(stream: bool) -> str:
        answer = router.completion(model="smart", messages=messages, stream=stream)
        if stream:
            return "".join(chunk.choices[0].delta.content or "" for chunk in answer)
        return str(answer.choices[0].message.content)

    return ask


def script(server: OpenAIServer, failure: str) -> None:
    server.reset()
    server.delays = {"first": HANG_S} if failure == "hangs" else {}
    server.failures = {"first": 500} if failure == "status 500" else {}
    server.cut = {"first": 1} if failure == "empty stream" else {}


def timed(server: OpenAIServer, ask: Ask, failure: str) -> tuple[float, int, str]:
    """Seconds until the answer was there, requests that the first model got, and who answered."""
    script(server, failure)
    began = time.perf_counter()
    text = ask(failure == "empty stream")
    took = time.perf_counter() - began
    answered = next((name for name in PROFILES if name in text), "nobody")
    return took, server.models_called.count("first"), answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="requests of each kind (default: %(default)s)")
    runs = parser.parse_args().runs
    table = Table("way in", "clients", "first choice", "seconds", "requests to it", "answered")
    with OpenAIServer() as server:
        ways = (
            ("LangChain, with_fallbacks", langchain_router, (None, 0)),
            ("LiteLLM, num_retries: 2", litellm_router, (None,)),
        )
        for way, make, given in ways:
            for retries in given:
                ask = make(server.url, retries)
                timed(server, ask, "none")  # loads the weights
                for failure in FAILURES:
                    found = [timed(server, ask, failure) for _ in range(runs)]
                    times, counts, who = zip(*found, strict=True)
                    seconds = statistics.median(times)
                    said = "default" if retries is None else f"max_retries={retries}"
                    table.add_row(way, said, failure, f"{seconds:.2f}", str(max(counts)), "/".join(sorted(set(who))))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
