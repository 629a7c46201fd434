"""``POST /modelsat/feedback`` on the proxy: how good an answer was, by its header ``x-modelsat-decision``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from litellm.proxy._types import LiteLLMRoutes
from litellm.proxy.auth.user_api_key_auth import user_api_key_auth
from pydantic import BaseModel, ConfigDict, Field

from modelsat.errors import (
    DuplicateFeedbackError,
    FeedbackStoreError,
    InvalidFeedbackError,
    ModelSATError,
    UnknownDecisionError,
)

if TYPE_CHECKING:
    from litellm_modelsat.service import RoutingService

PATH = "/modelsat/feedback"
_STATUS: dict[type[ModelSATError], tuple[int, str]] = {
    UnknownDecisionError: (404, "no such decision: nothing was recorded"),
    DuplicateFeedbackError: (409, "there is feedback on this decision already; the first counts"),
    InvalidFeedbackError: (422, "decision_id and source are text, score is a number from 0 to 1"),
    FeedbackStoreError: (503, "the feedback store cannot be used now: give this feedback again later"),
}


class FeedbackRequest(BaseModel):
    """How good the answer was that a decision led to."""

    model_config = ConfigDict(extra="forbid")

    decision_id: str = Field(min_length=1, max_length=200, description="The response header `x-modelsat-decision`.")
    score: float = Field(ge=0.0, le=1.0, allow_inf_nan=False, description="0 (useless) to 1 (good).")
    source: Annotated[str, Field(pattern=r"^\w[\w .:-]{0,99}$", description="`user`, `judge`, `test`, ...")] = "user"


def serve_feedback(app: Any, service: RoutingService) -> None:
    """Add the endpoint to ``app``, ahead of what answers for all paths; any key that the proxy accepts may use it."""
    api = APIRouter()

    @api.post(PATH, status_code=202, tags=["modelsat"], dependencies=[Depends(user_api_key_auth)])
    def feedback(body: FeedbackRequest) -> dict[str, str]:
        """Say how good the answer to a decision was; later decisions are corrected by it."""
        try:
            service.feedback(body.decision_id, body.score, body.source)
        except ModelSATError as error:
            status, detail = _STATUS.get(type(error), (409, str(error)))
            raise HTTPException(status, detail) from None
        return {"status": "accepted"}

    app.router.routes[:0] = api.routes
    open_to_keys = LiteLLMRoutes.info_routes.value
    if isinstance(open_to_keys, list) and PATH not in open_to_keys:
        open_to_keys.append(PATH)
