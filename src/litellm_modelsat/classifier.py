"""A classifier for LiteLLM's complexity router: the tier of the model that the policy picks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from litellm_modelsat.configuration import load_scorer
from litellm_modelsat.deployments import Deployment, read_deployments
from litellm_modelsat.group import Group, Shared
from litellm_modelsat.metrics import Metrics
from litellm_modelsat.ranking import Ranking
from litellm_modelsat.records import log_ranking
from litellm_modelsat.requests import Job, Request
from litellm_modelsat.service import cause_of
from litellm_modelsat.settings import ROOT, GroupSettings, Settings, validated
from modelsat.errors import ConfigurationError
from modelsat.inference.batching import Batcher
from modelsat.request.context import RequestContext
from modelsat.router import tracing

logger = logging.getLogger("modelsat")

PATH = "litellm_modelsat.proxy.classifier"


class TierClassifier:
    """``classifier_plugin`` of ``auto_router/complexity_router``: scores the models of all tiers, returns a tier.

    Args:
        groups: The models of each router, by the router's name.
        tiers: Tier by model, for each router.
        settings: The general settings.
    """

    def __init__(self, groups: Mapping[str, Group], tiers: Mapping[str, Mapping[str, str]], settings: Settings) -> None:
        self.groups = dict(groups)
        self.metrics = Metrics()
        self._tiers = {name: dict(tiers) for name, tiers in tiers.items()}
        self._settings = settings
        self._batcher: Batcher[Job, Ranking] = Batcher(_decide, settings.batch, self.metrics.scored)

    def __deepcopy__(self, memo: Any) -> TierClassifier:
        """Copies share the network."""
        return self

    async def classify(self, context: Any) -> str | None:
        """The tier of the model that the policy picks; ``None``, so that LiteLLM falls back, if nothing can be scored.

        Args:
            context: LiteLLM's ``RoutingContext``.
        """
        name = self._router_of(context.candidate_models)
        if name is None:
            return None
        group = self.groups[name]
        messages = context.structured_messages or context.raw_messages
        asked = RequestContext(metadata=_plain(context.metadata), trace=tracing.caller())
        job = Job(Request(messages, asked), frozenset(group.names))
        try:
            ranking = await self._batcher(group, job, group.timeout_s)
        except Exception as error:
            ranking = group.without_scores(job, cause_of(error))
        self.metrics.ranked(name, ranking, group.router.policy.name)
        if self._settings.log_decisions:
            log_ranking(name, ranking)
        return None if ranking.decision is None else self._tiers[name].get(ranking.decision.model)

    def warmup(self) -> None:
        """Load the weights now.

        Raises:
            ConfigurationError: They cannot be used.
        """
        for group in self.groups.values():
            group.warmup()

    def _router_of(self, candidates: Sequence[str]) -> str | None:
        """The router whose tiers hold ``candidates``."""
        asked = set(candidates)
        fitting = [name for name, tiers in self._tiers.items() if set(tiers) == asked]
        return fitting[0] if fitting else None


def classifier_of(configuration: Mapping[str, Any], file: str | None) -> TierClassifier:
    """The classifier for every complexity router in ``configuration`` that names it.

    Settings of a router's group stand under ``litellm_settings.modelsat.groups``, by the router's ``model_name``.

    Raises:
        ConfigurationError: A tier's model has no deployment or no profile, or a setting is wrong.
    """
    section = configuration.get("litellm_settings")
    given = section.get("modelsat") if isinstance(section, Mapping) else None
    entries = [entry for entry in configuration.get("model_list") or [] if isinstance(entry, Mapping)]
    routers = {name: tiers for entry in entries for name, tiers in [_tiers_of(entry)] if tiers}
    given = {"groups": dict.fromkeys(routers), **(given if isinstance(given, Mapping) else {})}
    settings = validated(Settings, given, ROOT)
    deployments = read_deployments(entries)
    shared = Shared(settings.network, load_scorer(settings), settings.timeout_ms, settings.unknown_models)
    groups = {
        name: Group(
            name,
            settings.groups.get(name) or GroupSettings(),
            [_stand_in(model, tier, deployments, name) for model, tier in tiers.items()],
            shared,
            f"{ROOT}.groups.{name}",
        )
        for name, tiers in routers.items()
    }
    classifier = TierClassifier(groups, routers, settings)
    classifier.warmup()
    return classifier


def _tiers_of(entry: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Name and tier by model of a complexity router with this classifier; no tiers for every other deployment."""
    params = entry.get("litellm_params")
    config = params.get("complexity_router_config") if isinstance(params, Mapping) else None
    if not isinstance(config, Mapping) or config.get("classifier_plugin") != PATH:
        return "", {}
    tiers: dict[str, str] = {}
    for tier, models in (config.get("tiers") or {}).items():
        for model in models if isinstance(models, list) else [models]:
            tiers.setdefault(str(model), str(tier))  # A model of two tiers counts for the lower one.
    return str(entry.get("model_name")), tiers


def _stand_in(model: str, tier: str, deployments: Sequence[Deployment], router: str) -> Deployment:
    """The first deployment that a tier's model reaches, under that model's name."""
    found = next((entry for entry in deployments if entry.model_name == model), None)
    if found is None:
        raise ConfigurationError(
            f"model_list: tier {tier} of {router!r} names {model!r}, and no deployment has that model_name"
        )
    return replace(found, own=found.own.model_copy(update={"name": model}), spread=False)


def _plain(metadata: Any) -> dict[str, Any]:
    given = metadata if isinstance(metadata, Mapping) else {}
    return {str(key): value for key, value in given.items() if isinstance(value, (str, int, float))}


def _decide(key: Any, jobs: Sequence[Job]) -> Sequence[Ranking | BaseException]:
    group: Group = key
    return group.decide(jobs)
