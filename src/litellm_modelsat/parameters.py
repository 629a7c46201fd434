"""Parameters that one model refuses though another takes them, as LiteLLM itself says before it calls a provider."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from litellm_modelsat.ranking import id_of
from modelsat.request.exclusion import Exclusion

_CHECKED = (
    "temperature",
    "top_p",
    "n",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "seed",
    "verbosity",
    "reasoning_effort",
)


def refusals(
    deployments: Sequence[Mapping[str, Any]], name_of: Mapping[str, str], kwargs: Mapping[str, Any]
) -> dict[str, Exclusion]:
    """The candidates that refuse a parameter of the request, with the reason; none if all of them do.

    A candidate refuses if each of its deployments does, and ``drop_params`` is off.

    Args:
        deployments: LiteLLM's deployments that are there.
        name_of: Candidate by deployment id.
        kwargs: The request.
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
    found = {name: Exclusion("ability", reason) for name, reason in refused.items() if name not in taking}
    return found if taking else {}


def takes_effort(params: Mapping[str, Any], effort: str) -> bool:
    """Whether LiteLLM would send ``reasoning_effort`` to a deployment: it neither refuses nor drops it."""
    if "reasoning_effort" in (params.get("allowed_openai_params") or ()):
        return True
    asked = json.dumps({"reasoning_effort": effort})
    return not _refused_by(str(params.get("model") or ""), params.get("custom_llm_provider"), asked)


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
    dump = getattr(params, "model_dump", None)  # LiteLLM's own class, in the SDK
    given: Mapping[str, Any] = dump(exclude_none=True) if callable(dump) else params
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
