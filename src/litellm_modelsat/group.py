"""One group of deployments: its candidates, its router, and the decisions of a batch of its requests."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from litellm_modelsat.affinity import Affinity
from litellm_modelsat.agents import function_of, housekeeping, stuck
from litellm_modelsat.deployments import Deployment, read_deployment, read_part
from litellm_modelsat.efforts import real_id, spread
from litellm_modelsat.membership import Membership, check_deployments
from litellm_modelsat.parameters import refusals
from litellm_modelsat.ranking import Ranking, behind, escalated, id_of, rank, unscored
from litellm_modelsat.requests import Job, Request, context_of
from litellm_modelsat.settings import GroupSettings, UnknownModels
from modelsat.candidates.candidate import Candidate
from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.request.constraints import Constraints
from modelsat.request.context import RequestContext
from modelsat.request.costs import expected_costs
from modelsat.request.envelopes import Envelope, EnvelopeReader
from modelsat.request.exclusion import Exclusion
from modelsat.request.messages import parse_messages
from modelsat.request.needs import find_needs
from modelsat.request.routing_rules import RoutingRules
from modelsat.router.arms import ELSEWHERE
from modelsat.router.decision import Failure, RoutingDecision
from modelsat.router.router import Router
from modelsat.storage.checkpoint import SHIPPED
from modelsat.validation import plain

if TYPE_CHECKING:
    from modelsat.feedback import Feedback
    from modelsat.inference.base import Scorer

logger = logging.getLogger("modelsat")

LOOK_S = 10.0
"""Seconds between two looks at which deployments the router still has."""
CHORE_TOKENS = 200.0
"""Tokens that an answer to housekeeping is expected to have."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the groups of one service have in common.

    Attributes:
        weights: Name or folder of a checkpoint.
        scorer: A scorer in place of the weights.
        timeout_ms: Longest wait for a decision.
        unknown_models: What to do with a deployment that has no profile.
        listed: The router's deployments as they are now; ``None`` if they never change.
        feedback: Where decisions are kept; it corrects the scores of all groups.
        cache: Whether the scores of a text are kept for ten minutes.
        envelopes: Tags around text in user turns, besides those that are known.
        rules: Who may answer which requests, in every group.
    """

    weights: str = SHIPPED
    scorer: Scorer | None = None
    timeout_ms: float = 250.0
    unknown_models: UnknownModels = "estimate"
    listed: Callable[[], Iterable[Mapping[str, Any]]] | None = None
    feedback: Feedback | None = None
    cache: bool = True
    envelopes: tuple[Envelope, ...] = ()
    rules: RoutingRules | None = None


@dataclass(frozen=True, slots=True)
class _Member:
    id: str
    deployment: Deployment


class Group:
    """The deployments that are called by one name, and how to choose among them. Thread-safe.

    Args:
        name: The name it is called by.
        settings: How it is routed.
        deployments: Its deployments.
        shared: What it shares with other groups.
        where: Path of its settings in the configuration, for messages.

    Raises:
        ConfigurationError: Fewer than two deployments, one that generates nothing, one without a profile, or settings
            that cannot be right; the message names the path.
    """

    def __init__(
        self, name: str, settings: GroupSettings, deployments: Sequence[Deployment], shared: Shared, where: str
    ) -> None:
        self.name = name
        self.settings = settings
        self.timeout_s = (settings.timeout_ms or shared.timeout_ms) / 1000.0
        self._shared = shared
        self._where = where
        self._lock = threading.Lock()
        self._name_of: dict[str, str] = {}
        self._candidates: dict[str, Candidate] = {}
        self._called = {entry.model_name for entry in deployments}
        self._looked = time.monotonic()
        check_deployments(name, settings, deployments, where)
        self._members = [_Member(entry.id, entry) for entry in deployments]
        self._read: dict[str, dict[str, Any]] = {}
        unknown = settings.unknown_models or shared.unknown_models
        self._membership = Membership(name, settings, unknown, where)
        self._candidates, self._name_of = self._membership.admit(deployments, {}, ())
        if settings.fallback is not None and settings.fallback not in self._candidates:
            raise ConfigurationError(
                f"{where}.fallback: {settings.fallback!r} is none of the group's candidates: {', '.join(self.names)}"
            )
        self._router = self._build(self._candidates)
        self.affinity = Affinity(self._router.policy, EnvelopeReader(shared.envelopes))
        chores = settings.housekeeping if settings.shadow is None else False  # a shadow's answers are the user's choice
        self._housekeeping = function_of(chores, housekeeping, f"{where}.housekeeping")
        self._stuck = function_of(settings.escalation, stuck, f"{where}.escalation")

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates' names."""
        return tuple(self._candidates)

    def has(self, deployment_id: str) -> bool:
        """Whether a deployment, by LiteLLM's id, is one of the group's."""
        return any(real_id(identifier) == deployment_id for identifier in self._name_of)

    @property
    def fallback(self) -> str | None:
        """Candidate that comes first when routing itself fails; ``None`` where LiteLLM's own strategy chooses."""
        return self.settings.fallback if self.settings.shadow is None else _shadow(self.settings.shadow, None)

    @property
    def forbids(self) -> bool:
        """Whether constraints forbid some candidates to some requests."""
        return any(plain(rule, ["answer_tokens"]) for rule in self._router.constraints)

    @property
    def router(self) -> Router:
        """The router that decides."""
        return self._router

    def names_of(self, deployments: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Candidate by deployment id. A deployment that was added since is admitted, without a profile at the mean."""
        known = self._read
        if time.monotonic() - self._looked > LOOK_S or any(
            known.get(id_of(entry)) != read_part(entry) for entry in deployments
        ):
            self._look(deployments)
        return {identifier: self._name_of[identifier] for identifier in map(id_of, deployments)}

    def job(
        self,
        conversation: Any,
        deployments: Sequence[Mapping[str, Any]],
        name_of: Mapping[str, str],
        kwargs: Mapping[str, Any],
    ) -> Job:
        """One request, with what has to be known before it is scored.

        Args:
            conversation: What the model reads.
            deployments: Who is there.
            name_of: Candidate by deployment id.
            kwargs: The request, as LiteLLM hands it on.
        """
        return Job(
            Request(conversation, context_of(kwargs)),
            frozenset(name_of.values()),
            refusals(deployments, name_of, kwargs),
            self._housekeeping(conversation, kwargs) if self._housekeeping is not None else None,
            self._stuck(conversation) if self._stuck is not None else 0,
        )

    def decide(self, jobs: Sequence[Job]) -> list[Ranking | BaseException]:
        """A ranking for every job; those with the same candidates are scored in one pass."""
        rankings: list[Ranking | BaseException] = [_NONE] * len(jobs)
        by_names: dict[frozenset[str], list[int]] = {}
        for position, job in enumerate(jobs):
            if job.chore is not None:
                rankings[position] = self._keep_house(job, job.chore)
            else:
                by_names.setdefault(job.names.difference(job.unfit), []).append(position)
        for names, positions in by_names.items():
            for position, ranking in zip(positions, self._decide(names, [jobs[p] for p in positions]), strict=True):
                job = jobs[position]
                unfit = {**job.unfit, **self._exclusions(job, job.unfit)}
                efforts = {name: candidate.effort for name, candidate in self._candidates.items()} if job.rungs else {}
                rankings[position] = behind(escalated(ranking, job.rungs, efforts), unfit)
        return rankings

    def without_scores(self, job: Job, cause: str) -> Ranking:
        """The order when nothing could be scored: constraints hold all the same."""
        excluded = {**job.unfit, **self._exclusions(job, job.names)}
        names = sorted(job.names.intersection(self._router.names))
        return unscored(names, excluded, cause, self.fallback)

    def _context(self, job: Job) -> RequestContext:
        """What comes with a request, with the group's name for rules and the feedback store."""
        context = job.request.context
        return replace(context, metadata={"group": self.name, **context.metadata})

    def _exclusions(self, job: Job, names: Collection[str]) -> dict[str, Exclusion]:
        """Who of ``names`` cannot or must not answer, as constraints and needs say."""
        router, request = self._router, job.request
        here = sorted(set(names).intersection(router.names))
        excluded = router.exclusions(request.messages, candidates=here, context=self._context(job)) if here else {}
        return {name: why for name, why in excluded.items() if name in here}

    def _keep_house(self, job: Job, chore: str) -> Ranking:
        """The cheapest that can take it first; the network is not asked."""
        ranking = self.without_scores(job, "housekeeping")
        known = self._candidates
        able = [known[name] for name in ranking.names if name not in ranking.excluded and name in known]
        if not able:
            return ranking
        needs = find_needs(parse_messages(job.request.messages), job.request.context)
        found = expected_costs(able, needs, [CHORE_TOKENS] * len(able))
        costs = {entry.name: cost.total for entry, cost in zip(able, found, strict=True) if cost is not None}
        names = sorted((entry.name for entry in able), key=lambda name: (costs.get(name, math.inf), name))
        decision = RoutingDecision(
            model=names[0],
            effort=known[names[0]].effort,
            excluded=ranking.excluded,
            policy="housekeeping",
            reason=f"a coding agent's housekeeping ({chore}): the cheapest that can take it",
            costs=costs,
            versions=self._router.versions,
        )
        return replace(ranking, names=tuple(dict.fromkeys([*names, *ranking.names])), decision=decision, cause=None)

    def warmup(self) -> None:
        """Load the weights, so that the first request is as quick as all others.

        Raises:
            ConfigurationError: The weights or the scorer cannot be used.
        """
        try:
            self._router.warmup()
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}: {error}") from error

    def _decide(self, names: frozenset[str], jobs: Sequence[Job]) -> list[Ranking]:
        router = self._router
        outcomes = router.route_each(
            [job.request.messages for job in jobs],
            candidates=None if len(names) == len(router.names) else sorted(names),
            contexts=[self._context(job) for job in jobs],
        )
        return [
            rank(outcome, router.policy_of(outcome))
            if isinstance(outcome, RoutingDecision)
            else self.without_scores(job, Failure.of(outcome).kind)
            for job, outcome in zip(jobs, outcomes, strict=True)
        ]

    def _look(self, present: Sequence[Mapping[str, Any]]) -> None:
        """Read what was added or changed in place, and forget what the router has no more; the weights stay."""
        with self._lock:
            self._looked = time.monotonic()
            listed = spread(self._shared.listed() if self._shared.listed is not None else ())
            read = dict(self._read)
            before = {member.id: member.deployment for member in self._members}
            members = [] if listed else [member for member in self._members if not member.id]
            own = [entry for entry in listed if entry.get("model_name") in self._called or id_of(entry) in before]
            entries = {id_of(entry): entry for entry in [*own, *present]}
            for identifier, entry in entries.items():
                part = read_part(entry)
                if read.get(identifier) != part:
                    before[identifier] = self._read_entry(entry)
                read[identifier] = part
            kept = [] if listed else [member.id for member in self._members if member.id]
            ids = dict.fromkeys([*kept, *entries])
            members += [_Member(identifier, before[identifier]) for identifier in ids]
            deployments = [member.deployment for member in members]
            candidates, name_of = self._membership.admit(deployments, self._candidates, self._name_of, running=True)
            if candidates != self._candidates:
                logger.info("%s: the group's deployments have changed: %s", self._where, ", ".join(candidates))
                self._router = self._build(candidates)
            self._members, self._candidates, self._name_of = members, candidates, name_of
            self._read = {identifier: part for identifier, part in read.items() if identifier in ids}

    def _read_entry(self, entry: Mapping[str, Any]) -> Deployment:
        """A deployment as it is now; what is said about it wrongly is left out, for requests are on their way."""
        try:
            return read_deployment(entry, "deployment")
        except ConfigurationError as error:
            logger.error("%s: %s; what it says is left out", self._where, error)
            info = {key: value for key, value in read_part(entry)["model_info"].items() if key != "modelsat"}
            return read_deployment({**entry, "model_info": info}, "deployment")

    def _build(self, candidates: Mapping[str, Candidate]) -> Router:
        try:
            constraints = Constraints.of(self.settings.constraints or {})
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}.constraints: {error}") from error
        try:
            return Router(
                list(candidates.values()),
                weights=self._shared.weights,
                policy=self.settings.given_policy,
                constraints=constraints,
                scorer=self._shared.scorer,
                feedback=self._shared.feedback,
                cache=self._shared.cache,
                envelopes=self._shared.envelopes,
                rules=self._shared.rules,
                shadow=_shadow(self.settings.shadow, ELSEWHERE),
                canary=self.settings.canary,
                experiment=self.settings.experiment,
            )
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}: {error}") from error


_NONE = Ranking(())
LITELLM = "litellm"
"""As ``shadow``: LiteLLM's own strategy chooses who answers."""


def _shadow(given: str | None, litellm: str | None) -> str | None:
    return litellm if given == LITELLM else given
