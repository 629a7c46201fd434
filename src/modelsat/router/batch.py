"""Requests on their way through the router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelsat.errors import InvalidRequestError, ModelSATError
from modelsat.request.context import RequestContext
from modelsat.router.decision import RoutingDecision
from modelsat.router.plan import Plan

Contexts = Sequence[RequestContext | None] | RequestContext | None
"""What comes with a batch: one context for each request, or one for all."""


@dataclass(slots=True)
class Request:
    """What came in, then its plan, then its decision or what went wrong."""

    messages: Any
    context: RequestContext | None
    plan: Plan | None = None
    outcome: RoutingDecision | ModelSATError | None = None
    rules: tuple[str, ...] = ()


def read_batch(batch: Any, contexts: Any) -> list[Request]:
    """Each request of ``batch`` with its context.

    Raises:
        InvalidRequestError: ``batch`` is not a list, or there are not as many contexts as requests.
    """
    if isinstance(batch, (str, bytes, Mapping)) or not isinstance(batch, Sequence):
        raise InvalidRequestError(f"a batch is a list of requests, not a single {type(batch).__name__}")
    if contexts is None or isinstance(contexts, RequestContext):
        return [Request(messages, contexts) for messages in batch]
    if not isinstance(contexts, Sequence) or len(contexts) != len(batch):
        raise InvalidRequestError(
            f"contexts must be one RequestContext, or a list of {len(batch)}, one for each request"
        )
    return [Request(messages, context) for messages, context in zip(batch, contexts, strict=True)]
