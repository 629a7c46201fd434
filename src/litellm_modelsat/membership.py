"""Which deployments become which candidates of a group, and which groups have something to choose."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from litellm_modelsat.deployments import Deployment, known_profile, real_id
from litellm_modelsat.settings import GroupSettings, ModelSettings, UnknownModels, validated
from modelsat.candidates.candidate import Candidate, estimated
from modelsat.candidates.facts import ModelFacts
from modelsat.capability.efforts import split_effort
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.errors import ConfigurationError, ModelSATError

logger = logging.getLogger("modelsat")


class Membership:
    """Makes candidates of a group's deployments.

    Args:
        name: The group.
        settings: Its settings.
        unknown: What a deployment becomes of which nothing is known, where ``settings`` do not say.
        where: Path of the settings in the configuration, for messages.
    """

    def __init__(self, name: str, settings: GroupSettings, unknown: UnknownModels, where: str) -> None:
        self._name, self._settings, self._where = name, settings, where
        self._unknown = settings.unknown_models or unknown

    def admit(
        self,
        deployments: Iterable[Deployment],
        candidates: Mapping[str, Candidate],
        announced: Collection[str],
        running: bool = False,
    ) -> tuple[dict[str, Candidate], dict[str, str]]:
        """Candidates by name, and name by deployment id; equal candidates are one.

        Args:
            deployments: The group's deployments.
            candidates: The candidates that it has now.
            announced: Ids of deployments of which warnings were written.
            running: Requests are on their way: nothing raises, what is not known stands at the mean of its group.

        Raises:
            ConfigurationError: Nothing is known about a deployment, or two of different figures have one name.
        """
        found: dict[str, Candidate] = {}
        name_of: dict[str, str] = {}
        unknown: list[Deployment] = []
        for entry in deployments:
            made = self.candidate(entry)
            if made is None:
                unknown.append(entry)
                continue
            if entry.id not in announced:
                self._announce(entry, made)
            name_of[entry.id] = self._add(found, made, entry, running)
        if unknown and not running:
            self._check_unknown(unknown, known=bool(found))
        known = list(found.values()) or list(candidates.values())
        for entry in unknown:
            if entry.id not in announced:
                message = "%s: %s has no capability profile: ranked by the mean of its group"
                logger.warning(message, self._where, entry.where)
            name_of[entry.id] = self._add(found, self._at_mean(entry, known), entry, running)
        name_of.pop("", None)
        return found, name_of

    def candidate(self, deployment: Deployment) -> Candidate | None:
        """The candidate that ``deployment`` is; ``None`` if nothing is known about its model.

        Raises:
            ConfigurationError: What is said about it cannot be right.
        """
        said, name = self._said(deployment), self._candidate_name(deployment)
        profile = self._profile(deployment, name)
        if profile is None:
            return None
        try:
            facts = ModelFacts.of(dict(said.facts), "facts") if said.facts else ModelFacts()
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}: {deployment.where}: {error}") from error
        return Candidate(name, profile, facts.over(deployment.facts))

    def check(self, deployments: Sequence[Deployment]) -> None:
        """Check that there is something to choose from.

        Raises:
            ConfigurationError: There is not, or what the settings say of deployments is of none.
        """
        where = self._where
        if not deployments:
            raise ConfigurationError(
                f"{where}: no deployment goes by the name {self._name!r}: name a model_name of model_list, or a "
                "group_name of router_settings.routing_groups"
            )
        if len(deployments) < 2:
            raise ConfigurationError(
                f"{where}: the group has one deployment only, {deployments[0].where}: there is nothing to choose. Give "
                f"a second deployment the model_name {self._name!r}, or list several under "
                "router_settings.routing_groups"
            )
        if others := [entry for entry in deployments if not entry.generates]:
            raise ConfigurationError(
                f"{where}: {others[0].where} answers no prompts ({others[0].mode or 'auto router'}): leave the group "
                "out"
            )
        if wild := [entry for entry in deployments if entry.wildcard]:
            raise ConfigurationError(
                f"{where}: {wild[0].where} stands for no model of its own, the caller names it: leave the group out"
            )
        known = {key for entry in deployments for key in _keys_of(entry, self._name)}
        if strangers := sorted(set(self._settings.models) - known):
            raise ConfigurationError(
                f"{where}.models.{strangers[0]}: no deployment of the group is called so; there are: "
                f"{', '.join(sorted(known))}"
            )

    def without_choice(self, entries: Sequence[Deployment]) -> tuple[str | None, str | None]:
        """Why there is nothing to choose, or else who is not known, where that matters; ``None`` twice otherwise."""
        if others := [entry for entry in entries if not entry.generates]:
            return f"{others[0].where} answers no prompts ({others[0].mode or 'auto router'})", None
        if wild := [entry for entry in entries if entry.wildcard]:
            return f"the caller names the model of {wild[0].where}", None
        own_names = [self._said(entry).name for entry in entries]
        profiles = [self._profile(entry, own or entry.model) for entry, own in zip(entries, own_names, strict=True)]
        models = {
            own or (profile.digest if profile is not None else entry.base_model or entry.model)
            for entry, own, profile in zip(entries, own_names, profiles, strict=True)
        }
        places = {(entry.facts.provider, entry.facts.region) for entry in entries}
        if len(models) == 1 and (not self._settings.constraints or len(places) == 1):
            return f"its {len(entries)} deployments are one model, {entries[0].model!r}: LiteLLM balances them", None
        unknown = [entry.where for entry, profile in zip(entries, profiles, strict=True) if profile is None]
        if unknown and (self._unknown != "mean" or len(unknown) == len(entries)):
            return None, ", ".join(unknown)
        return None, None

    def _said(self, deployment: Deployment) -> ModelSettings:
        """What is said about ``deployment``: in the group's ``models`` first, then in its own ``model_info``."""
        for key in _keys_of(deployment, self._name):
            if key in self._settings.models:
                return self._settings.models[key].over(deployment.own)
        return deployment.own

    def _candidate_name(self, deployment: Deployment) -> str:
        member = deployment.model_name if deployment.model_name != self._name else ""
        own = self._said(deployment).name or member
        if own and deployment.spread:
            return f"{own}@{deployment.effort}"
        return own or str(_at_effort(deployment.model, deployment.effort))

    def _profile(self, deployment: Deployment, name: str) -> CapabilityProfile | None:
        """The capability of the model behind ``deployment``, whatever public name it is called by; ``None`` if unknown.

        With ``unknown_models: estimate`` that is what relatives, or the price, say of a model that nobody has measured.
        """
        said, effort, registry = self._said(deployment), deployment.effort, Registry.default()
        try:
            if said.benchmarks is not None:
                made = CapabilityProfile.from_benchmarks(name, said.benchmarks)
                return made.at_effort(effort) if deployment.spread else made
            if said.profile is not None:
                lent = registry.find(_at_effort(said.profile, effort) or said.profile)
                return lent if any(map(known_profile, deployment.names)) else lent.lent_to(deployment.model)
        except ModelSATError as error:
            raise ConfigurationError(f"{self._where}: {deployment.where}: {error}") from error
        known = next(filter(None, (known_profile(_at_effort(each, effort)) for each in deployment.names)), None)
        if known is not None or self._unknown != "estimate":
            return known
        guess = next(filter(None, (estimated(each, registry) for each in deployment.names if each)), None)
        return guess.at_effort(effort) if guess is not None and effort else guess

    def _at_mean(self, deployment: Deployment, known: Sequence[Candidate]) -> Candidate:
        """A candidate at the mean of ``known``: for every task the mean of those that have a figure."""
        figures: dict[str, list[float]] = {}
        for candidate in known:
            for statement in candidate.profile.statements:
                figures.setdefault(statement.task, []).append(statement.accuracy)
        means = {task: sum(values) / len(values) for task, values in figures.items()}
        name = self._candidate_name(deployment)
        return Candidate(name, CapabilityProfile.from_benchmarks(name, means), deployment.facts)

    def _announce(self, entry: Deployment, made: Candidate) -> None:
        """Warn of what a deployment is taken for without anybody having said so."""
        said = self._said(entry)
        if entry.assumed is not None and said.profile is None and said.benchmarks is None:
            logger.warning(
                "%s: the name of %s does not say which model it is: assumed %r; set model_info.base_model, or "
                "model_info.modelsat.profile, to say so",
                self._where,
                entry.where,
                entry.assumed,
            )
        if made.profile.estimated_from:
            message = "%s: nobody has measured %s: %s; model_info.modelsat.benchmarks takes its figures"
            logger.warning(message, self._where, entry.where, made.profile.provenance)

    def _check_unknown(self, unknown: Sequence[Deployment], known: bool) -> None:
        how = self._unknown
        if how == "mean" and known:
            return
        raise ConfigurationError(
            f"{self._where}: no capability profile is known for {', '.join(entry.where for entry in unknown)}. Set "
            "model_info.base_model or model_info.modelsat.profile to the name of a known model (`modelsat models` "
            "lists them), or model_info.modelsat.benchmarks to figures, e.g. {MMLU: 0.71, GSM8K: 0.83}, or "
            "unknown_models: mean to rank it by the mean of its group"
            + (", which takes one known model at least" if how == "mean" else "")
        )

    def _add(self, found: dict[str, Candidate], candidate: Candidate, entry: Deployment, running: bool) -> str:
        """Keep ``candidate`` under its name; deployments of one model in several regions become several candidates."""
        name = candidate.name
        there = found.get(name)
        if there is not None and _choice(there) != _choice(candidate):
            if there.profile.digest == candidate.profile.digest:
                name = f"{name}@{candidate.facts.region or entry.model_name}"
            elif running:
                name = f"{name}@{entry.id}"
            else:
                raise ConfigurationError(
                    f"{self._where}: {entry.where} goes by the name {name!r} as another deployment with other "
                    "figures does: give each a model_info.modelsat.name"
                )
        if name not in found:
            found[name] = Candidate(name, candidate.profile, candidate.facts)
        return name


def members_of(
    name: str, deployments: Sequence[Deployment], routing_groups: Mapping[str, Sequence[str]]
) -> list[Deployment]:
    """The deployments that a call of ``name`` may reach: of that ``model_name``, or else of the routing group."""
    own = [entry for entry in deployments if entry.model_name == name]
    members = routing_groups.get(name, ())
    return own or [entry for entry in deployments if entry.model_name in members]


def groups_with_a_choice(
    names: Sequence[str],
    deployments: Sequence[Deployment],
    routing_groups: Mapping[str, Sequence[str]],
    shared: Mapping[str, Any],
    unknown_models: Any,
    where: str,
) -> dict[str, dict[str, Any]]:
    """Settings by group, for those of ``names`` that can be routed; each of the others is named in the log.

    Key pools, replicas, wildcards and embeddings have nothing to choose. ``shared``, at the path ``where``, holds
    settings of all of these groups; what they say about ``models`` goes to the groups that have them.

    Raises:
        ConfigurationError: ``shared`` is wrong, or says something about a model that no group has.
    """
    settings = validated(GroupSettings, shared, where)
    members = {name: members_of(name, deployments, routing_groups) for name in names}
    several = {name: entries for name, entries in members.items() if len(entries) > 1}
    known = {name: {key for entry in entries for key in _keys_of(entry, name)} for name, entries in several.items()}
    if several and (strangers := set(settings.models) - set().union(*known.values())):
        raise ConfigurationError(
            f"{where}.models.{min(strangers)}: no deployment of a group is called so; there are: "
            f"{', '.join(sorted(set().union(*known.values())))}"
        )
    found: dict[str, dict[str, Any]] = {}
    for name, entries in several.items():
        own = dict(shared)
        if said := own.get("models"):
            own["models"] = {key: value for key, value in said.items() if key in known[name]}
        membership = Membership(name, validated(GroupSettings, own, where), unknown_models, where)
        nothing, unknown = membership.without_choice(entries)
        if nothing:
            logger.info("%r is left alone: %s", name, nothing)
        elif unknown:
            logger.warning(
                "%r is left alone: no capability profile is known for %s: set model_info.base_model, or "
                "model_info.modelsat.profile or .benchmarks, to have the group routed",
                name,
                unknown,
            )
        else:
            found[name] = own
    return found


def _keys_of(deployment: Deployment, group: str) -> list[str]:
    """The names that the group's ``models`` may call ``deployment`` by."""
    names = [real_id(deployment.id), deployment.model_name if deployment.model_name != group else "", deployment.model]
    return [name for name in names if name]


def _at_effort(name: str | None, effort: str) -> str | None:
    return f"{split_effort(name)[0]}@{effort}" if name and effort else name


def _choice(candidate: Candidate) -> tuple[str, str | None, str | None]:
    """What distinguishes one deployment from another for a router."""
    return candidate.profile.digest, candidate.facts.provider, candidate.facts.region
