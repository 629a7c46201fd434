"""A span ``modelsat.route`` for every decision, where the application has set up OpenTelemetry.

Nothing is imported and nothing is measured otherwise. Attributes follow the GenAI semantic conventions where these have
one, and hold no prompt: https://opentelemetry.io/docs/specs/semconv/gen-ai/. ``openinference.span.kind`` and
``session.id`` are what Langfuse, Phoenix and others read: without the first, a span that names a model counts as an
answer of that model.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelsat.errors import ModelSATError
    from modelsat.router.decision import RoutingDecision

NAME = "modelsat.route"


def tracer() -> Any | None:
    """The application's tracer; ``None`` if it has set up none."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider = api.get_tracer_provider()
    if isinstance(provider, (api.ProxyTracerProvider, api.NoOpTracerProvider)):
        return None
    return provider.get_tracer("modelsat")


def caller(span: Any = None) -> Any | None:
    """The OpenTelemetry context that a decision made on another thread belongs to; ``None`` if nothing is traced.

    Args:
        span: The span of the request, where it is not the current one.
    """
    if tracer() is None:
        return None
    from opentelemetry import context, trace

    return context.get_current() if span is None else trace.set_span_in_context(span)


def record(outcome: RoutingDecision | ModelSATError | None, started: float, within: Any | None) -> None:
    """Record the span of one decision, or of what went wrong; nothing without a tracer.

    It began at ``started`` (:func:`time.perf_counter`), ends now, and lies ``within`` an OpenTelemetry context.
    """
    if (made := tracer()) is None:
        return
    now = time.time_ns()
    span = made.start_span(NAME, context=within, start_time=now - round((time.perf_counter() - started) * 1e9))
    if span.is_recording():
        if isinstance(outcome, Exception):
            from opentelemetry.trace import StatusCode

            span.set_status(StatusCode.ERROR, type(outcome).__name__)  # The message may quote the prompt.
            span.set_attribute("error.type", type(outcome).__name__)
        elif outcome is not None:
            span.set_attributes(_attributes(outcome))
    span.end(now)


def _attributes(decision: RoutingDecision) -> dict[str, Any]:
    said = {
        "gen_ai.operation.name": "route",
        "gen_ai.request.model": decision.model,
        "gen_ai.conversation.id": decision.thread,
        "session.id": decision.thread,
        "openinference.span.kind": "CHAIN",
        "error.type": decision.failure.kind if decision.failure is not None else None,
        "modelsat.decision.id": decision.id,
        "modelsat.policy": decision.policy,
        "modelsat.reason": decision.reason,
        "modelsat.score": decision.score,
        "modelsat.cost_usd": decision.cost,
        "modelsat.candidates": list(decision.scores),
        "modelsat.scores": list(decision.scores.values()),
        "modelsat.excluded": list(decision.excluded),
        "modelsat.excluded.kinds": [exclusion.kind for exclusion in decision.excluded.values()],
        "modelsat.fallback": decision.fallback,
        "modelsat.prompt_tokens": decision.tokens.get("prompt"),
        "modelsat.weights": decision.versions.get("weights"),
    }
    return {name: value for name, value in said.items() if value is not None}
