"""Which deployments LiteLLM would still choose among: what its checks after ours leave.

LiteLLM filters by context window, tags, plugins, order and other callbacks only after :mod:`litellm_modelsat.handler`
was asked, and reads nothing but the identifiers that it returns. So the best deployment may be returned alone only if
those checks let it pass, and LiteLLM itself is asked for that: a second selection, unless none of those checks can tell
one deployment from another (:func:`none_filters`).

That is read from the sources of LiteLLM 1.104.9, 1.108.14, 1.109.3 and 1.110.2. After the callbacks' filters, their
order is: context window and region (``enable_pre_call_checks``), tags, plugins, vision, media and batches of calls that
are not chats, declared order, deployments that have failed. Each looks at something that can be seen beforehand; where
it is there, or where LiteLLM is of another line, the answer is that one may filter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from litellm_modelsat.deployments import id_of
from litellm_modelsat.versions import installed, was_read
from modelsat._logging import ThrottledLog

TARGET = "_target_order"
"""Where LiteLLM's order-fallback says which declared order it wants."""
asking: ContextVar[bool] = ContextVar("modelsat_asking", default=False)
"""Whether LiteLLM is being asked by us, so that our own callback leaves the list as it is."""

_NARROWS = (
    "_target_order",
    "_excluded_deployment_ids",
    "_retry_skipped_deployment_ids",
    "_mid_stream_continuation",
    "allowed_model_region",
    "model_file_id_mapping",
    "model_resource_id_mapping",
)
"""Keys of a request by which a check distinguishes deployments."""
_PLUGINS_LEFT = "_routing_plugin_candidate_models"
"""Where, in a request's metadata, plugins leave the models that may answer."""
_PARAMS = ("order", "tags", "tag_regex")
"""Parameters of a deployment by which a check distinguishes it from others."""
_BY_KEYS_ALONE = frozenset(
    {
        "_PROXY_VirtualKeyModelMaxBudgetLimiter",  # returns what it is given
        "_PROXY_LiteLLMManagedFiles",
        "_PROXY_LiteLLMManagedVectorStores",
        "ContinuationPrefillDeploymentCheck",
    }
)
"""LiteLLM's own filters that look at nothing but keys of :data:`_NARROWS`."""
_AFFINITY = "DeploymentAffinityCheck"
"""LiteLLM's check that keeps callers and sessions on a deployment: there for any auto router, on for few groups."""
_WORDS = frozenset(
    {
        *("text", "input_text", "output_text", "message", "thinking", "reasoning"),
        *("tool_use", "tool_result", "function_call", "function_call_output"),
        *("custom_tool_call", "custom_tool_call_output"),
    }
)
"""Types of parts of a conversation that are not images, unless there is one within."""

_log = ThrottledLog(logging.getLogger("modelsat"))


async def reachable(
    router: Any, model: str, entries: Sequence[Mapping[str, Any]], messages: Any, kwargs: Mapping[str, Any], own: Any
) -> frozenset[str] | None:
    """Identifiers of the deployments that ``router`` could choose for this request, whatever their declared order.

    Args:
        router: A LiteLLM router.
        model: The name that was called.
        entries: The deployments that its health checks left.
        messages: The conversation; ``None`` outside chats.
        kwargs: The request, which stays as it is.
        own: Our callback, which LiteLLM has asked.

    Returns:
        The identifiers; ``None`` if they are all, if LiteLLM could not say, or if it has none.
    """
    if none_filters(router, model, entries, messages, kwargs, own):
        return None
    orders = {entry["litellm_params"].get("order") for entry in entries} - {None}
    wanted: list[int | None] = [None] if TARGET in kwargs or len(orders) < 2 else sorted(orders)
    found: set[str] = set()
    token = asking.set(True)
    try:
        for order in wanted:
            asked = {key: value for key, value in kwargs.items() if key != "litellm_logging_obj"}  # Nothing is logged.
            if order is not None:
                asked[TARGET] = order
            found.update(await _healthy(router, model, messages, asked))
    finally:
        asking.reset(token)
    return frozenset(found) or None


async def _healthy(router: Any, model: str, messages: Any, kwargs: dict[str, Any]) -> list[str]:
    request = {"messages": messages, "input": kwargs.get("input")}
    try:
        if hasattr(router, "select"):  # LiteLLM 1.109
            found = await router.select(model, kwargs, kind="healthy", **request)
        else:
            found = await router.async_get_healthy_deployments(model=model, request_kwargs=kwargs, **request)
    except (TypeError, AttributeError) as error:  # Not how this LiteLLM is asked.
        message = "LiteLLM could not be asked which deployments it can reach: %s"
        _log.log(logging.ERROR, f"reach {type(error).__name__}", message, error)
        return []
    except Exception:  # It has none: its own error follows when it chooses.
        return []
    return [id_of(found)] if isinstance(found, Mapping) else [id_of(entry) for entry in found]


def none_filters(
    router: Any, model: str, entries: Sequence[Mapping[str, Any]], messages: Any, kwargs: Mapping[str, Any], own: Any
) -> bool:
    """Whether every check after ours leaves all of ``entries``, or none of them; arguments as of :func:`reachable`."""
    if not _is_read() or any(kwargs.get(key) is not None for key in _NARROWS):
        return False
    if any(
        isinstance(metadata := kwargs.get(name), Mapping) and metadata.get(_PLUGINS_LEFT) is not None
        for name in ("metadata", "litellm_metadata")
    ):
        return False
    if any((entry.get("litellm_params") or {}).get(name) is not None for entry in entries for name in _PARAMS):
        return False
    if not _words_alone(messages or kwargs.get("messages") or kwargs.get("input")):
        return False
    try:
        return not (
            _checks_calls(router)
            or _is_priority_group(router, model)
            or any(_filters(callback, model, kwargs) for callback in _behind(router, own))
        )
    except Exception:  # Not how this LiteLLM is asked.
        return False


@lru_cache(maxsize=1)
def _is_read() -> bool:
    return was_read(installed())


def _checks_calls(router: Any) -> bool:
    settings = getattr(router, "settings", None)  # LiteLLM 1.109; an attribute before
    holder = settings() if callable(settings) else router
    return bool(holder.enable_pre_call_checks)


def _is_priority_group(router: Any, model: str) -> bool:
    """Whether ``model`` is a routing group whose members have an order by their place in it."""
    registry = getattr(router, "registry", None)
    group = registry().routing_group(model) if callable(registry) else router.get_routing_group(model)
    return group is not None and group.routing_strategy == "priority"


def _behind(router: Any, own: Any) -> list[Any]:
    """The callbacks behind ours, and the router's own checks; some of these are among both."""
    import litellm

    callbacks = list(litellm.callbacks)
    core = getattr(router, "_core", router)
    return [*callbacks[callbacks.index(own) + 1 :], *(core.optional_callbacks or ())]


def _filters(callback: Any, model: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether a callback may leave some deployments of ``model`` and not others."""
    from litellm.integrations.custom_logger import CustomLogger

    if not isinstance(callback, CustomLogger):
        return False
    kind = type(callback)
    if kind.async_filter_deployments is CustomLogger.async_filter_deployments:
        return False
    if not kind.__module__.startswith(("litellm.", "litellm_enterprise.")):
        return True
    if kind.__name__ == _AFFINITY:
        pinned = callback._get_marker_session_affinity_ttl(request_kwargs=kwargs) is not None
        return pinned or any(callback._get_effective_flags(model))
    return kind.__name__ not in _BY_KEYS_ALONE


def _words_alone(part: Any) -> bool:
    """Whether a conversation, or a part of one, surely holds no image."""
    if part is None or isinstance(part, str):
        return True
    if isinstance(part, Mapping):
        kind = part.get("type")
        return (
            (kind is None or kind in _WORDS) and _words_alone(part.get("content")) and _words_alone(part.get("output"))
        )
    return isinstance(part, (list, tuple)) and all(map(_words_alone, part))
