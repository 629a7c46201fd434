"""LiteLLM's deployments: what is read from them, one at each of its efforts, and the parameters that they refuse.

A deployment with ``efforts: [low, high]`` is several inside this package (:func:`spread`), each with an identifier, an
effort and a candidate of its own; LiteLLM sees the one that it knows (:func:`whole`). The effort goes out as LiteLLM's
``reasoning_effort``, which LiteLLM spells as the provider does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from litellm_modelsat.settings import ModelSettings, validated
from modelsat.candidates.facts import ModelFacts
from modelsat.candidates.listing import is_listed, read_listing
from modelsat.candidates.parameters import PARAMETERS
from modelsat.capability.efforts import EFFORTS, distance, effort_of
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.providers import UNKNOWN, provider_behind, provider_name, serving
from modelsat.capability.registry import Registry
from modelsat.errors import ConfigurationError, ModelSATError, UnknownModelError
from modelsat.request.exclusion import Exclusion

_CONFIGURATION = "LiteLLM configuration"

_Entry = Mapping[str, Any]
_SPREAD = "modelsat_effort"
"""Where the ``model_info`` of a deployment at one of its efforts says which."""
_AT = "\x1fmodelsat@"
_CHECKED = (*PARAMETERS, "reasoning_effort")
_REGIONS = ("region_name", "aws_region_name", "vertex_location")
_READ = frozenset(
    (
        *("model", "base_model", "custom_llm_provider", "tags", "drop_params", "allowed_openai_params"),
        *("service_tier", "api_base", "base_url", *_REGIONS),
        *("reasoning_effort", "reasoning", "thinking", "output_config", "thinking_level", "thinking_budget"),
    )
)
_OTHER_MODES = frozenset(
    (
        *("audio_speech", "audio_transcription", "embedding", "evaluation", "extraction", "guardrail", "image_edit"),
        *("image_generation", "moderation", "ocr", "realtime", "rerank", "search", "vector_store", "video_generation"),
    )
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


def read_deployment(entry: _Entry, where: str) -> Deployment:
    """Read one entry of the ``model_list``, which stands at the path ``where`` of the configuration.

    Raises:
        ConfigurationError: Its ``model_info.modelsat`` is wrong, or its prices cannot be right.
    """
    params, info = mapping_of(entry.get("litellm_params")), mapping_of(entry.get("model_info"))
    model = str(params.get("model") or "")
    base = info.get("base_model") or params.get("base_model")
    called = str(entry.get("model_name") or "")
    assumed = None if base else _assumed(model, called)
    listed = _listed(base, model, assumed)
    given = info.get("modelsat")
    own = ModelSettings() if given is None else validated(ModelSettings, given, f"{where}.model_info.modelsat")
    effort, is_spread = effort_of(params), _SPREAD in info
    if own.efforts:
        _check_efforts(params, effort, is_spread, f"{where}.model_info.modelsat.efforts")
    return Deployment(
        model_name=called,
        model=model,
        id=str(info.get("id") or ""),
        own=own,
        base_model=base if isinstance(base, str) and base else None,
        assumed=assumed,
        facts=_configured(params, info, where).over(read_listing(listed, "LiteLLM's price table")),
        mode=info.get("mode") or listed.get("mode"),
        where=f"{where} ({model!r})",
        effort=effort,
        spread=is_spread,
    )


def read_deployments(model_list: Iterable[_Entry]) -> list[Deployment]:
    """Read the whole ``model_list``, a deployment with ``efforts`` once for each; LiteLLM rejects the rest."""
    return [
        read_deployment(each, f"model_list[{index}]")
        for index, entry in enumerate(model_list)
        if isinstance(entry, Mapping)
        for each in spread([entry])
    ]


def entries_of(router: Any) -> list[Mapping[str, Any]]:
    """All entries of a router's ``model_list`` as they are now."""
    registry = getattr(router, "registry", None)
    return list(registry().all() if callable(registry) else router.model_list or [])


def read_part(entry: _Entry) -> dict[str, Any]:
    """What :func:`read_deployment` looks at, to see whether a deployment was changed in place; no keys are in it."""
    params, info = mapping_of(entry.get("litellm_params")), mapping_of(entry.get("model_info"))
    read = {key: value for key, value in params.items() if value is not None and (key in _READ or is_listed(key))}
    return {**read, "model_info": dict(info)}


def spread(entries: Iterable[_Entry], asked: str = "") -> list[Any]:
    """``entries``, each of those with ``efforts`` once for every effort; :func:`read_deployment` refuses wrong ones.

    A request that asks for an effort itself (``asked``) keeps it: then the nearest of the list stands for it.
    """
    found: list[Any] = []
    for entry in entries:
        efforts = _efforts(entry)
        if efforts and asked:
            efforts = [min(efforts, key=lambda effort: distance(effort, asked))]
        found += [_at(entry, effort) for effort in efforts] or [entry]
    return found


def whole(step: Sequence[_Entry], entries: Sequence[Any]) -> list[Any]:
    """The deployments of ``step``, which :func:`spread` returned, as they stand in ``entries``, which it was given."""
    ids = {id_of(entry) for entry in step}
    if not any(map(effort_in, ids)):
        return list(step)
    own = {real_id(identifier) for identifier in ids}
    return [entry for entry in entries if id_of(entry) in own]


def once(step: Sequence[Any]) -> list[Any]:
    """``step`` with each deployment at one effort: the first, where nothing sets them apart."""
    return list({real_id(id_of(entry)) or id(entry): entry for entry in reversed(step)}.values())[::-1]


def id_of(deployment: _Entry) -> str:
    """LiteLLM's identifier of a deployment; empty if it has none."""
    info = deployment.get("model_info")
    found = info.get("id") if isinstance(info, Mapping) else getattr(info, "id", None)
    return str(found or "")


def real_id(identifier: str) -> str:
    """LiteLLM's identifier of a deployment, whatever its effort."""
    return identifier.partition(_AT)[0]


def effort_in(identifier: str) -> str:
    """The effort that :func:`spread` gave; empty if it gave none."""
    return identifier.partition(_AT)[2]


def id_at(identifier: str, effort: str) -> str:
    """The identifier of a deployment at ``effort``, or its own without one."""
    return f"{identifier}{_AT}{effort}" if identifier and effort else identifier


def with_effort(deployment: _Entry, effort: str) -> dict[str, Any]:
    """A deployment that asks for ``effort``."""
    return {
        **deployment,
        "litellm_params": {**mapping_of(deployment.get("litellm_params")), "reasoning_effort": effort},
    }


def mapping_of(value: Any) -> Mapping[str, Any]:
    """``value`` as a mapping: of a configuration, or of LiteLLM's own classes; an empty one otherwise."""
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return dump(exclude_none=True) if callable(dump) else {}


def refusals(
    deployments: Sequence[_Entry], name_of: Mapping[str, str], kwargs: Mapping[str, Any]
) -> dict[str, Exclusion]:
    """The candidates that refuse a parameter of the request, with LiteLLM's own reason; none if all of them do.

    A candidate refuses if each of its deployments does, and ``drop_params`` is off.
    """
    asked = _asked(kwargs)
    if not asked or _drops(kwargs):
        return {}
    refused: dict[str, str] = {}
    taking: set[str] = set()
    for deployment in deployments:
        name, reason = name_of[id_of(deployment)], _refused(deployment["litellm_params"], asked)
        if reason is None:
            taking.add(name)
        else:
            refused[name] = reason
    return {name: Exclusion("ability", why) for name, why in refused.items() if name not in taking} if taking else {}


def takes_effort(params: Mapping[str, Any], effort: str) -> bool:
    """Whether LiteLLM would send ``reasoning_effort`` to a deployment: it neither refuses nor drops it."""
    if "reasoning_effort" in (params.get("allowed_openai_params") or ()):
        return True
    asked = json.dumps({"reasoning_effort": effort})
    return not _refused_by(str(params.get("model") or ""), params.get("custom_llm_provider"), asked)


def _check_efforts(params: Mapping[str, Any], effort: str, is_spread: bool, where: str) -> None:
    if not is_spread:
        raise ConfigurationError(f"{where}: litellm_params ask for effort {effort!r} already: leave one of them out")
    if not takes_effort(params, effort):
        raise ConfigurationError(
            f"{where}: LiteLLM knows of no reasoning_effort {effort!r} for {params.get('model')!r}: leave it out, or "
            "write allowed_openai_params: [reasoning_effort] under litellm_params"
        )


def known_profile(name: str | None) -> CapabilityProfile | None:
    """The registry's profile of a model; ``None`` if it has none."""
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
    if not nameless or _SIZE.search(bare) or "*" in model or known_profile(model) is not None:
        return None
    return called if known_profile(called) is not None else None


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
        facts = read_listing(given, _CONFIGURATION)
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
    # At an address of its own, the provider is known to be unknown.
    origins = dict.fromkeys([*known, *(["provider"] if address else [])], _CONFIGURATION)
    return facts.over(ModelFacts(**known, origins=origins))


def _provider(params: Mapping[str, Any]) -> str | None:
    """The provider that the configuration writes, in the one spelling, or LiteLLM's own where that is not known."""
    written, slash, _ = str(params.get("model") or "").partition("/")
    named = str(params.get("custom_llm_provider") or (written if slash else ""))
    return provider_name(named) or (None if named in UNKNOWN else named or None)


def _efforts(entry: _Entry) -> list[str]:
    info, params = mapping_of(entry.get("model_info")), mapping_of(entry.get("litellm_params"))
    own = info.get("modelsat")
    given = own.get("efforts") if isinstance(own, Mapping) else None
    if not isinstance(given, (list, tuple)) or not all(effort in EFFORTS for effort in given) or effort_of(params):
        return []
    return list(dict.fromkeys(given))


def _at(entry: _Entry, effort: str) -> dict[str, Any]:
    info = mapping_of(entry.get("model_info"))
    identifier = {"id": id_at(str(info["id"]), effort)} if info.get("id") else {}
    return {**with_effort(entry, effort), "model_info": {**info, **identifier, _SPREAD: effort}}


def _asked(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in OpenAI's chat terms, whichever API the request came in by."""
    found = {name: kwargs[name] for name in _CHECKED if kwargs.get(name) is not None}
    if sequences := kwargs.get("stop_sequences"):  # /v1/messages
        found.setdefault("stop", sequences)
    text = kwargs.get("text")  # /v1/responses
    if isinstance(text, Mapping) and text.get("verbosity") is not None:
        found.setdefault("verbosity", text["verbosity"])
    return found


def _drops(params: Mapping[str, Any]) -> bool:
    import litellm

    return litellm.drop_params is True or str(params.get("drop_params")).lower() == "true"


def _refused(params: Any, asked: Mapping[str, Any]) -> str | None:
    given = mapping_of(params)
    if _drops(given):
        return None
    spared = {*(given.get("allowed_openai_params") or ()), *(given.get("additional_drop_params") or ())}
    left = {name: value for name, value in asked.items() if name not in spared}
    try:
        key = json.dumps(left, sort_keys=True)
    except (TypeError, ValueError):
        return None
    refused = _refused_by(str(given.get("model") or ""), given.get("custom_llm_provider"), key) if left else ()
    return f"cannot do {', '.join(refused)} (the request sets it, and drop_params is off)" if refused else None


@lru_cache(maxsize=4096)
def _refused_by(model: str, provider: str | None, asked: str) -> tuple[str, ...]:
    """Names of the parameters that ``model`` refuses; all of them where it refuses them together only."""
    given = json.loads(asked)
    if _takes(model, provider, given):
        return ()
    effort = {"reasoning_effort": given["reasoning_effort"]} if "reasoning_effort" in given else {}
    alone = [name for name in given if not _takes(model, provider, {**effort, name: given[name]})]
    return tuple(alone or given)


def _takes(model: str, provider: str | None, given: Mapping[str, Any]) -> bool:
    import litellm
    from litellm.utils import get_optional_params

    try:
        name, at, _, _ = litellm.get_llm_provider(model, custom_llm_provider=provider)
        get_optional_params(model=name, custom_llm_provider=at, drop_params=False, **given)
    except litellm.UnsupportedParamsError:
        return False
    except Exception:
        return True  # Something else is odd about it: LiteLLM says so when it is called.
    return True
