"""One group of deployments: its candidates, its router, and the decisions of a batch of its requests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from litellm_modelsat.deployments import (
    Deployment,
    keys_of,
    make_candidate,
    mean_candidate,
    read_deployment,
)
from litellm_modelsat.ranking import Ranking, id_of, rank, unscored
from litellm_modelsat.requests import Request
from litellm_modelsat.settings import WEIGHTS, GroupSettings, UnknownModels
from modelsat.candidates.candidate import Candidate
from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.request.constraints import Constraints, strike
from modelsat.request.messages import parse_messages
from modelsat.request.needs import find_needs
from modelsat.router.router import Router

if TYPE_CHECKING:
    from modelsat.inference.base import Scorer

logger = logging.getLogger("modelsat")

_UNROUTED = "(not routed)"


@dataclass(frozen=True, slots=True)
class Shared:
    """What the groups of one service have in common.

    Attributes:
        weights: Name or folder of a checkpoint.
        scorer: A scorer in place of the weights.
        timeout_ms: Longest wait for a decision.
        unknown_models: What to do with a deployment that has no profile.
    """

    weights: str = WEIGHTS
    scorer: Scorer | None = None
    timeout_ms: float = 250.0
    unknown_models: UnknownModels = "error"


@dataclass(frozen=True, slots=True)
class Job:
    """One request and the names of the candidates that are there to answer it."""

    request: Request
    names: frozenset[str]


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
        _check_deployments(name, settings, deployments, where)
        unknown = [entry for entry in deployments if not self._admit(entry)]
        self._admit_unknown(unknown, settings.unknown_models or shared.unknown_models)
        if settings.fallback is not None and settings.fallback not in self._candidates:
            raise ConfigurationError(
                f"{where}.fallback: {settings.fallback!r} is none of the group's candidates: {', '.join(self.names)}"
            )
        self._router = self._build()

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates' names."""
        return tuple(self._candidates)

    @property
    def forbids(self) -> bool:
        """Whether constraints forbid some candidates to some requests."""
        plain = Constraints().model_dump(exclude={"answer_tokens"})
        return any(entry.model_dump(exclude={"answer_tokens"}) != plain for entry in self._all_constraints())

    @property
    def router(self) -> Router:
        """What decides."""
        return self._router

    def names_of(self, deployments: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Candidate by deployment id. A deployment that was added since is admitted, without a profile at the mean."""
        found: dict[str, str] = {}
        for deployment in deployments:
            identifier = id_of(deployment)
            name = self._name_of.get(identifier)
            if name is None:
                name = self._adopt(deployment)
                self._name_of[identifier] = name
            found[identifier] = name
        return found

    def decide(self, jobs: Sequence[Job]) -> list[Ranking | BaseException]:
        """A ranking for every job; those with the same candidates are scored in one pass."""
        rankings: list[Ranking | BaseException] = [_NONE] * len(jobs)
        by_names: dict[frozenset[str], list[int]] = {}
        for position, job in enumerate(jobs):
            by_names.setdefault(job.names, []).append(position)
        for names, positions in by_names.items():
            for position, ranking in zip(positions, self._decide(names, [jobs[p] for p in positions]), strict=True):
                rankings[position] = ranking
        return rankings

    def without_scores(self, job: Job, cause: str) -> Ranking:
        """The order when nothing could be scored: constraints hold all the same."""
        return unscored(sorted(job.names), self._strike(job), cause, self.settings.fallback)

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
        decisions = router.route_batch(
            [job.request.messages for job in jobs],
            candidates=None if len(names) == len(router.names) else sorted(names),
            contexts=[job.request.context for job in jobs],
        )
        return [
            self.without_scores(job, (decision.error or "").partition(":")[0] or "RoutingError")
            if decision.fallback
            else rank(decision, router.policy)
            for job, decision in zip(jobs, decisions, strict=True)
        ]

    def _strike(self, job: Job) -> dict[str, str]:
        context = job.request.context
        try:
            turns = parse_messages(job.request.messages)
        except ModelSATError:
            turns = []  # What the operator forbids is forbidden whatever the messages are.
        needs = find_needs(turns, context)
        candidates = [self._candidates[name] for name in sorted(job.names)]
        struck: dict[str, str] = {}
        for constraints in self._all_constraints(context.constraints):
            struck.update(strike(candidates, needs, constraints))
        return struck

    def _all_constraints(self, asked: Constraints | None = None) -> list[Constraints]:
        """What holds without a decision: all but the price of a request, which takes an estimate."""
        given = [*self._router.constraints, *([asked] if asked is not None else [])] or [Constraints()]
        return [constraints.model_copy(update={"max_usd_per_request": None}) for constraints in given]

    def _admit(self, deployment: Deployment) -> bool:
        """Make ``deployment`` a candidate, or one with an equal candidate; false if nothing is known about it."""
        made = make_candidate(deployment, self.name, self.settings, self._where)
        if made is None:
            return False
        self._add(made, deployment)
        return True

    def _admit_unknown(self, unknown: Sequence[Deployment], how: UnknownModels) -> None:
        if not unknown:
            return
        names = ", ".join(entry.where for entry in unknown)
        if how == "error" or not self._candidates:
            raise ConfigurationError(
                f"{self._where}: no capability profile is known for {names}. Set model_info.modelsat.profile to the "
                "name of a known model (`modelsat models` lists them), or model_info.modelsat.benchmarks to "
                "figures, e.g. {MMLU: 0.71, GSM8K: 0.83}, or unknown_models: mean to rank it by the mean of its group"
                + (", which takes one known model at least" if how == "mean" else "")
            )
        known = list(self._candidates.values())
        for entry in unknown:
            logger.warning(
                "%s: %s has no capability profile: ranked by the mean of its group", self._where, entry.where
            )
            self._add(mean_candidate(entry, self.name, self.settings, known), entry)

    def _add(self, candidate: Candidate, deployment: Deployment) -> str:
        """Keep ``candidate`` under its name; deployments of one model in several regions become several candidates."""
        name = candidate.name
        there = self._candidates.get(name)
        if there is not None and not _same(there, candidate):
            if there.profile.digest != candidate.profile.digest:
                raise ConfigurationError(
                    f"{self._where}: {deployment.where} goes by the name {name!r} as another deployment with other "
                    "figures does: give each a model_info.modelsat.name"
                )
            name = f"{name}@{candidate.facts.region or deployment.model_name}"
        if name not in self._candidates:
            self._candidates[name] = Candidate(name, candidate.profile, candidate.facts)
        if deployment.id:
            self._name_of[deployment.id] = name
        return name

    def _adopt(self, entry: Mapping[str, Any]) -> str:
        """The candidate of a deployment met for the first time; builds the router anew if it is a new one."""
        with self._lock:
            deployment = read_deployment(entry, "deployment")
            made = make_candidate(deployment, self.name, self.settings, self._where)
            if made is None:
                made = mean_candidate(deployment, self.name, self.settings, list(self._candidates.values()))
            before = len(self._candidates)
            name = self._add(made, deployment)
            if len(self._candidates) > before:
                logger.info("%s: %s joined the group as %s", self._where, deployment.where, name)
                self._router = self._build()
            return name

    def _build(self) -> Router:
        try:
            constraints = Constraints.of(self.settings.constraints or {})
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}.constraints: {error}") from error
        try:
            return Router(
                list(self._candidates.values()),
                weights=self._shared.weights,
                policy=self.settings.given_policy,
                constraints=constraints,
                fallback=self.settings.fallback or _UNROUTED,
                scorer=self._shared.scorer,
            )
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}: {error}") from error


_NONE = Ranking(())


def _same(one: Candidate, other: Candidate) -> bool:
    """Whether two deployments are the same choice to a router."""
    return one.profile.digest == other.profile.digest and (one.facts.provider, one.facts.region) == (
        other.facts.provider,
        other.facts.region,
    )


def _check_deployments(name: str, settings: GroupSettings, deployments: Sequence[Deployment], where: str) -> None:
    if not deployments:
        raise ConfigurationError(
            f"{where}: no deployment goes by the name {name!r}: name a model_name of model_list, or a group_name of "
            "router_settings.routing_groups"
        )
    if len(deployments) < 2:
        raise ConfigurationError(
            f"{where}: the group has one deployment only, {deployments[0].where}: there is nothing to choose. Give a "
            f"second deployment the model_name {name!r}, or list several under router_settings.routing_groups"
        )
    if others := [entry for entry in deployments if not entry.generates]:
        raise ConfigurationError(
            f"{where}: {others[0].where} answers no prompts ({others[0].mode or 'auto router'}): leave the group out"
        )
    known = {key for entry in deployments for key in keys_of(entry, name)}
    if strangers := sorted(set(settings.models) - known):
        raise ConfigurationError(
            f"{where}.models.{strangers[0]}: no deployment of the group is called so; there are: "
            f"{', '.join(sorted(known))}"
        )
