"""Decisions in Langfuse, through OTLP: python examples/trace_langfuse.py

    pip install "modelsat[otel]" opentelemetry-exporter-otlp-proto-http
    export LANGFUSE_PUBLIC_KEY=pk-lf-... LANGFUSE_SECRET_KEY=sk-lf-...
    LANGFUSE_HOST=https://cloud.langfuse.com python examples/trace_langfuse.py

Langfuse takes spans at /api/public/otel with basic authentication, and reads these attributes of them
(https://langfuse.com/integrations/native/opentelemetry): session.id as the session, openinference.span.kind as the kind
of the observation (a chain: the decision is not an answer of the model that it names), gen_ai.request.model as the
model. All others, modelsat.score among them, are metadata to filter by.
"""

from __future__ import annotations

import base64
import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from modelsat import Router
from modelsat.request import RequestContext

MODELS = ["gpt-5.6-sol", "gpt-5.6-luna", "gpt-5-nano"]


def exporter() -> OTLPSpanExporter:
    """What sends spans to Langfuse."""
    host = os.environ.get("LANGFUSE_HOST", "https://cloud.langfuse.com").rstrip("/")
    keys = f"{os.environ['LANGFUSE_PUBLIC_KEY']}:{os.environ['LANGFUSE_SECRET_KEY']}"
    authorization = "Basic " + base64.b64encode(keys.encode()).decode()
    return OTLPSpanExporter(f"{host}/api/public/otel/v1/traces", headers={"Authorization": authorization})


def main() -> None:
    """Route one request within a trace that has a name and a session."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter()))
    trace.set_tracer_provider(provider)

    router = Router(MODELS, policy="cheapest(target=0.85)")
    named = {"langfuse.trace.name": "support", "session.id": "conversation-1"}
    with trace.get_tracer("example").start_as_current_span("answer a question", attributes=named):
        decision = router.route("Why is the sky blue?", context=RequestContext(thread="conversation-1"))
    print(decision.explain())
    provider.shutdown()


if __name__ == "__main__":
    main()
