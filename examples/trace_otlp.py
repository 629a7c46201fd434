"""Decisions as OpenTelemetry spans: python examples/trace_otlp.py

    pip install "modelsat[otel]" opentelemetry-exporter-otlp-proto-http
    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python examples/trace_otlp.py

Without an endpoint the spans are printed. The router needs nothing but a tracer provider of the application's.
"""

from __future__ import annotations

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

from modelsat import Router
from modelsat.request import RequestContext

MODELS = ["gpt-5.6-sol", "gpt-5.6-luna", "gpt-5-nano"]


def main() -> None:
    """Route two turns of one conversation, each within a span of the application."""
    provider = TracerProvider(resource=Resource.create({"service.name": "modelsat-example"}))
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)

    router = Router(MODELS, policy="cheapest(target=0.85)")
    for question in ("What is the capital of Australia?", "Prove that every finite integral domain is a field."):
        with trace.get_tracer("example").start_as_current_span("answer a question"):
            decision = router.route(question, context=RequestContext(thread="conversation-1"))
        print(f"{question} -> {decision.model}")
    provider.shutdown()


if __name__ == "__main__":
    main()
