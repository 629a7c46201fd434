"""Where a decision stays visible: in the answer's ``response_metadata`` and in the metadata of the model's run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import patch_config

from langchain_modelsat.selector import ROUTE_KEY, without_forced_route
from modelsat.errors import InvalidFeedbackError
from modelsat.router.decision import RoutingDecision

DECISION_KEY = "routing_decision"
"""``message.response_metadata[DECISION_KEY]`` holds the decision as plain data."""


def dump(decision: RoutingDecision) -> dict[str, Any]:
    """The decision as JSON-compatible data; ``RoutingDecision(**data)`` reads it back."""
    return decision.model_dump(mode="json")


def decision_id(answer: str | BaseMessage | RoutingDecision) -> str:
    """The identifier of the decision behind ``answer``: a message of a routing chat model, a decision, or it itself.

    Raises:
        InvalidFeedbackError: The message carries no decision.
    """
    if isinstance(answer, str):
        return answer
    if isinstance(answer, RoutingDecision):
        return answer.id
    decision = answer.response_metadata.get(DECISION_KEY)
    if not isinstance(decision, Mapping) or not isinstance(decision.get("id"), str):
        raise InvalidFeedbackError(
            f"the message carries no decision: response_metadata[{DECISION_KEY!r}] is missing; give the message that "
            "ModelSATRouter returned, or the decision's id"
        )
    return str(decision["id"])


def stamp(output: Any, decision: RoutingDecision) -> Any:
    """A copy of ``output`` that carries the decision; what is not a message (or holds none) is returned as it is.

    With ``include_raw=True`` the raw message carries it.
    """
    if isinstance(output, BaseMessage):
        metadata = {**output.response_metadata, DECISION_KEY: dump(decision)}
        return output.model_copy(update={"response_metadata": metadata})
    if isinstance(output, dict) and isinstance(output.get("raw"), BaseMessage):
        return {**output, "raw": stamp(output["raw"], decision)}
    return output


def stamp_event(event: Mapping[str, Any], decision: RoutingDecision) -> Mapping[str, Any]:
    """The last event of a message with the decision among its metadata; other events as they are."""
    if event.get("event") != "message-finish":
        return event
    return {**event, "metadata": {**(event.get("metadata") or {}), DECISION_KEY: dump(decision)}}


def route_config(config: RunnableConfig, decision: RoutingDecision) -> RunnableConfig:
    """The config of the chosen model's run: the route and the decision's identifier are in its metadata."""
    recorded = patch_config(without_forced_route(config))
    recorded["metadata"] = {**recorded["metadata"], ROUTE_KEY: decision.model, "modelsat_decision": decision.id}
    return recorded
