"""Routing for one LiteLLM router: what both the proxy's callback and the SDK's strategy call."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from litellm_modelsat.deployments import Deployment, effort_in, id_of, once, real_id, spread, whole
from litellm_modelsat.group import Group
from litellm_modelsat.membership import members_of
from litellm_modelsat.ranking import Ranking, Steps, as_record, in_steps, levels
from litellm_modelsat.records import ATTEMPT, Attempt, Metrics, write_metadata
from litellm_modelsat.requests import Job, conversation_of, metadata_of
from litellm_modelsat.settings import ROOT, Settings
from modelsat._logging import ThrottledLog
from modelsat.capability.efforts import effort_of
from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.feedback.loop import resolve_feedback
from modelsat.inference.batching import Batcher, ScorerBusyError

if TYPE_CHECKING:
    from modelsat.inference.base import Scorer

logger = logging.getLogger("modelsat")

Entries = Sequence[dict[str, Any]]


class ForbiddenError(ModelSATError, PermissionError):
    """The operator's constraints leave no deployment that may answer this request."""


@dataclass(slots=True)
class _Step:
    """One request between the question and the answer."""

    group: Group
    job: Job
    name_of: Mapping[str, str]
    entries: Entries
    kwargs: dict[str, Any]
    started: float
    attempt: Attempt | None


class RoutingService:
    """Ranks the deployments of configured groups; everything else passes through untouched.

    Args:
        settings: The settings.
        deployments: All deployments of the router.
        routing_groups: Names of models by name of the routing group.
        where: Path of the settings in the configuration, for messages.
        scorer: A scorer in place of the weights.
        listed: The router's deployments as they are now, so that removed ones are forgotten.

    Raises:
        ConfigurationError: The settings do not fit the deployments; the message names the path.
    """

    def __init__(
        self,
        settings: Settings,
        deployments: Sequence[Deployment],
        routing_groups: Mapping[str, Sequence[str]] | None = None,
        *,
        where: str = ROOT,
        scorer: Scorer | None = None,
        listed: Callable[[], Iterable[Mapping[str, Any]]] | None = None,
    ) -> None:
        self.settings = settings
        self.where = where
        self.metrics = Metrics()
        self._log = ThrottledLog(logger)
        try:
            self._feedback = resolve_feedback(settings.feedback)
        except ModelSATError as error:
            raise ConfigurationError(f"{where}.feedback: {error}") from error
        self.groups = {
            name: Group(
                name,
                settings,
                members_of(name, deployments, routing_groups or {}),
                f"{where}.groups.{name}",
                scorer=scorer,
                feedback=self._feedback,
                listed=listed,
            )
            for name in settings.groups
        }
        self._batcher: Batcher[Job, Ranking] = Batcher(cast("Any", Group.decide), settings.batch, self.metrics.scored)

    def __deepcopy__(self, memo: Any) -> RoutingService:
        """Copies share the network."""
        return self

    def warmup(self) -> None:
        """Load the weights now, so that no request waits for them.

        A scorer on another machine may be down for now: that is logged, and requests are routed once it answers.

        Raises:
            ConfigurationError: The weights cannot be used.
        """
        for group in self.groups.values():
            try:
                group.warmup()
            except ConfigurationError as error:
                if self.settings.scorer is None:
                    raise
                logger.warning("%s; requests go unrouted until the scorer answers", error)

    def feedback(self, decision_id: str, score: float, source: str = "user") -> None:
        """Say how good the answer to a decision was; later decisions of all groups are corrected by it.

        Args:
            decision_id: The response header ``x-modelsat-decision``, or ``decision_id`` of the routing decision.
            score: 0 (bad) to 1 (good).
            source: Who says so: ``"user"``, ``"judge"``, ``"test"``, ...

        Raises:
            ConfigurationError: No ``feedback`` is set.
            ModelSATError: As :meth:`modelsat.feedback.Feedback.give`.
        """
        if self._feedback is None:
            raise ConfigurationError(f"no feedback is kept: set {self.where}.feedback, e.g. feedback: feedback.sqlite")
        self._feedback.give(decision_id, score, source)

    async def rank(
        self,
        model: str,
        entries: Entries,
        messages: Any,
        kwargs: dict[str, Any],
        reachable: Callable[[], Awaitable[frozenset[str] | None]] | None = None,
    ) -> list[dict[str, Any]]:
        """The best of ``entries`` that this request has not tried; all of them if nothing can be said about them.

        Args:
            model: The name that was called.
            entries: LiteLLM's deployments that are there.
            messages: The conversation; ``None`` outside chats.
            kwargs: The request.
            reachable: Returns the identifiers that LiteLLM's later checks leave; ``None`` if it cannot know.

        Raises:
            ForbiddenError: The operator's constraints leave none, or could not be checked. Nothing else is ever raised.
        """
        step = self._begin(model, entries, messages, kwargs)
        if isinstance(step, _Step):
            try:
                ranking: Ranking | Exception = await self._batcher(step.group, step.job, step.group.timeout_s)
            except Exception as error:
                ranking = error
            steps = self._end(step, ranking)
        else:
            steps = step
        if len(steps) > 1 and reachable is not None and (left := await reachable()) is not None:
            steps = [kept for own in steps if (kept := [e for e in own if real_id(id_of(e)) in left])] or steps
        self.returned(model, kwargs, steps[0] if steps else ())
        return whole(steps[0], entries) if steps else []

    def rank_sync(self, model: str, entries: Entries, messages: Any, kwargs: dict[str, Any]) -> Steps:
        """:meth:`rank` without an event loop: all steps, of which the caller says which one it :meth:`returned`."""
        step = self._begin(model, entries, messages, kwargs)
        if not isinstance(step, _Step):
            return step
        try:
            ranking: Ranking | Exception = self._batcher.wait(step.group, step.job, step.group.timeout_s)
        except Exception as error:
            ranking = error
        return self._end(step, ranking)

    def returned(self, model: str, kwargs: dict[str, Any], entries: Entries) -> None:
        """Remember that LiteLLM chooses among ``entries`` now."""
        attempt = metadata_of(kwargs).get(ATTEMPT)
        if isinstance(attempt, Attempt) and attempt.group == model:
            attempt.hand_out(map(id_of, entries))

    def _begin(self, model: str, entries: Entries, messages: Any, kwargs: dict[str, Any]) -> _Step | Steps:
        """What has to be scored, or the answer if nothing has."""
        group = self.groups.get(model)
        if group is None or not entries:
            return [list(entries)]
        try:
            conversation = conversation_of(messages, kwargs)
            if conversation is None:
                return [list(entries)]
            entries = spread(entries, effort_of(kwargs))
            name_of = group.names_of(entries)
            started = time.perf_counter()
            job = group.job(conversation, entries, name_of, kwargs)
            step = _Step(group, job, name_of, entries, kwargs, started, _attempt(model, conversation, kwargs))
            known = self._known(step)
            return step if known is None else self._steps(step, known)
        except ForbiddenError:
            raise
        except Exception as error:
            return self._give_up(model, entries, error)

    def _end(self, step: _Step, outcome: Ranking | Exception) -> Steps:
        name = step.group.name
        try:
            self.metrics.waited(name, time.perf_counter() - step.started)
            ranking = (
                step.group.without_scores(step.job, cause_of(outcome)) if isinstance(outcome, Exception) else outcome
            )
            self._record(step, ranking)
            return self._steps(step, ranking)
        except ForbiddenError:
            raise
        except Exception as error:
            return self._give_up(name, step.entries, error)

    def _known(self, step: _Step) -> Ranking | None:
        """The ranking of a request that was ranked before, or of one that has no choice."""
        attempt, names = step.attempt, step.job.names
        if attempt is not None:
            ranking = attempt.ranking
            if names <= {*ranking.names, *ranking.forbidden}:
                write_metadata(metadata_of(step.kwargs), as_record(attempt.group, ranking))
                attempt.name_of.update(step.name_of)
                return ranking
        if len(names) == 1 and not any(map(effort_in, step.name_of)):  # An effort goes out with a decision only.
            return step.group.without_scores(step.job, "single candidate")
        return None

    def _steps(self, step: _Step, ranking: Ranking) -> Steps:
        present = step.job.names
        if ranking.forbidden and not any(name in present for name in ranking.names):
            reasons = "; ".join(f"{name}: {why}" for name, why in ranking.forbidden.items() if name in present)
            raise ForbiddenError(f"no deployment of {step.group.name!r} may answer this request: {reasons}")
        tried = step.attempt.tried if step.attempt is not None else set()
        if all(id_of(entry) in tried for entry in step.entries):
            tried.clear()  # All have failed: from the top again.
        placed = in_steps(step.entries, step.name_of, levels(ranking, step.group.fallback), tried)
        steps = [once(own) for own in placed]
        if step.job.chore is not None or ranking.shadowed:
            return steps
        affinity = step.group.affinity
        return affinity.first(affinity.key_of(step.job), steps, tried)

    def _record(self, step: _Step, ranking: Ranking) -> None:
        group, metadata, trace = step.group, metadata_of(step.kwargs), step.kwargs.get("litellm_trace_id")
        if step.attempt is not None:  # other deployments than it was ranked with: one request all the same
            step.attempt.ranking = ranking
            step.attempt.name_of.update(step.name_of)
        else:
            before = metadata.get(ATTEMPT)
            step.attempt = metadata[ATTEMPT] = Attempt(
                group.name,
                ranking,
                step.name_of,
                group.router.policy if ranking.decision is None else group.router.policy_of(ranking.decision),
                self.metrics,
                call_id=step.kwargs.get("litellm_call_id") or trace,
                log=self.settings.log_decisions,
                before=before if isinstance(before, Attempt) and before.trace == trace else None,
            )
            step.attempt.conversation, step.attempt.trace = step.job.messages, trace
            if ranking.shadowed and ranking.decision is not None:
                step.attempt.on_candidate = partial(group.router.answered, ranking.decision)
            key = None if step.job.chore is not None or ranking.shadowed else group.affinity.key_of(step.job)
            if key is not None:
                step.attempt.on_answer = partial(group.affinity.remember, key)
        write_metadata(metadata, as_record(group.name, ranking))

    def _give_up(self, model: str, entries: Entries, error: Exception) -> Steps:
        cause = cause_of(error)
        self.metrics.fallback(model, cause)
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" at {frame.filename}:{frame.lineno}" for frame in place)  # The message may quote the prompt.
        group = self.groups.get(model)
        if group is not None and group.forbids:
            message = "routing of %r failed and its constraints could not be checked: %s%s"
            self._log.log(logging.ERROR, f"{model} {cause} refused", message, model, cause, where)
            raise ForbiddenError(f"the constraints of {model!r} could not be checked ({cause})") from error
        message = "routing of %r failed, handed on as it came: %s%s"
        self._log.log(logging.WARNING, f"{model} {cause}", message, model, cause, where)
        return [list(entries)]


def cause_of(error: BaseException) -> str:
    """A short name of what went wrong, for counters."""
    if isinstance(error, TimeoutError):
        return "timeout"
    return "busy" if isinstance(error, ScorerBusyError) else type(error).__name__


def _attempt(model: str, conversation: Any, kwargs: dict[str, Any]) -> Attempt | None:
    """What is remembered of this request if it has failed before, with the deployment that has failed since."""
    metadata = metadata_of(kwargs)
    attempt = metadata.get(ATTEMPT)
    if not isinstance(attempt, Attempt) or (attempt.group, attempt.trace) != (model, kwargs.get("litellm_trace_id")):
        return None
    earlier = metadata.get("previous_models") or ()
    left_out = [*(kwargs.get("_excluded_deployment_ids") or ()), *(kwargs.get("_retry_skipped_deployment_ids") or ())]
    if not (earlier or left_out or "_target_order" in kwargs) or attempt.conversation != conversation:
        return None
    if attempt.returned:
        failed = [entry.get("deployment_id") for entry in earlier if isinstance(entry, Mapping)]
        last = {real_id(identifier) for identifier in attempt.returned[-1]}
        hit = last & {*failed, *left_out, id_of(metadata)} or last  # At one effort, so at all of them.
        attempt.tried |= {identifier for identifier in attempt.name_of if real_id(identifier) in hit}
    return attempt
