"""Which deployments become which candidates of a group, and which groups can be routed at all."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

from litellm_modelsat.deployments import Deployment, keys_of, make_candidate, mean_candidate, settings_of
from litellm_modelsat.settings import GroupSettings, UnknownModels
from modelsat.candidates.candidate import Candidate
from modelsat.errors import ConfigurationError

logger = logging.getLogger("modelsat")


class Membership:
    """Makes candidates of a group's deployments.

    Args:
        name: The group.
        settings: Its settings.
        unknown: What a deployment becomes of which nothing is known.
        where: Path of the settings in the configuration, for messages.
    """

    def __init__(self, name: str, settings: GroupSettings, unknown: UnknownModels, where: str) -> None:
        self._name, self._settings, self._unknown, self._where = name, settings, unknown, where

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
            candidates: Those that the group has now.
            announced: Ids of deployments of which warnings were written.
            running: Requests are on their way: nothing raises, what is not known stands at the mean of its group.

        Raises:
            ConfigurationError: Nothing is known about a deployment, or two of different figures have one name.
        """
        found: dict[str, Candidate] = {}
        name_of: dict[str, str] = {}
        unknown: list[Deployment] = []
        for entry in deployments:
            made = make_candidate(entry, self._name, self._settings, self._where, estimates=self._unknown == "estimate")
            if made is None:
                unknown.append(entry)
                continue
            if entry.id not in announced:
                self._say_assumed(entry)
                self._say_estimated(entry, made)
            name_of[entry.id] = self._add(found, made, entry, running)
        if unknown:
            if not running:
                self._check_unknown(unknown, known=bool(found))
            known = list(found.values()) or list(candidates.values())
            for entry in unknown:
                if entry.id not in announced:
                    message = "%s: %s has no capability profile: ranked by the mean of its group"
                    logger.warning(message, self._where, entry.where)
                made = mean_candidate(entry, self._name, self._settings, known)
                name_of[entry.id] = self._add(found, made, entry, running)
        name_of.pop("", None)
        return found, name_of

    def _say_estimated(self, entry: Deployment, made: Candidate) -> None:
        if made.profile.estimated_from:
            message = "%s: nobody has measured %s: %s; model_info.modelsat.benchmarks takes its figures"
            logger.warning(message, self._where, entry.where, made.profile.provenance)

    def _say_assumed(self, entry: Deployment) -> None:
        said = settings_of(entry, self._name, self._settings)
        if entry.assumed is None or said.profile is not None or said.benchmarks is not None:
            return
        logger.warning(
            "%s: the name of %s does not say which model it is: assumed %r; set model_info.base_model, or "
            "model_info.modelsat.profile, to say so",
            self._where,
            entry.where,
            entry.assumed,
        )

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
        if there is not None and not _same(there, candidate):
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


def _same(one: Candidate, other: Candidate) -> bool:
    """Whether two deployments are the same choice to a router."""
    return one.profile.digest == other.profile.digest and (one.facts.provider, one.facts.region) == (
        other.facts.provider,
        other.facts.region,
    )


def check_deployments(name: str, settings: GroupSettings, deployments: Sequence[Deployment], where: str) -> None:
    """Check that there is something to choose from.

    Raises:
        ConfigurationError: There is not, or what the settings say of deployments is of none.
    """
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
    if wild := [entry for entry in deployments if entry.wildcard]:
        raise ConfigurationError(
            f"{where}: {wild[0].where} stands for no model of its own, the caller names it: leave the group out"
        )
    known = {key for entry in deployments for key in keys_of(entry, name)}
    if strangers := sorted(set(settings.models) - known):
        raise ConfigurationError(
            f"{where}.models.{strangers[0]}: no deployment of the group is called so; there are: "
            f"{', '.join(sorted(known))}"
        )
