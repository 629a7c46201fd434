"""The endpoints of the server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response

from modelsat._logging import names, one_line
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import UnknownModelError
from modelsat.inference.base import Scores
from modelsat.router import RoutingDecision
from modelsat.server import schema
from modelsat.server.decider import Decider
from modelsat.server.problems import MEDIA_TYPE, SOON, Problem, ProblemBody

if TYPE_CHECKING:
    from modelsat.feedback.loop import FeedbackState

decisions = logging.getLogger("modelsat.decisions")

_LONGEST_LINE = 2_000
_WRONG = {400: "malformed body", 401: "no valid API key", 408: "slow body", 413: "body too large", 422: "wrong field"}
_LATER = {429: "overloaded, see Retry-After", 500: "internal", 503: "network unavailable", 504: "took too long"}


def _problems(more: dict[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {
        status: {"description": text, "content": content}
        for status, text in {**_WRONG, **_LATER, **(more or {})}.items()
    }


def _decider(request: Request) -> Decider:
    decider: Decider = request.app.state.decider
    return decider


Shared = Annotated[Decider, Depends(_decider)]
api = APIRouter(prefix="/v1")
health = APIRouter()


@api.post("/route", responses=_problems(), summary="Which candidate answers a request")
async def route(body: schema.RouteRequest, decider: Shared) -> RoutingDecision:
    """Decide which candidate will answer the last thing the user said."""
    context = body.context()
    decision = await decider.run(
        1, lambda: decider.router.route(body.plain(), candidates=body.candidates, context=context, cache=body.cache)
    )
    decider.metrics.decisions.labels(decision.model).inc()
    if decider.settings.log_decisions:
        decisions.info("%s %s", decision.id, one_line(decision.explain(), _LONGEST_LINE))
    if decision.failure is not None:
        decider.metrics.fallbacks.labels(decision.failure.kind).inc()
    return decision


@api.post(
    "/score",
    response_model=schema.ScoreResponse,
    responses=_problems({404: "profiles are not known: send their definitions"}),
    summary="P(success) of many texts",
)
async def score(body: schema.ScoreRequest, decider: Shared) -> Response:
    """Score texts for candidates or profiles, in as few passes of the network as possible."""
    limit = decider.settings.max_prompts
    if len(body.instructions) > limit:
        detail = f"{len(body.instructions)} texts are more than the {limit} that this server takes in one request"
        raise Problem(422, "invalid-request", detail, fields=[("instructions", detail)])
    names, scores = await decider.run(len(body.instructions), lambda: _score(decider, body))
    answer = schema.ScoreResponse(
        weights=scores.version,
        names=names,
        scores=scores.p.tolist(),
        fields=list(scores.fields),
        shares=scores.shares.tolist() if scores.fields else [],
    )
    return Response(answer.model_dump_json(), media_type="application/json")


@api.get("/models", responses=_problems(), summary="The candidates")
async def models(decider: Shared) -> schema.ModelList:
    """The candidates of this server and the versions of what decides."""
    entries = [
        schema.ModelEntry(
            id=candidate.name,
            model=candidate.profile.model,
            profile=candidate.profile.digest,
            statements=len(candidate.profile.statements),
            facts=candidate.facts.model_dump(mode="json", exclude_defaults=True, exclude={"origins"}),
        )
        for candidate in decider.router.candidates
    ]
    return schema.ModelList(data=entries, versions=decider.router.versions)


@api.post(
    "/feedback",
    status_code=202,
    responses=_problems({404: "no such decision", 409: "no feedback store, or feedback was given already"}),
    summary="How good an answer was",
)
async def feedback(body: schema.FeedbackRequest, decider: Shared) -> schema.Accepted:
    """Tell how good the answer was that a decision led to; later decisions learn from it."""
    if decider.router.learning is None:
        raise Problem(409, "no-feedback-store", "this server keeps no feedback: set `feedback` in its settings")
    await decider.run(1, lambda: decider.router.feedback(body.decision_id, body.score, body.source))
    return schema.Accepted()


@health.get("/healthz", summary="Whether the server lives", response_model_exclude_none=True)
async def healthz() -> schema.Health:
    """Answers as long as the process does."""
    return schema.Health(status="ok")


@health.get(
    "/readyz",
    responses={503: {"description": "shutting down", "model": ProblemBody}},
    summary="Whether it is ready",
    response_model_exclude_none=True,
)
async def readyz(decider: Shared) -> schema.Health:
    """Answers 200 once the weights are loaded, 503 while the server shuts down.

    A feedback store that cannot be used is named and is not a reason for 503: the server decides without it.
    """
    if decider.draining:
        raise Problem(503, "draining", "the server is shutting down", headers=SOON)
    return schema.Health(
        status="ready", weights=decider.router.versions["weights"], feedback=_feedback_health(decider.router.learning)
    )


@health.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
async def metrics(decider: Shared) -> Response:
    """Metrics in Prometheus' text format."""
    if not decider.settings.metrics:
        raise Problem(404, "not-found", "metrics are switched off")
    return PlainTextResponse(decider.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _feedback_health(state: FeedbackState | None) -> schema.FeedbackHealth | None:
    if state is None:
        return None
    counts = {name: getattr(state, name) for name in schema.FeedbackHealth.model_fields if name != "usable"}
    return schema.FeedbackHealth(usable=state.problem is None, **counts)


def _score(decider: Decider, body: schema.ScoreRequest) -> tuple[list[str], Scores]:
    if body.profiles is not None:
        definitions = [CapabilityProfile(**definition) for definition in body.definitions]
        return list(body.profiles), decider.service.score(body.instructions, body.profiles, definitions)
    chosen = {candidate.name: candidate.profile for candidate in decider.router.candidates}
    if body.candidates is not None:
        if unknown := set(body.candidates) - chosen.keys():
            raise UnknownModelError(f"not among this server's candidates: {names(unknown)}; see /v1/models")
        chosen = {name: chosen[name] for name in body.candidates}
    profiles = list(chosen.values())
    return list(chosen), decider.service.score(body.instructions, [p.digest for p in profiles], profiles)
