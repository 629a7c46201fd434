"""Problem bodies (RFC 9457, ``application/problem+json``): what was wrong, and with which field."""

from __future__ import annotations

import json
import logging
import math
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from modelsat import errors
from modelsat._logging import field_name, one_line
from modelsat.inference.client import UNKNOWN_PROFILES
from modelsat.inference.remote import UnknownProfilesError

logger = logging.getLogger("modelsat")

MEDIA_TYPE = "application/problem+json"
_TYPES = "https://github.com/modelsat/modelsat/blob/main/docs/serving.md#"
_LONGEST = 500
_MOST_FIELDS = 20
_BRANCHES = frozenset({"constrained-str", "str"})

_ANSWERS: Mapping[type[errors.ModelSATError], tuple[int, str, str]] = {
    UnknownProfilesError: (404, UNKNOWN_PROFILES, "profiles"),
    errors.InvalidRequestError: (422, "invalid-request", "messages"),
    errors.UnknownModelError: (422, "unknown-candidate", "candidates"),
    errors.NoCandidateError: (422, "no-candidate", "candidates"),
    errors.InvalidProfileError: (422, "invalid-request", "definitions"),
    errors.InvalidFeedbackError: (422, "invalid-request", "score"),
    errors.UnknownDecisionError: (404, "unknown-decision", "decision_id"),
    errors.DuplicateFeedbackError: (409, "feedback-given", "decision_id"),
    errors.ConfigurationError: (422, "invalid-request", "constraints"),
    errors.FeedbackStoreError: (503, "feedback-unavailable", ""),
    errors.ScorerUnavailableError: (503, "scorer-unavailable", ""),
}
"""Status, kind and field of the errors that a request can cause, the first that fits."""
SOON = {"retry-after": "1"}
_FOR_STRANGERS: Mapping[type[errors.ModelSATError], str] = {
    errors.UnknownDecisionError: "this server's store holds no such decision: nothing was recorded",
    errors.FeedbackStoreError: "the feedback store cannot be used now: give this feedback again later",
}
"""What is said of errors whose own text names the server's files."""


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    field: str = Field(description="Path of the field, e.g. `messages.0.content`; `body` for the whole body.")
    message: str


class ProblemBody(BaseModel):
    """The body of every answer that is not a success (RFC 9457)."""

    type: str = Field(description="Kind of problem; its last part is stable.")
    title: str
    status: int
    detail: str = ""
    errors: list[FieldProblem] = Field(default_factory=list, description="The fields that were wrong.")
    missing: list[str] = Field(default_factory=list, description="Digests of profiles that have to be defined.")


class Problem(Exception):  # noqa: N818 - the word of the standard
    """An answer that is not a success.

    Args:
        status: HTTP status.
        kind: Last part of the problem's type, e.g. ``"overloaded"``.
        detail: What to do next, without anything of the prompt.
        fields: Fields that were wrong, with what was.
        missing: Digests of profiles that have to be defined.
        headers: Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        fields: Sequence[tuple[str, str]] = (),
        missing: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.fields, self.missing, self.headers = tuple(fields), tuple(missing), dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        body: dict[str, Any] = {
            "type": _TYPES + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": one_line(self.detail, _LONGEST),
        }
        if self.fields:
            body["errors"] = [
                {"field": one_line(name, _LONGEST), "message": one_line(message, _LONGEST)}
                for name, message in self.fields
            ]
        if self.missing:
            body["missing"] = list(self.missing)
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return Response(content, self.status, self.headers, MEDIA_TYPE)


def overloaded(seconds: float, detail: str) -> Problem:
    """429 with ``Retry-After``."""
    return Problem(429, "overloaded", detail, headers={"retry-after": str(max(1, math.ceil(seconds)))})


def of_error(error: errors.ModelSATError) -> Problem:
    """The problem for one of the project's own errors."""
    text = _FOR_STRANGERS.get(type(error)) or str(error)
    for kind, (status, name, field) in _ANSWERS.items():
        if isinstance(error, kind):
            missing = error.missing if isinstance(error, UnknownProfilesError) else ()
            fields = [(field, text)] if field else []
            return Problem(status, name, text, fields=fields, missing=missing, headers=SOON if status == 503 else None)
    if isinstance(error, errors.RoutingError) and error.__cause__ is None:  # the policy's own refusal
        return Problem(422, "no-candidate", text, fields=[("candidates", text)])
    return unexpected(error.__cause__ or error)


def unexpected(error: BaseException) -> Problem:
    """The problem for an error that nobody foresaw, whose class and place are logged; its text may quote the prompt."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {place[0].filename}:{place[0].lineno}" if place else ""
    logger.error("a request failed: %s%s", type(error).__name__, where)
    return Problem(500, "internal", "the server failed; its log says where")


def install(app: FastAPI) -> None:
    """Answer every failure of ``app`` with a problem body."""

    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(errors.ModelSATError)
    async def own(_request: Request, error: errors.ModelSATError) -> Response:
        return of_error(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return _invalid(error).response()

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> Response:
        kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http")
        return Problem(error.status_code, kind, str(error.detail), headers=error.headers).response()


def _invalid(error: RequestValidationError) -> Problem:
    """422 with the fields, 400 where the body is not JSON at all. Nothing of what was sent is repeated."""
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        where = next(entry["loc"][-1] for entry in found if entry["type"] == "json_invalid")
        text = f"the body is not valid JSON, at character {where}"
        return Problem(400, "malformed-json", text, fields=[("body", text)])
    fields: dict[str, str] = {}
    for entry in found:
        where, message = entry["loc"], str(entry["msg"]).removeprefix("Value error, ")
        if entry["type"] == "extra_forbidden" and not field_name(where[-1]):
            where, message = where[:-1], "there is a field that this endpoint does not know, see /docs"
        fields.setdefault(_path(where), message)
    # Where a part of a list is wrong, that it is not text either says nothing.
    fields = {name: text for name, text in fields.items() if not any(other.startswith(f"{name}.") for other in fields)}
    named = list(fields.items())[:_MOST_FIELDS]
    detail = "; ".join(f"{name}: {message}" for name, message in named)
    return Problem(422, "invalid-request", detail, fields=named)


def _path(location: Sequence[Any]) -> str:
    """``messages.0.role``, without the names that pydantic gives to the branches of a union."""
    parts = [str(part) for part in location if part not in ("body", "query")]
    return ".".join(part for part in parts if part not in _BRANCHES and "[" not in part) or "body"
