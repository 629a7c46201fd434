"""One group of deployments: its candidates, its router, and the decisions of a batch of its requests."""

from __future__ import annotations

import importlib
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from litellm_modelsat.deployments import Deployment, id_of, read_deployment, read_part, real_id, refusals, spread
from litellm_modelsat.membership import Membership
from litellm_modelsat.ranking import Affinity, Ranking, behind, escalated, rank, unscored
from litellm_modelsat.requests import Job, context_of, housekeeping, stuck
from litellm_modelsat.settings import GroupSettings, Settings
from modelsat.candidates.candidate import Candidate
from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.request.constraints import Constraints
from modelsat.request.context import RequestContext
from modelsat.request.costs import Tariff
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.exclusion import Exclusion
from modelsat.request.messages import parse_messages
from modelsat.request.needs import find_needs
from modelsat.router.arms import ELSEWHERE
from modelsat.router.decision import Failure, RoutingDecision
from modelsat.router.router import Router
from modelsat.validation import plain

if TYPE_CHECKING:
    from modelsat.feedback import Feedback
    from modelsat.inference.base import Scorer

logger = logging.getLogger("modelsat")

LOOK_S = 10.0
"""Seconds between two looks at which deployments the router still has."""
CHORE_TOKENS = 200.0
"""Tokens that an answer to housekeeping is expected to have."""
LITELLM = "litellm"
"""As ``shadow``: LiteLLM's own strategy chooses who answers."""


class Group:
    """The deployments that are called by one name, and how to choose among them. Thread-safe.

    Args:
        name: The name it is called by.
        settings: The general settings, those of the group among them.
        deployments: Its deployments.
        where: Path of the group's settings in the configuration, for messages.
        scorer: A scorer in place of the weights.
        feedback: Where decisions are kept; it corrects the scores.
        listed: The router's deployments as they are now; ``None`` if they never change.

    Raises:
        ConfigurationError: Fewer than two deployments, one that generates nothing, one without a profile, or settings
            that cannot be right; the message names the path.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        deployments: Sequence[Deployment],
        where: str,
        *,
        scorer: Scorer | None = None,
        feedback: Feedback | None = None,
        listed: Callable[[], Iterable[Mapping[str, Any]]] | None = None,
    ) -> None:
        self.name = name
        self._general, self._weights = settings, settings.network
        self._settings = own = settings.groups.get(name) or GroupSettings()
        self._scorer, self._feedback, self._listed, self._where = scorer, feedback, listed, where
        self.timeout_s = (own.timeout_ms or settings.timeout_ms) / 1000.0
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._read: dict[str, dict[str, Any]] = {}
        self._called = {entry.model_name for entry in deployments}
        self._deployments = list(deployments)
        self._membership = Membership(name, own, settings.unknown_models, where)
        self._membership.check(deployments)
        self._candidates, self._name_of = self._membership.admit(deployments, {}, ())
        if own.fallback is not None and own.fallback not in self._candidates:
            raise ConfigurationError(
                f"{where}.fallback: {own.fallback!r} is none of the group's candidates: {', '.join(self.names)}"
            )
        self.router = self._build(self._candidates)
        self.affinity = Affinity(self.router.policy, EnvelopeReader(settings.envelopes))
        chores = own.housekeeping if own.shadow is None else False  # a shadow's answers are the user's choice
        self._housekeeping = function_of(chores, housekeeping, f"{where}.housekeeping")
        self._stuck = function_of(own.escalation, stuck, f"{where}.escalation")

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
        shadow = self._settings.shadow
        return self._settings.fallback if shadow is None else None if shadow == LITELLM else shadow

    @property
    def forbids(self) -> bool:
        """Whether constraints forbid some candidates to some requests."""
        return any(plain(rule, ["answer_tokens"]) for rule in self.router.constraints)

    def warmup(self) -> None:
        """Load the weights, so that the first request is as quick as all others.

        Raises:
            ConfigurationError: The weights or the scorer cannot be used.
        """
        try:
            self.router.warmup()
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}: {error}") from error

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
        kwargs: dict[str, Any],
    ) -> Job:
        """One request, with what has to be known before it is scored; ``name_of``: candidate by deployment id."""
        return Job(
            conversation,
            context_of(kwargs),
            frozenset(name_of.values()),
            refusals(deployments, name_of, kwargs),
            self._housekeeping(conversation, kwargs) if self._housekeeping is not None else None,
            self._stuck(conversation) if self._stuck is not None else 0,
        )

    def decide(self, jobs: Sequence[Job]) -> list[Ranking]:
        """A ranking for every job; those with the same candidates are scored in one pass."""
        rankings: dict[int, Ranking] = {}
        by_names: dict[frozenset[str], list[int]] = {}
        for position, job in enumerate(jobs):
            if job.chore is not None:
                rankings[position] = self._keep_house(job, job.chore)
            else:
                by_names.setdefault(job.names.difference(job.unfit), []).append(position)
        for names, positions in by_names.items():
            for position, ranking in zip(positions, self._route(names, [jobs[p] for p in positions]), strict=True):
                job = jobs[position]
                unfit = {**job.unfit, **self._exclusions(job, job.unfit)}
                efforts = {name: candidate.effort for name, candidate in self._candidates.items()} if job.rungs else {}
                rankings[position] = behind(escalated(ranking, job.rungs, efforts), unfit)
        return [rankings[position] for position in range(len(jobs))]

    def without_scores(self, job: Job, cause: str) -> Ranking:
        """The order when nothing could be scored: constraints hold all the same."""
        excluded = {**job.unfit, **self._exclusions(job, job.names)}
        names = sorted(job.names.intersection(self.router.names))
        return unscored(names, excluded, cause, self.fallback)

    def _route(self, names: frozenset[str], jobs: Sequence[Job]) -> list[Ranking]:
        router = self.router
        outcomes = router.route_each(
            [job.messages for job in jobs],
            candidates=None if len(names) == len(router.names) else sorted(names),
            contexts=[self._context(job) for job in jobs],
        )
        return [
            rank(outcome, router.policy_of(outcome))
            if isinstance(outcome, RoutingDecision)
            else self.without_scores(job, Failure.of(outcome).kind)
            for job, outcome in zip(jobs, outcomes, strict=True)
        ]

    def _context(self, job: Job) -> RequestContext:
        """What comes with a request, with the group's name for rules and the feedback store."""
        return replace(job.context, metadata={"group": self.name, **job.context.metadata})

    def _exclusions(self, job: Job, names: Collection[str]) -> dict[str, Exclusion]:
        """Who of ``names`` cannot or must not answer, as constraints and needs say."""
        here = sorted(set(names).intersection(self.router.names))
        if not here:
            return {}
        excluded = self.router.exclusions(job.messages, candidates=here, context=self._context(job))
        return {name: why for name, why in excluded.items() if name in here}

    def _keep_house(self, job: Job, chore: str) -> Ranking:
        """The cheapest that can take it first; the network is not asked."""
        ranking = self.without_scores(job, "housekeeping")
        known = self._candidates
        able = [known[name] for name in ranking.names if name not in ranking.excluded and name in known]
        if not able:
            return ranking
        needs = find_needs(parse_messages(job.messages), job.context)
        found = {entry.name: Tariff.of(entry).cost(needs, CHORE_TOKENS) for entry in able}
        costs = {name: cost.total for name, cost in found.items() if cost is not None}
        names = sorted((entry.name for entry in able), key=lambda name: (costs.get(name, math.inf), name))
        decision = RoutingDecision(
            model=names[0],
            effort=known[names[0]].effort,
            excluded=ranking.excluded,
            policy="housekeeping",
            reason=f"a coding agent's housekeeping ({chore}): the cheapest that can take it",
            costs=costs,
            versions=self.router.versions,
        )
        return replace(ranking, names=tuple(dict.fromkeys([*names, *ranking.names])), decision=decision, cause=None)

    def _look(self, present: Sequence[Mapping[str, Any]]) -> None:
        """Read what was added or changed in place, and forget what the router has no more; the weights stay."""
        with self._lock:
            self._looked = time.monotonic()
            listed = spread(self._listed() if self._listed is not None else ())
            read = dict(self._read)
            before = {entry.id: entry for entry in self._deployments}
            own = [entry for entry in listed if entry.get("model_name") in self._called or id_of(entry) in before]
            entries = {id_of(entry): entry for entry in [*own, *present]}
            for identifier, entry in entries.items():
                part = read_part(entry)
                if read.get(identifier) != part:
                    before[identifier] = self._read_entry(entry)
                read[identifier] = part
            nameless = [] if listed else [entry for entry in self._deployments if not entry.id]
            kept = [] if listed else [entry.id for entry in self._deployments if entry.id]
            ids = dict.fromkeys([*kept, *entries])
            deployments = [*nameless, *(before[identifier] for identifier in ids)]
            candidates, name_of = self._membership.admit(deployments, self._candidates, self._name_of, running=True)
            if candidates != self._candidates:
                logger.info("%s: the group's deployments have changed: %s", self._where, ", ".join(candidates))
                self.router = self._build(candidates)
            self._deployments, self._candidates, self._name_of = deployments, candidates, name_of
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
        own, general = self._settings, self._general
        try:
            constraints = Constraints.of(own.constraints or {})
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}.constraints: {error}") from error
        try:
            return Router(
                list(candidates.values()),
                weights=self._weights,
                policy=own.given_policy,
                constraints=constraints,
                scorer=self._scorer,
                feedback=self._feedback,
                cache=general.cache,
                envelopes=general.envelopes,
                rules=general.rules,
                shadow=ELSEWHERE if own.shadow == LITELLM else own.shadow,
                canary=own.canary,
                experiment=own.experiment,
            )
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}: {error}") from error


def function_of(given: bool | str, default: Callable[..., Any], where: str) -> Callable[..., Any] | None:
    """``default`` for true, ``None`` for false, or the function at a dotted path.

    Raises:
        ConfigurationError: There is no such function.
    """
    if isinstance(given, bool):
        return default if given else None
    module, _, name = given.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise ConfigurationError(
            f"{where}: cannot load {given!r} ({type(error).__name__}: {error}): write true, false, or the dotted path "
            "of a function"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"{where}: {given!r} is not a function")
    return found  # type: ignore[no-any-return]
