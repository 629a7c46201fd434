"""From LiteLLM's deployments to modelsat's candidates: name, capability profile, price and limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litellm_modelsat.efforts import SPREAD, mapping_of, real_id, spread
from litellm_modelsat.parameters import takes_effort
from litellm_modelsat.settings import GroupSettings, ModelSettings, validated
from modelsat.candidates.candidate import Candidate, estimated
from modelsat.candidates.facts import ModelFacts
from modelsat.candidates.listing import is_listed, read_listing
from modelsat.capability.efforts import effort_of, split_effort
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.providers import UNKNOWN, provider_behind, provider_name, serving
from modelsat.capability.registry import Registry
from modelsat.errors import ConfigurationError, ModelSATError, UnknownModelError

CONFIGURATION = "LiteLLM configuration"
PRICE_TABLE = "LiteLLM's price table"

_REGIONS = ("region_name", "aws_region_name", "vertex_location")
_READ = frozenset(
    (
        *("model", "base_model", "custom_llm_provider", "tags", "drop_params", "allowed_openai_params"),
        *("service_tier", "api_base", "base_url", *_REGIONS),
        *("reasoning_effort", "reasoning", "thinking", "output_config", "thinking_level", "thinking_budget"),
    )
)
_OTHER_MODES = frozenset(
    {
        "audio_speech",
        "audio_transcription",
        "embedding",
        "evaluation",
        "extraction",
        "guardrail",
        "image_edit",
        "image_generation",
        "moderation",
        "ocr",
        "realtime",
        "rerank",
        "search",
        "vector_store",
        "video_generation",
    }
)
_NAMED_BY_USERS = frozenset(
    {"azure", "azure_ai", "azure_text", "sagemaker", "sagemaker_chat", "sagemaker_nova", "watsonx"}
)
"""Providers at which a deployment is called what its owner likes."""
_IDENTIFIER = re.compile(r"^(?:\w+/)*(?:arn:.*|\d+|[0-9a-f]{8}-[0-9a-f-]{20,})$", re.IGNORECASE)
_SIZE = re.compile(r"\d+(?:\.\d+)?b\b", re.IGNORECASE)
_FINE_TUNED = re.compile(r"^(?:.*/)?ft:([^:]+)")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What routing looks at in one entry of LiteLLM's ``model_list``; never its keys.

    Attributes:
        model_name: The name it is called by.
        model: The model at its provider, e.g. ``"openai/gpt-4o"``.
        id: LiteLLM's identifier; empty before LiteLLM has given one.
        own: Its ``model_info.modelsat``.
        base_model: Its ``base_model``, the model behind a deployment's own name.
        assumed: What it is taken for, where neither ``base_model`` nor its own name says: the model that it was
            fine-tuned from, or the name that it is called by.
        facts: What its configuration and LiteLLM's price table say.
        mode: What kind of model it is (``"chat"``, ``"embedding"``), if that is known.
        where: How to name it in messages.
        effort: Reasoning effort that its ``litellm_params`` ask for; empty if they say nothing.
        spread: Whether the effort is one of its ``efforts``, so that other candidates of it stand beside this one.
    """

    model_name: str
    model: str
    id: str
    own: ModelSettings
    base_model: str | None
    assumed: str | None
    facts: ModelFacts
    mode: str | None
    where: str
    effort: str = ""
    spread: bool = False

    @property
    def generates(self) -> bool:
        """Whether it answers prompts, as far as is known; an auto router picks a model by itself."""
        return self.mode not in _OTHER_MODES and not self.model.startswith("auto_router/")

    @property
    def names(self) -> tuple[str | None, ...]:
        """The names that may say which model it is, the surest first."""
        return self.base_model, self.model, self.assumed

    @property
    def wildcard(self) -> bool:
        """Whether the caller names the model (``openai/*``), so that the deployment stands for no model of its own."""
        return "*" in self.model


def read_deployment(entry: Mapping[str, Any], where: str) -> Deployment:
    """Read one entry of the ``model_list``.

    Args:
        entry: The deployment.
        where: Its path in the configuration.

    Raises:
        ConfigurationError: Its ``model_info.modelsat`` is wrong, or its prices cannot be right.
    """
    params: Mapping[str, Any] = mapping_of(entry.get("litellm_params"))
    info: Mapping[str, Any] = mapping_of(entry.get("model_info"))
    model = str(params.get("model") or "")
    base = info.get("base_model") or params.get("base_model")
    called = str(entry.get("model_name") or "")
    assumed = None if base else _assumed(model, called)
    listed = _listed(base, model, assumed)
    given = info.get("modelsat")
    own = ModelSettings() if given is None else validated(ModelSettings, given, f"{where}.model_info.modelsat")
    effort, is_spread = effort_of(params), SPREAD in info
    if own.efforts:
        _check_efforts(params, effort, is_spread, f"{where}.model_info.modelsat.efforts")
    return Deployment(
        model_name=called,
        model=model,
        id=str(info.get("id") or ""),
        own=own,
        base_model=base if isinstance(base, str) and base else None,
        assumed=assumed,
        facts=_configured(params, info, where).over(read_listing(listed, PRICE_TABLE)),
        mode=info.get("mode") or listed.get("mode"),
        where=f"{where} ({model!r})",
        effort=effort,
        spread=is_spread,
    )


def read_deployments(model_list: Iterable[Mapping[str, Any]], where: str = "model_list") -> list[Deployment]:
    """Read the whole ``model_list``, a deployment with ``efforts`` once for each of them.

    What is not a mapping is left to LiteLLM to complain about.
    """
    return [
        read_deployment(each, f"{where}[{index}]")
        for index, entry in enumerate(model_list)
        if isinstance(entry, Mapping)
        for each in spread([entry])
    ]


def entries_of(router: Any) -> list[Mapping[str, Any]]:
    """All entries of a router's ``model_list`` as they are now."""
    registry = getattr(router, "registry", None)
    return list(registry().all() if callable(registry) else router.model_list or [])


def read_part(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`read_deployment` looks at, to see whether a deployment was changed in place; no keys are in it."""
    params, info = mapping_of(entry.get("litellm_params")), mapping_of(entry.get("model_info"))
    read = {key: value for key, value in params.items() if value is not None and (key in _READ or is_listed(key))}
    return {**read, "model_info": dict(info)}


def settings_of(deployment: Deployment, group: str, settings: GroupSettings) -> ModelSettings:
    """What is said about ``deployment``: in the group's ``models`` first, then in its own ``model_info``."""
    for key in keys_of(deployment, group):
        if key in settings.models:
            return settings.models[key].over(deployment.own)
    return deployment.own


def keys_of(deployment: Deployment, group: str) -> list[str]:
    """The names that the group's ``models`` may call ``deployment`` by."""
    names = [real_id(deployment.id), deployment.model_name if deployment.model_name != group else "", deployment.model]
    return [name for name in names if name]


def make_candidate(
    deployment: Deployment, group: str, settings: GroupSettings, where: str, *, estimates: bool = False
) -> Candidate | None:
    """The candidate that ``deployment`` is; ``None`` if nothing is known about its model.

    Args:
        deployment: The deployment.
        group: The group it answers for.
        settings: The group's settings.
        where: Path of the group's settings, for messages.
        estimates: Estimate a model that nobody has measured.

    Raises:
        ConfigurationError: What is said about it cannot be right.
    """
    said = settings_of(deployment, group, settings)
    name = _candidate_name(deployment, group, said)
    profile = profile_of(deployment, said, name, where)
    if profile is None and estimates:
        profile = estimate_of(deployment)
    if profile is None:
        return None
    try:
        facts = ModelFacts.of(dict(said.facts), "facts") if said.facts else ModelFacts()
    except ModelSATError as error:
        raise ConfigurationError(f"{where}: {deployment.where}: {error}") from error
    return Candidate(name, profile, facts.over(deployment.facts))


def mean_candidate(
    deployment: Deployment, group: str, settings: GroupSettings, known: Sequence[Candidate]
) -> Candidate:
    """A candidate that stands at the mean of ``known``: for every task the mean of those that have a figure."""
    name = _candidate_name(deployment, group, settings_of(deployment, group, settings))
    figures: dict[str, list[float]] = {}
    for candidate in known:
        for statement in candidate.profile.statements:
            figures.setdefault(statement.task, []).append(statement.accuracy)
    means = {task: sum(values) / len(values) for task, values in figures.items()}
    return Candidate(name, CapabilityProfile.from_benchmarks(name, means), deployment.facts)


def profile_of(deployment: Deployment, said: ModelSettings, name: str, where: str) -> CapabilityProfile | None:
    """The capability of ``deployment``; ``None`` if nothing is known about its model.

    It is that of the model behind it, whatever public name it is called by.

    Args:
        deployment: The deployment.
        said: What is said about it.
        name: Its candidate's name.
        where: Path of the group's settings, for messages.

    Raises:
        ConfigurationError: What is said about it cannot be right.
    """
    try:
        if said.benchmarks is not None:
            made = CapabilityProfile.from_benchmarks(name, said.benchmarks)
            return made.at_effort(deployment.effort) if deployment.spread else made
        if said.profile is not None:
            lent = Registry.default().find(at_effort(said.profile, deployment.effort) or said.profile)
            return lent if any(map(_known, deployment.names)) else lent.lent_to(deployment.model)
    except ModelSATError as error:
        raise ConfigurationError(f"{where}: {deployment.where}: {error}") from error
    return next(filter(None, (_known(at_effort(name, deployment.effort)) for name in deployment.names)), None)


def estimate_of(deployment: Deployment) -> CapabilityProfile | None:
    """What relatives, or the price, say of a model that nobody has measured; ``None`` if nothing can be said."""
    found = (estimated(name, Registry.default()) for name in deployment.names if name)
    made = next(filter(None, found), None)
    return made.at_effort(deployment.effort) if made is not None and deployment.effort else made


def at_effort(name: str | None, effort: str) -> str | None:
    """A model's name with the effort it is asked for."""
    return f"{split_effort(name)[0]}@{effort}" if name and effort else name


def _candidate_name(deployment: Deployment, group: str, said: ModelSettings) -> str:
    member = deployment.model_name if deployment.model_name != group else ""
    own = said.name or member
    if own and deployment.spread:
        return f"{own}@{deployment.effort}"
    return own or str(at_effort(deployment.model, deployment.effort))


def _check_efforts(params: Mapping[str, Any], effort: str, is_spread: bool, where: str) -> None:
    if not is_spread:
        raise ConfigurationError(f"{where}: litellm_params ask for effort {effort!r} already: leave one of them out")
    if not takes_effort(params, effort):
        raise ConfigurationError(
            f"{where}: LiteLLM knows of no reasoning_effort {effort!r} for {params.get('model')!r}: leave it out, or "
            "write allowed_openai_params: [reasoning_effort] under litellm_params"
        )


def _known(name: str | None) -> CapabilityProfile | None:
    try:
        return Registry.default().find(name) if name else None
    except UnknownModelError:
        return None


def _assumed(model: str, called: str) -> str | None:
    """What a model is taken for whose own name says nothing."""
    if (tuned := _FINE_TUNED.match(model)) is not None:
        return tuned[1]
    provider, _, bare = model.partition("/")
    nameless = _IDENTIFIER.match(bare) or provider in _NAMED_BY_USERS
    if not nameless or _SIZE.search(bare) or "*" in model or _known(model) is not None:
        return None
    return called if _known(called) is not None else None


def _listed(base: Any, model: str, assumed: str | None) -> Mapping[str, Any]:
    import litellm

    bare = model.partition("/")[2]
    tuned = ":".join(model.rpartition("/")[2].split(":")[:2]) if _FINE_TUNED.match(model) else None
    for name in (base, model, bare, tuned, assumed):
        entry = litellm.model_cost.get(name) if isinstance(name, str) and name else None
        if isinstance(entry, Mapping):
            return entry
    return {}


def _configured(params: Mapping[str, Any], info: Mapping[str, Any], where: str) -> ModelFacts:
    """Facts of the deployment's own configuration."""
    given = {**info, **{key: value for key, value in params.items() if value is not None}}
    try:
        facts = read_listing(given, CONFIGURATION)
    except ModelSATError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    served = serving(str(params.get("model") or ""))
    address = params.get("api_base") or params.get("base_url")
    values: dict[str, Any] = {
        "provider": provider_behind(_provider(params) or served.provider, address),
        "region": next((params[key] for key in _REGIONS if params.get(key)), info.get("region") or served.region),
        "service_tier": params.get("service_tier"),
        "tags": frozenset(tag for tag in params.get("tags") or () if isinstance(tag, str)),
    }
    known = {name: value for name, value in values.items() if value}
    told = [*known, *(["provider"] if address else [])]  # at an address of its own, it is known to be unknown
    return facts.over(ModelFacts(**known, origins=dict.fromkeys(told, CONFIGURATION)))


def _provider(params: Mapping[str, Any]) -> str | None:
    """The provider that the configuration writes, in the one spelling, or LiteLLM's own where that is not known."""
    written, slash, _ = str(params.get("model") or "").partition("/")
    named = str(params.get("custom_llm_provider") or (written if slash else ""))
    return provider_name(named) or (None if named in UNKNOWN else named or None)
