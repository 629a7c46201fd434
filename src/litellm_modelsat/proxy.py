"""What the proxy's configuration names: ``litellm_modelsat.proxy.handler`` and ``litellm_modelsat.proxy.classifier``.

Both are made when the proxy reads its configuration, so that a mistake stops it from starting, and once a process.
The handler brings ``POST /modelsat/feedback``, which says how good an answer was by its header ``x-modelsat-decision``.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any

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

GATHER_S = 0.02
"""How long log lines are gathered before they are written: under load, waking up for each costs requests more."""
FEEDBACK = "/modelsat/feedback"
_STATUS: dict[type[ModelSATError], tuple[int, str]] = {
    UnknownDecisionError: (404, "no such decision: nothing was recorded"),
    DuplicateFeedbackError: (409, "there is feedback on this decision already; the first counts"),
    InvalidFeedbackError: (422, "decision_id and source are text, score is a number from 0 to 1"),
    FeedbackStoreError: (503, "the feedback store cannot be used now: give this feedback again later"),
}
_MAKERS = ("handler", "classifier")
_lock = threading.Lock()


def __getattr__(name: str) -> Any:
    """Make what the configuration asks for, out of that configuration (PEP 562)."""
    if name not in _MAKERS:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; the configuration may name handler or classifier"
        )
    with _lock:
        if name not in globals():
            globals()[name] = _make_handler() if name == "handler" else _make_classifier()
        return globals()[name]


def _make_handler() -> Any:
    from litellm_modelsat.configuration import service_of
    from litellm_modelsat.handler import ModelSATHandler
    from litellm_modelsat.versions import warn_if_untested

    _show_log()
    warn_if_untested()
    service = service_of(*_configuration())
    if service.settings.feedback is not None:
        from litellm.proxy.proxy_server import app

        serve_feedback(app, service)
    return ModelSATHandler(service)


def _make_classifier() -> Any:
    from litellm_modelsat.classifier import classifier_of

    _show_log()
    return classifier_of(_configuration()[0])


def _configuration() -> tuple[Any, str | None]:
    """The proxy's configuration as it has read it, with its environment variables, and the file that the user wrote."""
    from litellm.proxy import proxy_server

    from litellm_modelsat.configuration import source_file

    return dict(proxy_server.proxy_config.get_config_state()), source_file(proxy_server.user_config_file_path)


def _show_log() -> None:
    """Send decisions to stderr as bare JSON, and all else where LiteLLM's lines go, unless set up otherwise."""
    own, decisions = logging.getLogger("modelsat"), logging.getLogger("modelsat.decisions")
    if own.level == logging.NOTSET:
        own.setLevel(logging.INFO)
    if not decisions.handlers and not own.handlers:
        lines = logging.StreamHandler()
        lines.setFormatter(logging.Formatter("%(message)s"))
        decisions.addHandler(queued(lines))
        decisions.propagate = False
    if not own.handlers and not logging.getLogger().handlers:
        from litellm._logging import verbose_proxy_logger

        for handler in verbose_proxy_logger.handlers:
            own.addHandler(handler)


class FeedbackRequest(BaseModel):
    """How good the answer was that a decision led to."""

    model_config = ConfigDict(extra="forbid")

    decision_id: str = Field(min_length=1, max_length=200, description="The response header `x-modelsat-decision`.")
    score: float = Field(ge=0.0, le=1.0, allow_inf_nan=False, description="0 (useless) to 1 (good).")
    source: Annotated[str, Field(pattern=r"^\w[\w .:-]{0,99}$", description="`user`, `judge`, `test`, ...")] = "user"


def serve_feedback(app: Any, service: RoutingService) -> None:
    """Add the endpoint to ``app``, ahead of what answers for all paths; any key that the proxy accepts may use it."""
    from fastapi import APIRouter, Depends, HTTPException
    from litellm.proxy._types import LiteLLMRoutes
    from litellm.proxy.auth.user_api_key_auth import user_api_key_auth

    api = APIRouter()

    @api.post(FEEDBACK, status_code=202, tags=["modelsat"], dependencies=[Depends(user_api_key_auth)])
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
    if isinstance(open_to_keys, list) and FEEDBACK not in open_to_keys:
        open_to_keys.append(FEEDBACK)


class _Gathering(QueueListener):
    def dequeue(self, block: bool) -> logging.LogRecord:
        """The next line; the first after a pause waits for others to come."""
        lines: Any = self.queue
        rested = block and lines.empty()
        record = super().dequeue(block)
        if rested:
            time.sleep(GATHER_S)
        return record

    def handle(self, record: logging.LogRecord) -> None:
        """Hand a line to each handler; one that raises costs neither the others nor later lines anything."""
        for handler in self.handlers:
            if record.levelno >= handler.level:
                try:
                    handler.handle(record)
                except BaseException:
                    with suppress(Exception):
                        handler.handleError(record)


def queued(*handlers: logging.Handler) -> QueueHandler:
    """A handler that hands lines to ``handlers`` on another thread, each with the time at which it was said.

    What waits is written when the process ends. After a fork, the child writes its own lines.

    Args:
        handlers: Who writes the lines; each keeps its level.
    """
    handler = QueueHandler(SimpleQueue())
    listening: list[QueueListener] = []

    def listen() -> None:
        lines: Any = SimpleQueue()  # A child leaves alone what its parent waits to write, and the parent's lock.
        handler.queue = lines
        listening[:] = [_Gathering(lines, *handlers)]
        listening[0].start()

    listen()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=listen)
    atexit.register(lambda: listening[0].stop())
    return handler
