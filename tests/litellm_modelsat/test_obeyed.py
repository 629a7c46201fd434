"""A decision that LiteLLM does not carry out is an error, and so is a LiteLLM that nobody has tested."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from litellm.integrations.custom_logger import CustomLogger

from litellm_modelsat import versions
from litellm_modelsat.handler import ModelSATHandler
from litellm_modelsat.ranking import Ranking
from litellm_modelsat.reach import asking
from litellm_modelsat.records import ATTEMPT, TRIAL, Attempt, Metrics
from litellm_modelsat.versions import TESTED, installed, warn_if_untested
from modelsat.policies import resolve_policy
from modelsat.router.decision import RoutingDecision
from tests.litellm_modelsat.conftest import HEART
from tests.litellm_modelsat.test_sdk import Make, make, turn, weights
from tests.litellm_modelsat.test_walk import reported
from tests.openai_server import OpenAIServer

# What LiteLLM and its clients warn about is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")
__all__ = ["make", "weights"]


class Headstrong(CustomLogger):
    """What a LiteLLM does that ignores us: it chooses after us, and otherwise."""

    async def async_filter_deployments(
        self, model: str, healthy_deployments: list[Any], messages: Any, request_kwargs: Any = None, **_: Any
    ) -> list[Any]:
        if not asking.get():
            return [entry for entry in self.everyone if entry["litellm_params"]["model"] == "openai/mathematician"]
        self.everyone = healthy_deployments
        return healthy_deployments


async def test_decisions_that_are_ignored_are_an_error(
    make: Make, server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    import litellm

    router, strategy = make()
    await router.acompletion(model="smart", messages=turn("Hello"))  # our callback is there
    await reported(strategy, 1)
    strategy.service.metrics.outcomes.clear()
    litellm.callbacks.append(Headstrong())
    for _ in range(TRIAL):
        assert (await router.acompletion(model="smart", messages=turn(HEART))).model == "mathematician"
    await reported(strategy, TRIAL)
    assert strategy.service.metrics.outcomes == {("smart", "ignored"): TRIAL}
    [error] = [record for record in caplog.records if record.levelno == logging.ERROR and record.name == "modelsat"]
    assert f"LiteLLM {installed()} has ignored the first {TRIAL} decisions for 'smart'" in error.getMessage()


async def test_headers_are_sent_as_long_as_decisions_are_carried_out() -> None:
    ranking = Ranking(("a", "b"), decision=RoutingDecision(model="a", scores={"a": 0.9, "b": 0.5}))
    metrics = Metrics()

    async def headers(answered: str) -> dict[str, str]:
        attempt = Attempt("g", ranking, {"a1": "a", "b1": "b"}, resolve_policy("best"), metrics)
        attempt.returned.append(frozenset({"a1"}))
        attempt.end(answered)
        handler = ModelSATHandler.__new__(ModelSATHandler)
        data = {"metadata": {ATTEMPT: attempt}}
        said = await handler.async_post_call_response_headers_hook(data, None, {}, None, {"model_id": answered})
        return said or {}

    assert [bool(await headers("b1")) for _ in range(TRIAL + 1)] == [True] * (TRIAL - 1) + [False] * 2
    assert (await headers("a1"))["x-modelsat-model"] == "a", "it was obeyed after all"


@pytest.mark.parametrize(
    ("version", "warned"),
    [("1.111.0", True), ("1.110.3", True), ("2.0.0rc1", True), (TESTED[-1], False), ("1.109.9", False)],
)
def test_a_litellm_newer_than_any_tested_is_warned_of(
    version: str, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(versions, "installed", lambda: version)
    warn_if_untested()
    assert bool(caplog.records) is warned
    assert all(version in record.getMessage() and TESTED[-1] in record.getMessage() for record in caplog.records)


def test_the_newest_litellm_of_the_index_is_tested() -> None:
    command = [sys.executable, "-m", "pip", "index", "versions", "litellm", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r"Available versions: ([^,\s]+)", done.stdout)
    if found is None:
        pytest.skip(f"the package index could not be asked: {done.stderr.strip()[-200:]}")
    assert found[1] in TESTED, "run `bash .ci/run litellm`, then add it to litellm_modelsat.versions.TESTED"


def test_compromised_releases_are_excluded() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    needed = re.findall(r'"litellm(?:\[proxy\])?>=[^"]+"', project)
    assert needed
    for requirement in needed:
        assert all(f"!={bad}" in requirement for bad in ("1.82.7", "1.82.8", "1.107.0")), requirement
