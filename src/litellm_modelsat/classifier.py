"""A classifier for LiteLLM's complexity router: the tier of the model that the policy picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from litellm_modelsat.configuration import CLASSIFIER, load_scorer, mapping_at
from litellm_modelsat.deployments import Deployment, read_deployments
from litellm_modelsat.group import Group
from litellm_modelsat.ranking import Ranking
from litellm_modelsat.records import Metrics, log_ranking
from litellm_modelsat.requests import Job
from litellm_modelsat.service import cause_of
from litellm_modelsat.settings import ROOT, Settings, validated
from modelsat.errors import ConfigurationError
from modelsat.inference.batching import Batcher
from modelsat.request.context import RequestContext
from modelsat.router import tracing


class TierClassifier:
    """``classifier_plugin`` of ``auto_router/complexity_router``: scores the models of all tiers, returns a tier.

    ``groups`` hold the models of each router, by the router's name, ``tiers`` their tiers, by router and model.
    """

    def __init__(self, groups: Mapping[str, Group], tiers: Mapping[str, Mapping[str, str]], settings: Settings) -> None:
        self.groups = groups
        self.metrics = Metrics()
        self._tiers = tiers
        self._settings = settings
        self._batcher: Batcher[Job, Ranking] = Batcher(cast("Any", Group.decide), settings.batch, self.metrics.scored)

    def __deepcopy__(self, memo: Any) -> TierClassifier:
        """Copies share the network."""
        return self

    async def classify(self, context: Any) -> str | None:
        """The tier of the model that the policy picks; ``None``, so that LiteLLM falls back, if nothing can be scored.

        Args:
            context: LiteLLM's ``RoutingContext``.
        """
        asked = set(context.candidate_models)
        name = next((name for name, tiers in self._tiers.items() if set(tiers) == asked), None)
        if name is None:
            return None
        group = self.groups[name]
        messages = context.structured_messages or context.raw_messages
        given = mapping_at(context.metadata).items()
        metadata = {str(key): value for key, value in given if isinstance(value, (str, int, float))}
        job = Job(messages, RequestContext(metadata=metadata, trace=tracing.caller()), frozenset(group.names))
        try:
            ranking = await self._batcher(group, job, group.timeout_s)
        except Exception as error:
            ranking = group.without_scores(job, cause_of(error))
        self.metrics.ranked(name, ranking, group.router.policy.name)
        if self._settings.log_decisions:
            log_ranking(name, ranking)
        return None if ranking.decision is None else self._tiers[name].get(ranking.decision.model)


def classifier_of(configuration: Mapping[str, Any]) -> TierClassifier:
    """The classifier for every complexity router in ``configuration`` that names it.

    Settings of a router's group stand under ``litellm_settings.modelsat.groups``, by the router's ``model_name``.

    Raises:
        ConfigurationError: A tier's model has no deployment or no profile, or a setting is wrong.
    """
    entries = [entry for entry in configuration.get("model_list") or [] if isinstance(entry, Mapping)]
    routers = {name: tiers for entry in entries for name, tiers in [_tiers_of(entry)] if tiers}
    given = mapping_at(configuration, "litellm_settings", "modelsat")
    settings = validated(Settings, {"groups": dict.fromkeys(routers), **given}, ROOT)
    deployments = read_deployments(entries)
    scorer = load_scorer(settings)
    groups = {
        name: Group(
            name,
            settings,
            [_stand_in(model, tier, deployments, name) for model, tier in tiers.items()],
            f"{ROOT}.groups.{name}",
            scorer=scorer,
        )
        for name, tiers in routers.items()
    }
    for group in groups.values():
        group.warmup()
    return TierClassifier(groups, routers, settings)


def _tiers_of(entry: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Name and tier by model of a complexity router with this classifier; no tiers for every other deployment."""
    config = mapping_at(entry, "litellm_params", "complexity_router_config")
    if config.get("classifier_plugin") != CLASSIFIER:
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
