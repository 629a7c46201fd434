"""What a routing chat model accepts, checked before anything is made."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import Any

from langchain_modelsat.candidates import resolve_models, resolve_profiles
from langchain_modelsat.facts import resolve_facts
from modelsat.errors import ConfigurationError
from modelsat.feedback.loop import resolve_feedback
from modelsat.router.config import RouterConfig

_OWN_TO_ROUTES = {
    "cache": "a cache of answers belongs on the routes, where an answer comes from one model: ChatOpenAI(..., "
    "cache=...); the cache of scores is score_cache=",
    "rate_limiter": "a rate limiter belongs on the routes, whose providers set the limits: "
    "ChatOpenAI(..., rate_limiter=...)",
}
_WITHOUT_EFFECT = frozenset({"output_version"})


def prepare_arguments(
    given: Mapping[str, Any], known: Collection[str], config: RouterConfig | None = None
) -> dict[str, Any]:
    """Resolve candidates, profiles and facts; refuse or warn of what has no place on a router.

    Args:
        given: The keyword arguments of the constructor.
        known: Names that the constructor knows.
        config: Options that hold where ``given`` says nothing.

    Raises:
        ConfigurationError: No models, a fallback that is not a route, ``cache`` or ``rate_limiter``.
        UnknownModelError: Nothing is known about one of the models.
    """
    if config is not None:
        own = {name: getattr(config, name) for name in config.model_fields_set}
        facts, kept = own.pop("facts", None), {"score_cache": own.pop("cache", True)}
        given = {**own, **kept, **given, "facts": given.get("facts") or facts}
    for name, reason in _OWN_TO_ROUTES.items():
        if given.get(name) not in (None, False):
            raise ConfigurationError(f"{name}= is not for the router: {reason}")
    ignored = sorted(name for name in given if name not in known or name in _WITHOUT_EFFECT)
    if ignored and "pool" not in given:  # With a pool, LangChain is copying a router, field by field.
        warnings.warn(
            f"ignored by the router: {', '.join(ignored)}; such settings belong on each model, e.g. "
            f"ModelSATRouter(models=[ChatOpenAI(model=..., {ignored[0]}=...)])",
            UserWarning,
            stacklevel=3,
        )
    if given.get("models") is None:
        raise ConfigurationError('models is missing: give chat models, e.g. models=["openai:gpt-4o-mini", ...]')
    models = resolve_models(given["models"], given.get("max_retries"))
    fallback = given.get("fallback")
    if fallback is not None and fallback not in models:
        raise ConfigurationError(f"fallback={fallback!r} is not a route; there are: {', '.join(models)}")
    return {
        **given,
        "models": models,
        "feedback": resolve_feedback(given.get("feedback")),
        "profiles": resolve_profiles(models, given.get("profiles")),
        "facts": resolve_facts(models, given.get("facts")) if "pool" not in given else given.get("facts") or {},
    }
