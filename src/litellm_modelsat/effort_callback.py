"""Puts the effort that was chosen into the request, once LiteLLM has picked the deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from litellm_modelsat.ranking import id_of
from litellm_modelsat.records import attempt_of
from modelsat.capability.efforts import effort_of


class EffortCallback(CustomLogger):
    """LiteLLM calls it before every asynchronous request to a provider."""

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any] | None:
        """The request with the effort; ``None`` if none was chosen, or if the request asks for one itself."""
        attempt = attempt_of(kwargs)
        identifier = _picked(kwargs)
        effort = attempt.effort_for(identifier) if attempt is not None and identifier else ""
        if attempt is None or not effort:
            return None
        attempt.asked(identifier)
        if effort_of(kwargs):
            return None
        # Thinking that adapts, as Claude Code sends it, would go before the effort.
        return {**{key: value for key, value in kwargs.items() if key != "thinking"}, "reasoning_effort": effort}


_CALLBACK = EffortCallback()


def listen() -> None:
    """Have LiteLLM call :class:`EffortCallback`; only once a request needs it, as it costs others a fast path."""
    if _CALLBACK not in litellm.callbacks:
        litellm.callbacks.append(_CALLBACK)


def _picked(kwargs: Mapping[str, Any]) -> str:
    """LiteLLM's identifier of the deployment that a request is about to go to."""
    for holder in (kwargs, kwargs.get("metadata"), kwargs.get("litellm_metadata")):
        if isinstance(holder, Mapping) and (found := id_of(holder)):
            return found
    return ""
