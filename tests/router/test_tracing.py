"""Every decision is a span where the application traces, and nothing at all where it does not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from modelsat import Router
from modelsat.errors import InvalidRequestError
from modelsat.request.context import RequestContext
from modelsat.router import tracing
from tests.fakes import FakeScorer, make_profile

trace = pytest.importorskip("opentelemetry.trace", reason='needs the extra "otel"')
sdk = pytest.importorskip("opentelemetry.sdk.trace", reason='needs the extra "otel"')


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Any:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


def make_router(**kwargs: Any) -> Router:
    return Router([make_profile("weak", 0.3), make_profile("strong", 0.9)], scorer=FakeScorer(), **kwargs)


def test_a_decision_is_a_span_with_the_conventions_names(spans: Any) -> None:
    decision = make_router().route("Hello", context=RequestContext(thread="t1"))
    (span,) = spans.get_finished_spans()
    assert span.name == "modelsat.route"
    said = span.attributes
    assert (said["gen_ai.request.model"], said["gen_ai.conversation.id"]) == (decision.model, "t1")
    assert (said["session.id"], said["openinference.span.kind"]) == ("t1", "CHAIN"), "no answer of the model"
    assert said["modelsat.decision.id"] == decision.id
    assert dict(zip(said["modelsat.candidates"], said["modelsat.scores"], strict=True)) == decision.scores
    assert said["modelsat.score"] == decision.score
    assert said["modelsat.fallback"] is False
    assert span.end_time - span.start_time >= decision.elapsed_ms * 1e6, "it began with the decision"
    assert "Hello" not in str(span.attributes)


async def test_spans_belong_to_the_callers(spans: Any) -> None:
    router = make_router()
    tracer = trace.get_tracer_provider().get_tracer("application")
    with tracer.start_as_current_span("request") as parent:
        router.route("one")
        await router.aroute("two")
        carried = tracing.caller()
    other = tracer.start_span("elsewhere")
    contexts = [RequestContext(trace=carried), RequestContext(trace=tracing.caller(other))]
    thread = threading.Thread(target=router.route_batch, args=(["three", "four"],), kwargs={"contexts": contexts})
    thread.start()
    await asyncio.to_thread(thread.join)
    parents = [span.parent.span_id for span in spans.get_finished_spans() if span.name == "modelsat.route"]
    mine, others = parent.get_span_context().span_id, other.get_span_context().span_id
    assert parents == [mine, mine, mine, others]


async def test_the_servers_threads_keep_the_requests_span(spans: Any) -> None:
    pytest.importorskip("fastapi", reason='needs the extra "serve"')
    from modelsat.server import ServerSettings
    from modelsat.server.decider import Decider

    decider = Decider(ServerSettings(candidates=["gpt-4o", "gpt-4o-mini"]), FakeScorer())
    try:
        with trace.get_tracer_provider().get_tracer("server").start_as_current_span("POST /v1/route") as parent:
            await decider.run(1, lambda: decider.router.route("Hello"))
    finally:
        decider.close()
    (span,) = [span for span in spans.get_finished_spans() if span.name == "modelsat.route"]
    assert span.parent.span_id == parent.get_span_context().span_id


def test_what_goes_wrong_is_seen_without_its_text(spans: Any) -> None:
    with pytest.raises(InvalidRequestError):
        make_router().route("")
    assert make_router(fallback="weak").route("").fallback
    failed, fallen = spans.get_finished_spans()
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.attributes["error.type"] == fallen.attributes["error.type"] == "InvalidRequestError"
    assert fallen.attributes["modelsat.fallback"] is True


def test_without_a_tracer_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracing.tracer() is None, "the API alone is no tracer"
    assert tracing.caller() is None
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert tracing.tracer() is None
    script = "import modelsat, modelsat.router.tracing as t, sys; t.tracer(); print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"
