"""What is said about a decision: request metadata, spend logs, response headers and one line in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from litellm_modelsat.ranking import Ranking

logger = logging.getLogger("modelsat")

KEY = "modelsat"
ATTEMPT = "_modelsat_attempt"
HEADERS = ("x-modelsat-model", "x-modelsat-score", "x-modelsat-policy")
_DIGITS = 4
_LOGGED = ("router_model_name", "routed_model", "score", "policy", "ranking", "struck", "elapsed_ms", "cause")
_NAMES = {"router_model_name": "group", "routed_model": "model"}
"""Names in the log line that differ from LiteLLM's."""


class Attempt:
    """What is remembered of one request between its retries and fallbacks, inside LiteLLM's own metadata.

    An object of this class cannot come in with a request's JSON, so no caller can forge one.

    Attributes:
        group: The group that was asked.
        ranking: Its candidates in order.
        name_of: Candidate by deployment id.
        tried: Ids of deployments that have failed.
        retries: LiteLLM's count of retries when it was last looked at.
        policy: Name of the policy.
    """

    def __init__(self, group: str, ranking: Ranking, name_of: Mapping[str, str], policy: str) -> None:
        self.group = group
        self.ranking = ranking
        self.name_of = dict(name_of)
        self.tried: set[str] = set()
        self.retries = 0
        self.policy = policy

    def __repr__(self) -> str:
        return f"Attempt({self.group!r}, {list(self.ranking.names)})"

    def __copy__(self) -> Attempt:
        return self

    def __deepcopy__(self, memo: Any) -> Attempt:
        """Copies of a request's metadata share what is remembered."""
        return self

    def headers(self, deployment_id: str | None) -> dict[str, str]:
        """Response headers: the candidate that answered, its score, and the policy.

        Args:
            deployment_id: LiteLLM's id of the deployment that answered; the chosen one if it is not known.
        """
        decision = self.ranking.decision
        name = self.name_of.get(deployment_id or "") or (decision.model if decision else None)
        headers = {"x-modelsat-policy": self.policy if decision else f"none ({self.ranking.cause})"}
        if name is not None:
            headers["x-modelsat-model"] = name
            if decision is not None and (score := decision.scores.get(name)) is not None:
                headers["x-modelsat-score"] = f"{score:.4f}"
        return {key: value for key, value in headers.items() if _printable(value)}


def as_record(group: str, ranking: Ranking) -> dict[str, Any]:
    """The decision as plain data, under LiteLLM's own names where it has some; no prompt and no key in it."""
    decision = ranking.decision
    record: dict[str, Any] = {
        "router_model_name": group,
        "router_type": KEY,
        "ranking": list(ranking.names),
        "struck": dict(ranking.struck),
    }
    if decision is None:
        return {**record, "fallback": True, "cause": ranking.cause or "unknown"}
    return {
        **record,
        "routed_model": decision.model,
        "score": round(decision.scores.get(decision.model, 0.0), _DIGITS),
        "scores": {name: round(score, _DIGITS) for name, score in decision.scores.items()},
        "costs": {name: float(f"{cost:.4g}") for name, cost in decision.costs.items()},
        "policy": decision.policy,
        "reason": decision.reason,
        "notes": list(decision.notes),
        "elapsed_ms": round(decision.elapsed_ms, 2),
        "versions": dict(decision.versions),
        "decision_id": decision.id,
        "fallback": False,
    }


def write_metadata(metadata: dict[str, Any], record: Mapping[str, Any]) -> None:
    """Put ``record`` where LiteLLM's logging looks: ``routing_decision`` and, in short, ``spend_logs_metadata``."""
    metadata["routing_decision"] = dict(record)
    spend = metadata.get("spend_logs_metadata")
    short = {key: record[key] for key in ("routed_model", "score", "policy", "cause", "decision_id") if key in record}
    metadata["spend_logs_metadata"] = {**(spend if isinstance(spend, Mapping) else {}), KEY: short}


class _Line:
    """A decision as one line of JSON, put together when a handler writes it."""

    def __init__(self, record: Mapping[str, Any], call_id: str | None) -> None:
        self._record, self._call_id = record, call_id

    def __str__(self) -> str:
        record = self._record
        line = {_NAMES.get(key, key): record[key] for key in _LOGGED if key in record}
        line.update({"decision_id": record.get("decision_id"), "call_id": self._call_id})
        event = "modelsat.fallback" if record.get("fallback") else "modelsat.decision"
        return json.dumps(
            {"event": event, **{key: value for key, value in line.items() if value is not None}}, default=str
        )


def log_decision(record: Mapping[str, Any], call_id: str | None) -> None:
    """One line of JSON: at INFO for a decision, at WARNING for a request that was not scored."""
    logger.log(logging.WARNING if record.get("fallback") else logging.INFO, "%s", _Line(record, call_id))


def _printable(value: str) -> bool:
    return all(" " <= character <= "~" for character in value)
