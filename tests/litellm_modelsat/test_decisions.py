"""A request is counted once and written in one line, at its end: who was ranked first, who answered, and why."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from litellm_modelsat.handler import broke_off
from litellm_modelsat.ranking import Ranking
from litellm_modelsat.records import Attempt, Metrics, end_forgotten
from modelsat.policies import resolve_policy
from modelsat.router.decision import RoutingDecision
from tests.litellm_modelsat.conftest import HEART, NUMBER_THEORY
from tests.litellm_modelsat.proxies import Proxy, environment
from tests.litellm_modelsat.test_sdk import Make, make, turn, weights
from tests.openai_server import OpenAIServer

ROOT = Path(__file__).parents[2]
__all__ = ["make", "weights"]
# What LiteLLM and its clients warn about is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")
MATHEMATICIAN, PHYSICIAN = "openai/mathematician", "openai/physician"


def counts(proxy: Proxy, group: str, *models: str) -> dict[str, float]:
    names = {
        f"{kind} {model}": proxy.metric(f"litellm_modelsat_{kind}_total", group=group, model=model)
        for kind in ("ranked", "decisions")
        for model in models
    }
    outcomes = ("carried_out", "lower_ranked", "ignored", "failed", "unreported")
    for outcome in outcomes:
        names[outcome] = proxy.metric("litellm_modelsat_outcomes_total", group=group, outcome=outcome)
    return names


def gained(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - value for name, value in before.items() if after[name] != value}


def test_a_line_says_all_of_a_decision(proxy: Proxy, server: OpenAIServer) -> None:
    response = proxy.chat("ladder", NUMBER_THEORY)
    [line] = proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    assert line["event"] == "modelsat.decision"
    assert line["group"] == "ladder"
    assert line["chosen"] == line["answered"] == response.headers["x-modelsat-model"]
    assert line["deployment"] == response.headers["x-litellm-model-id"]
    assert (line["outcome"], line["tries"]) == ("carried_out", 1)
    assert set(line["scores"]) == set(line["costs"]) == {"large", "small"}
    assert (line["policy"], line["target"]) == ("cheapest", 0.8)
    assert line["target_reached"] == (line["scores"][line["chosen"]] >= 0.8)
    assert "P(success)" in line["reason"]
    assert line["elapsed_ms"] > 0
    assert line["weights"].startswith("modelsat-nano@")
    assert datetime.fromisoformat(line["time"]).tzinfo is not None
    assert len(line["id"]) == 32


def test_a_line_names_who_was_left_out_and_the_kind_of_reason(proxy: Proxy, server: OpenAIServer) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    response = proxy.chat("tooled", "Look.", tools=[tool])
    [line] = proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    assert line["excluded"]["openai/plain"]["kind"] == "ability"
    assert line["excluded"]["openai/plain"]["reason"]


@pytest.mark.parametrize("stream", [False, True])
def test_who_answered_after_a_retry(proxy: Proxy, server: OpenAIServer, stream: bool) -> None:
    server.failures = {"f-physician": 500}
    before = counts(proxy, "fragile", "openai/f-physician", "openai/f-mathematician")
    response = proxy.chat("fragile", HEART, **({"stream": True} if stream else {}))
    [line] = proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    assert (line["chosen"], line["answered"]) == ("openai/f-physician", "openai/f-mathematician")
    assert (line["outcome"], line["tries"]) == ("lower_ranked", 2)
    after = counts(proxy, "fragile", "openai/f-physician", "openai/f-mathematician")
    assert gained(before, after) == {
        "ranked openai/f-physician": 1,
        "decisions openai/f-mathematician": 1,
        "lower_ranked": 1,
    }


def test_a_request_that_nobody_answers(proxy: Proxy, server: OpenAIServer) -> None:
    server.failures = {"s-physician": 400}
    before = counts(proxy, "single-shot", "openai/s-physician")
    response = proxy.chat("single-shot", HEART)
    [line] = proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    assert (line["outcome"], line["error"]) == ("failed", "BadRequestError")
    assert "answered" not in line
    assert gained(before, counts(proxy, "single-shot", "openai/s-physician")) == {
        "ranked openai/s-physician": 1,
        "failed": 1,
    }


def test_an_answer_of_another_group(proxy: Proxy, server: OpenAIServer) -> None:
    server.failures = {"x-physician": 500, "x-mathematician": 500}
    response = proxy.chat("failing", HEART)
    assert response.status_code == 200
    [line] = proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    assert (line["answered"], line["outcome"]) == ("(another group)", "lower_ranked")
    assert line["deployment"] == response.headers["x-litellm-model-id"]


@pytest.mark.parametrize("content", ["please raise", ""])
def test_a_request_that_cannot_be_scored_counts_once_however_often_it_is_retried(
    proxy: Proxy, server: OpenAIServer, content: str
) -> None:
    server.failures = {"x-physician": 500, "x-mathematician": 500}
    before = proxy.metric("litellm_modelsat_fallbacks_total", group="failing")
    response = proxy.chat("failing", content)
    assert response.status_code == 200
    assert len(server.requests) > 2, "it was retried"
    [line] = proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    assert line["event"] == "modelsat.fallback"
    assert proxy.metric("litellm_modelsat_fallbacks_total", group="failing") == before + 1


def test_every_line_is_json_and_nothing_else(proxy: Proxy, server: OpenAIServer) -> None:
    response = proxy.chat("smart", HEART)
    proxy.decisions(call_id=response.headers["x-litellm-call-id"])
    lines = [line for line in proxy.text.splitlines() if '"event": "modelsat.' in line]
    assert all(isinstance(json.loads(line), dict) for line in lines)


async def test_the_sdk_writes_a_line_for_each_request(
    make: Make, server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncio

    router, strategy = make()
    server.failures = {"physician": 500}
    started = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    with caplog.at_level(logging.INFO, "modelsat.decisions"):
        await router.acompletion(model="smart", messages=turn(NUMBER_THEORY))
        await router.acompletion(model="smart", messages=turn(HEART))
        stream = await router.acompletion(model="smart", messages=turn(NUMBER_THEORY), stream=True)
        assert [chunk async for chunk in stream]
        await asyncio.to_thread(router.completion, model="smart", messages=turn(NUMBER_THEORY))
        lines = await collected(caplog, 4, started)
    assert [line["answered"] for line in lines] == [MATHEMATICIAN] * 4
    assert sorted(line["chosen"] for line in lines) == [MATHEMATICIAN] * 3 + [PHYSICIAN]
    assert strategy.service.metrics.outcomes == {("smart", "carried_out"): 3, ("smart", "lower_ranked"): 1}


async def test_a_decision_is_a_span_of_the_request(
    make: Make, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = pytest.importorskip("opentelemetry.trace", reason='needs the extra "otel"')
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason='needs the extra "otel"')
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    router, _ = make()
    with provider.get_tracer("application").start_as_current_span("request") as parent:
        await router.acompletion(model="smart", messages=turn(HEART))
    (span,) = [span for span in exporter.get_finished_spans() if span.name == "modelsat.route"]
    assert span.parent.span_id == parent.get_span_context().span_id
    assert span.attributes["gen_ai.request.model"] == PHYSICIAN


UNANSWERED = """
import asyncio, gc, logging, sys
import litellm
from litellm_modelsat import attach
from tests.litellm_modelsat.conftest import HEART, experts

async def main(url):
    router = litellm.Router(model_list=experts(url, "smart"), num_retries=1, disable_cooldowns=True)
    attach(router, timeout_ms=5000)
    lines = logging.getLogger("modelsat.decisions")
    lines.setLevel(logging.INFO)
    lines.addHandler(logging.StreamHandler(sys.stdout))
    for prompt in ("fail", "fail again"):
        try:
            await router.acompletion(model="smart", messages=[{"role": "user", "content": prompt}])
        except litellm.InternalServerError:
            pass
        await asyncio.sleep(1.0)
        gc.collect()

asyncio.run(main(sys.argv[1]))
"""


def test_the_sdk_tells_of_requests_that_nobody_answered(server: OpenAIServer, tmp_path: Path) -> None:
    """In a process of its own: pytest would remember the request with the error."""
    server.failures = {"physician": 500, "mathematician": 500}
    command = [sys.executable, "-c", UNANSWERED, server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment(tmp_path), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"event"')]
    assert [(line["outcome"], line["error"], line["tries"]) for line in lines] == [
        ("failed", "InternalServerError", 2)
    ] * 2


async def collected(caplog: pytest.LogCaptureFixture, count: int, since: str) -> list[dict[str, Any]]:
    """The lines of decisions, once there are ``count``: LiteLLM says late who answered, on the next loop too."""
    import asyncio

    for _ in range(200):
        said = [json.loads(r.getMessage()) for r in caplog.records if r.name == "modelsat.decisions"]
        lines = [line for line in said if line["time"] >= since]
        if len(lines) >= count:
            break
        await asyncio.sleep(0.05)
    assert len(lines) == count
    return lines


RANKING = Ranking(("a", "b"), decision=RoutingDecision(model="a", scores={"a": 0.9, "b": 0.5}))
NAMES = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}


def attempt(metrics: Metrics, *returned: set[str], tried: set[str] | None = None) -> Attempt:
    made = Attempt("g", RANKING, NAMES, resolve_policy("best"), metrics)
    made.returned.extend(frozenset(ids) for ids in returned)
    made.tried = tried or set()
    return made


@pytest.mark.parametrize(
    ("returned", "tried", "answered", "outcome"),
    [
        ([{"a1", "a2"}], set(), "a2", "carried_out"),
        ([{"a1", "a2"}, {"b1"}], {"a1"}, "b1", "lower_ranked"),
        ([{"a1", "a2"}, {"a2"}], {"a1"}, "a2", "carried_out"),
        ([{"a1"}], set(), "b1", "ignored"),
        ([{"a1"}], set(), "elsewhere", "lower_ranked"),
        ([{"a1"}], {"a1"}, "elsewhere", "lower_ranked"),
        ([{"a1"}], set(), None, "failed"),
        ([], set(), "a1", "ignored"),
    ],
)
def test_outcomes(returned: list[set[str]], tried: set[str], answered: str | None, outcome: str) -> None:
    metrics = Metrics()
    made = attempt(metrics, *returned, tried=tried)
    made.end(answered)
    made.end("b1")  # the first word counts
    assert metrics.outcomes == {("g", outcome): 1}


def test_headers_say_whether_the_target_is_met_and_whether_the_router_knows() -> None:
    decision = RoutingDecision(model="a", scores={"a": 0.6}, policy="cheapest", target_met=False, abstained=True)
    made = Attempt("g", Ranking(("a",), decision=decision), NAMES, resolve_policy("cheapest"), Metrics())
    answered = made.headers("a1")
    assert answered["x-modelsat-target-met"] == "false"
    assert answered["x-modelsat-abstained"] == "true"
    assert not {"x-modelsat-target-met", "x-modelsat-abstained"} & made.headers("b1").keys()
    assert "x-modelsat-target-met" not in attempt(Metrics()).headers("a1")


def test_an_attempt_that_is_forgotten_is_ended_by_the_next() -> None:
    metrics = Metrics()
    made = attempt(metrics, {"a1"})
    del made
    gc.collect()
    attempt(metrics, {"a1"}).end("a1")
    assert metrics.outcomes == {("g", "unreported"): 1, ("g", "carried_out"): 1}
    end_forgotten()
    assert metrics.outcomes.total() == 2
    made = attempt(metrics, {"a1"})
    made.last_error = "Timeout"
    del made
    gc.collect()
    end_forgotten()
    assert metrics.outcomes["g", "failed"] == 1


def test_a_deployment_that_never_gives_a_reason_to_stop_is_left_alone() -> None:
    said = {"stream": True, "litellm_params": {"model_info": {"id": "quiet"}}}
    made = attempt(Metrics(), {"quiet"})
    made.without_reason = "quiet"
    assert not broke_off(made, said)
    assert not broke_off(attempt(Metrics(), {"quiet"}), {**said, "stream": False}), "whole: LiteLLM says stop for all"
    assert not broke_off(made, said)
    assert not broke_off(attempt(Metrics(), {"quiet"}), said), "now it gave one"
    assert broke_off(made, said)
