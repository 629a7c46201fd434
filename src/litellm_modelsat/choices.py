"""Which groups have something to choose: key pools, replicas, wildcards and embeddings are left alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from litellm_modelsat.deployments import Deployment, estimate_of, keys_of, profile_of, settings_of
from litellm_modelsat.settings import GroupSettings, validated
from modelsat.errors import ConfigurationError

logger = logging.getLogger("modelsat")


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
    unknown_models: str,
    where: str,
) -> dict[str, dict[str, Any]]:
    """Settings by group, for those of ``names`` that can be routed; each of the others is named in the log.

    Args:
        names: Names that several deployments may go by.
        deployments: All deployments.
        routing_groups: Names of models by name of the routing group.
        shared: Settings of all of these groups; what they say about ``models`` goes to the groups that have them.
        unknown_models: See :class:`~litellm_modelsat.settings.GroupSettings`.
        where: Path of ``shared``, for messages.

    Raises:
        ConfigurationError: ``shared`` is wrong, or says something about a model that no group has.
    """
    settings = validated(GroupSettings, shared, where)
    members = {name: members_of(name, deployments, routing_groups) for name in names}
    several = {name: entries for name, entries in members.items() if len(entries) > 1}
    known = {name: {key for entry in entries for key in keys_of(entry, name)} for name, entries in several.items()}
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
        nothing, unknown = _without_choice(name, entries, validated(GroupSettings, own, where), unknown_models, where)
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


def _without_choice(
    name: str, entries: Sequence[Deployment], settings: GroupSettings, unknown_models: str, where: str
) -> tuple[str | None, str | None]:
    """Why there is nothing to choose, or else who is not known, where that matters; ``None`` and ``None`` otherwise."""
    if others := [entry for entry in entries if not entry.generates]:
        return f"{others[0].where} answers no prompts ({others[0].mode or 'auto router'})", None
    if wild := [entry for entry in entries if entry.wildcard]:
        return f"the caller names the model of {wild[0].where}", None
    said = [settings_of(entry, name, settings) for entry in entries]
    how = settings.unknown_models or unknown_models
    profiles = [
        profile_of(entry, own, own.name or entry.model, where) or (estimate_of(entry) if how == "estimate" else None)
        for entry, own in zip(entries, said, strict=True)
    ]
    models = {
        own.name or (profile.digest if profile is not None else entry.base_model or entry.model)
        for entry, own, profile in zip(entries, said, profiles, strict=True)
    }
    places = {(entry.facts.provider, entry.facts.region) for entry in entries}
    if len(models) == 1 and (not settings.constraints or len(places) == 1):
        return f"its {len(entries)} deployments are one model, {entries[0].model!r}: LiteLLM balances them", None
    unknown = [entry.where for entry, profile in zip(entries, profiles, strict=True) if profile is None]
    if unknown and (how != "mean" or len(unknown) == len(entries)):
        return None, ", ".join(unknown)
    return None, None
