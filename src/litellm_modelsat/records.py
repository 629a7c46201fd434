"""What is said about a request: metadata, spend logs, response headers, counters, and one line of JSON at its end.

Counters and histograms are on the proxy's own ``/metrics`` where prometheus-client is installed.
"""

from __future__ import annotations

import atexit
import json
import logging
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from queue import Empty, SimpleQueue
from typing import Any, Literal, get_args

from litellm_modelsat.deployments import effort_in, id_at, real_id
from litellm_modelsat.ranking import KEY, Ranking, as_line, now
from litellm_modelsat.versions import TESTED, installed
from modelsat.policies import Policy

logger = logging.getLogger("modelsat.decisions")

ATTEMPT = "_modelsat_attempt"
UNREPORTED = "not reported"
"""The error of a request of which LiteLLM never said how it ended, e.g. since its caller hung up."""
ELSEWHERE = "(another group)"
"""Who answered, where LiteLLM's fallbacks went on to a deployment of another group."""

PREFIX = "litellm_modelsat"

Outcome = Literal["carried_out", "lower_ranked", "ignored", "failed", "unreported"]
"""What became of a ranking.

``carried_out``: the deployment returned first answered. ``lower_ranked``: one returned later did, or one of another
group, after a retry or a fallback. ``ignored``: one that was not returned did. ``failed``: none did, or its answer
broke off. ``unreported``: LiteLLM never said, e.g. since the caller hung up.
"""
TRIAL = 20
"""Decisions of a group after which a LiteLLM that has ignored all of them is not believed any more."""

COUNTERS = {
    "ranked": ("Requests, by who was ranked first.", ("group", "model", "policy")),
    "decisions": ("Requests, by who answered.", ("group", "model", "policy")),
    "outcomes": ("Requests, by what became of the ranking.", ("group", "outcome")),
    "excluded": ("Candidates left out, by kind of reason.", ("group", "reason")),
    "fallbacks": ("Requests not scored, by cause.", ("group", "cause")),
}
_TIMES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
HISTOGRAMS = {
    "decision_seconds": ("Wait for a decision.", ("group",), _TIMES),
    "scoring_seconds": ("Time of one scoring pass.", (), _TIMES),
    "batch_size": ("Requests scored in one pass.", (), (1, 2, 4, 8, 16, 32, 64)),
}


class Metrics:
    """Counts requests, each once. Thread-safe; Prometheus' collectors are shared by all instances of a process.

    Attributes:
        fallbacks: Requests that were not scored, by cause.
        outcomes: Requests, by group and what became of the ranking.
    """

    def __init__(self) -> None:
        self.fallbacks: Counter[str] = Counter()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._collectors = _collectors()

    def ranked(self, group: str, ranking: Ranking, policy: str) -> None:
        """Count a request by who is ranked first, or by why nothing was scored."""
        if group not in self._known:
            self._known.add(group)
            for outcome in get_args(Outcome):  # From 0 on, or Prometheus would not see the first one rise.
                self._count("outcomes", group, outcome, by=0)
        if ranking.decision is None:
            self.fallback(group, ranking.cause or "unknown")
        else:
            self._count("ranked", group, ranking.decision.model, policy)
        for kind, count in Counter(why.kind for why in ranking.excluded.values()).items():
            self._count("excluded", group, kind, by=count)

    def ended(self, group: str, model: str | None, policy: str, outcome: str) -> None:
        """Count a request by who answered, and by what became of its ranking."""
        with self._lock:
            self.outcomes[group, outcome] += 1
            lost = outcome == "ignored" and self.outcomes[group, outcome] == TRIAL and not self.obeyed(group)
        self._count("outcomes", group, outcome)
        if lost:
            logging.getLogger("modelsat").error(
                "LiteLLM %s has ignored the first %d decisions for %r: it answers from other deployments than modelsat "
                "returns. x-modelsat-* headers are no longer sent for this group. modelsat was tested with LiteLLM %s",
                installed(),
                TRIAL,
                group,
                ", ".join(TESTED),
            )
        if model is not None:
            self._count("decisions", group, model, policy)

    def obeyed(self, group: str) -> bool:
        """Whether LiteLLM does what is decided: not so if it has ignored every one of the first decisions."""
        carried_out = self.outcomes[group, "carried_out"] + self.outcomes[group, "lower_ranked"]
        return carried_out > 0 or self.outcomes[group, "ignored"] < TRIAL

    def fallback(self, group: str, cause: str) -> None:
        """Count one request that was handed on without a score."""
        with self._lock:
            self.fallbacks[cause] += 1
        self._count("fallbacks", group, cause)

    def waited(self, group: str, seconds: float) -> None:
        """Observe what a request waited for its decision."""
        if self._collectors:
            self._collectors["decision_seconds"].labels(group).observe(seconds)

    def scored(self, size: int, seconds: float) -> None:
        """Observe one pass of the network."""
        if self._collectors:
            self._collectors["batch_size"].observe(size)
            self._collectors["scoring_seconds"].observe(seconds)

    def _count(self, name: str, *labels: str, by: int = 1) -> None:
        if self._collectors:
            self._collectors[name].labels(*labels).inc(by)


_made: dict[str, Any] = {}
_making = threading.Lock()


def _collectors() -> dict[str, Any]:
    """The process's collectors, made once; none without prometheus-client."""
    with _making:
        if not _made:
            try:
                from prometheus_client import Counter as Count
                from prometheus_client import Histogram
            except ImportError:
                return {}
            for name, (said, labels) in COUNTERS.items():
                _made[name] = Count(f"{PREFIX}_{name}", said, labels)
            for name, (said, labels, buckets) in HISTOGRAMS.items():
                _made[name] = Histogram(f"{PREFIX}_{name}", said, labels, buckets=buckets)
        return _made


_forgotten: SimpleQueue[Attempt] = SimpleQueue()


class Attempt:
    """What is remembered of one request between its retries and fallbacks, inside LiteLLM's own metadata.

    An object of this class cannot come in with a request's JSON, so no caller can forge one. It is counted and logged
    once: when LiteLLM says who answered, or that nobody did, or else once LiteLLM has forgotten the request.

    Args:
        group: The group that was asked.
        ranking: Its candidates in order.
        name_of: Candidate by deployment id.
        policy: The policy that decided.
        metrics: Where the request is counted.
        call_id: LiteLLM's id of the request.
        log: Write the line.
        before: The attempt at the group from which LiteLLM's fallbacks came here; it ends with this one.

    Attributes:
        returned: Ids of the deployments that were returned to LiteLLM, one set for each time that it asked.
        tried: Ids of deployments that have failed.
        conversation: What was asked. A caller may share one metadata mapping between requests: another conversation, or
            another ``trace``, is another request.
        on_answer: Called once with the id of the deployment that answered.
        on_candidate: Called with the candidate that answered, as soon as that is known; more than once at times.
        trace: LiteLLM's name of the request.
        efforts: The effort with which a deployment was returned, by LiteLLM's id of it, where it has ``efforts``.
        last_error: Class of the last error of a deployment.
        without_reason: The deployment whose stream ended without a reason to stop.
    """

    def __init__(
        self,
        group: str,
        ranking: Ranking,
        name_of: Mapping[str, str],
        policy: Policy,
        metrics: Metrics,
        *,
        call_id: str | None = None,
        log: bool = True,
        before: Attempt | None = None,
    ) -> None:
        self.group = group
        self.ranking = ranking
        self.name_of = dict(name_of)
        self.policy = policy.name if ranking.decision is None else ranking.decision.policy
        self.on_answer: Callable[[str], None] | None = None
        self.on_candidate: Callable[[str], None] | None = None
        self.returned: list[frozenset[str]] = []
        self.tried: set[str] = set()
        self.conversation: Any = None
        self.trace: str | None = None
        self.efforts: dict[str, str] = {}
        self.last_error: str | None = None
        self.without_reason: str | None = None
        self._asked: dict[str, str] = {}
        self._target = _target_of(policy)
        self._metrics, self._call_id, self._log, self._before = metrics, call_id, log, before
        self._at = now()
        self._lock = threading.Lock()
        self._ended = False
        end_forgotten()
        metrics.ranked(group, ranking, self.policy)

    def __repr__(self) -> str:
        return f"Attempt({self.group!r}, {list(self.ranking.names)})"

    def __copy__(self) -> Attempt:
        return self

    def __deepcopy__(self, memo: Any) -> Attempt:
        """Copies of a request's metadata share what is remembered."""
        return self

    def __del__(self) -> None:
        """Have a request that nobody has ended counted later: this may run in the midst of anything."""
        if not self._ended and not sys.is_finalizing():
            _forgotten.put(self)

    def hand_out(self, ids: Iterable[str]) -> None:
        """Remember that LiteLLM chooses among these deployments now, each at the effort that its id says."""
        self.returned.append(frozenset(ids))
        self.efforts.update({real_id(identifier): effort_in(identifier) for identifier in self.returned[-1]})

    def effort_for(self, deployment_id: str) -> str:
        """The effort that a deployment, by LiteLLM's id, is to be asked for; empty if that was not decided."""
        return self.efforts.get(deployment_id, "")

    def asked(self, deployment_id: str) -> None:
        """The request to this deployment carries its effort."""
        self._asked[deployment_id] = self.effort_for(deployment_id)

    def ranked_id(self, deployment_id: str) -> str:
        """The id by which a deployment of LiteLLM's was ranked: with its effort, if it has several."""
        return id_at(deployment_id, self.effort_for(deployment_id))

    def headers(self, deployment_id: str | None) -> dict[str, str]:
        """Response headers: the candidate that answered, its score, the policy, and whether its target is met.

        There are none if LiteLLM ignores decisions. If it is not known which deployment answered, it is the chosen one.
        """
        if not self._metrics.obeyed(self.group):
            return {}
        decision = self.ranking.decision
        name = self.name_of.get(self.ranked_id(deployment_id or "")) or (decision.model if decision else None)
        headers = {"x-modelsat-policy": self.policy if decision else f"none ({self.ranking.cause})"}
        if name is not None:
            headers["x-modelsat-model"] = name
            if decision is not None and (score := decision.scores.get(name)) is not None:
                headers["x-modelsat-score"] = f"{score:.4f}"
            if decision is not None and (name == decision.model or self.ranking.shadowed):
                headers["x-modelsat-decision"] = decision.id  # feedback is on who answered, as the record says
                if decision.target_met is not None:
                    headers["x-modelsat-target-met"] = str(decision.target_met).lower()
                if decision.abstained:
                    headers["x-modelsat-abstained"] = "true"
        return {key: value for key, value in headers.items() if value.isascii() and value.isprintable()}

    def end(self, deployment_id: str | None, error: str | None = None) -> None:
        """Count the request by who answered, and write its line. The first call counts.

        Args:
            deployment_id: LiteLLM's id of the deployment that answered, or broke off; ``None`` if none did.
            error: Class of what the caller got instead of an answer, or of what is wrong with it.
        """
        with self._lock:
            if self._ended:
                return
            self._ended = True
        if self._before is not None:
            self._before.end(deployment_id, error)
        ranked_id = None if deployment_id is None or error is not None else self.ranked_id(deployment_id)
        if self.on_answer is not None and ranked_id is not None:
            self.on_answer(ranked_id)
        self.answered(deployment_id if error is None else None)
        self.conversation = self._before = self.on_answer = self.on_candidate = None
        outcome = self._outcome(ranked_id) if error != UNREPORTED else "unreported"
        answered = None if ranked_id is None else self.name_of.get(ranked_id, ELSEWHERE)
        self._metrics.ended(self.group, answered, self.policy, outcome)
        level = logging.INFO if self.ranking.decision is not None and outcome != "ignored" else logging.WARNING
        if self._log and logger.isEnabledFor(level):
            line = self._line()
            line.update(answered=answered, deployment=deployment_id, outcome=outcome, error=error)
            _write(level, line)

    def answered(self, deployment_id: str | None) -> None:
        """Tell whoever waits for it which candidate answered, by LiteLLM's id of its deployment."""
        name = self.name_of.get(self.ranked_id(deployment_id or ""))
        if name is not None and self.on_candidate is not None:
            self.on_candidate(name)

    def _outcome(self, deployment_id: str | None) -> Outcome:
        if deployment_id is None:
            return "failed"
        own = real_id(deployment_id)
        if effort_in(deployment_id) and self._asked.get(own) != self.effort_for(own):
            return "ignored"  # The right deployment, without the effort that was chosen for it.
        if self.returned and deployment_id in self.returned[0]:
            return "carried_out"
        elsewhere = deployment_id not in self.name_of  # LiteLLM leaves a group by its fallbacks only.
        return "lower_ranked" if elsewhere or any(deployment_id in ids for ids in self.returned) else "ignored"

    def _line(self) -> dict[str, Any]:
        line = as_line(self.group, self.ranking)
        decision = self.ranking.decision
        line.update(time=self._at, call_id=self._call_id, tries=len(self.returned) or None)
        if decision is not None and self._target is not None and decision.score is not None:
            line.update(target=self._target, target_reached=decision.score >= self._target)
        return line


def end_forgotten() -> None:
    """End the attempts that LiteLLM has forgotten without a word, e.g. those of callers who hung up."""
    while True:
        try:
            attempt = _forgotten.get_nowait()
        except Empty:
            return
        attempt.end(None, attempt.last_error or UNREPORTED)


atexit.register(end_forgotten)


def attempt_of(data: Mapping[str, Any]) -> Attempt | None:
    """The attempt that a request, or what LiteLLM's logging says of one, carries in its metadata."""
    for holder in (data, data.get("litellm_params")):
        for name in ("litellm_metadata", "metadata"):
            metadata = holder.get(name) if isinstance(holder, Mapping) else None
            attempt = metadata.get(ATTEMPT) if isinstance(metadata, Mapping) else None
            if isinstance(attempt, Attempt):
                return attempt
    return None


def served_by(kwargs: Mapping[str, Any]) -> str | None:
    """The deployment that answered, out of what LiteLLM's logging says of a request."""
    params = kwargs.get("litellm_params")
    info = params.get("model_info") if isinstance(params, Mapping) else None
    said = kwargs.get("standard_logging_object")
    found = (said.get("model_id") if isinstance(said, Mapping) else None) or (
        info.get("id") if isinstance(info, Mapping) else None
    )
    return str(found) if found else None


def write_metadata(metadata: dict[str, Any], record: Mapping[str, Any]) -> None:
    """Put ``record`` where LiteLLM's logging looks: ``routing_decision`` and, in short, ``spend_logs_metadata``."""
    metadata["routing_decision"] = dict(record)
    spend = metadata.get("spend_logs_metadata")
    short = {key: record[key] for key in ("routed_model", "score", "policy", "cause", "decision_id") if key in record}
    metadata["spend_logs_metadata"] = {**(spend if isinstance(spend, Mapping) else {}), KEY: short}


def log_ranking(group: str, ranking: Ranking) -> None:
    """The line of a decision whose answer is not ours to see."""
    level = logging.WARNING if ranking.decision is None else logging.INFO
    if logger.isEnabledFor(level):
        _write(level, as_line(group, ranking))


def _write(level: int, line: Mapping[str, Any]) -> None:
    said = {key: value for key, value in line.items() if value is not None and value not in ([], {})}
    logger.log(level, "%s", json.dumps(said, default=str))


def _target_of(policy: Any) -> float | None:
    """P(success) that is good enough to ``policy``, or to the one that it wraps; ``None`` if it has no such target."""
    while policy is not None:
        if isinstance(target := getattr(policy, "target", None), float):
            return target
        policy = getattr(policy, "inner", None)
    return None
