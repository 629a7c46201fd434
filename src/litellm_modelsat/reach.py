"""Which deployments LiteLLM would still choose among: what its checks after ours leave.

LiteLLM filters by context window, tags, plugins, order and other callbacks only after :mod:`litellm_modelsat.handler`
was asked, and reads nothing but the identifiers that it returns. So the best deployment may be returned alone only if
those checks let it pass, and LiteLLM itself is asked for that: a second selection, unless none of those checks can tell
one deployment from another (:mod:`litellm_modelsat.downstream`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from litellm_modelsat.downstream import none_filters
from litellm_modelsat.ranking import id_of
from modelsat._logging import ThrottledLog

TARGET = "_target_order"
"""Where LiteLLM's order-fallback says which declared order it wants."""
asking: ContextVar[bool] = ContextVar("modelsat_asking", default=False)
"""Whether LiteLLM is being asked by us, so that our own callback leaves the list as it is."""

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
