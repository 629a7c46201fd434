"""What LiteLLM calls: returns, of its healthy deployments, the best that were not tried yet, and hears who answered."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

from litellm_modelsat.deployments import id_of
from litellm_modelsat.reach import TARGET, asking, reachable
from litellm_modelsat.records import Attempt, attempt_of, served_by
from litellm_modelsat.service import ForbiddenError, RoutingService
from modelsat.capability.efforts import effort_of
from modelsat.errors import IncompleteAnswerError

_FINISH = "finish_reason_handler"
_lock = threading.Lock()
_giving: set[str] = set()
"""Deployments whose streams have ended with a reason to stop: without one, a stream of theirs broke off."""


class RankingCallback(CustomLogger):
    """Narrows the deployments of routed groups, between LiteLLM's health checks and its own strategy.

    It hears from LiteLLM who answered a ranked request, or that nobody did.
    """

    def __init__(self) -> None:
        super().__init__()
        _watch_endings()

    def __deepcopy__(self, memo: Any) -> RankingCallback:
        """Copies share the network."""
        return self

    def routing(self) -> tuple[RoutingService, Any] | None:
        """What ranks, and the router whose deployments it ranks; ``None`` if this request is not ours."""
        raise NotImplementedError

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[Any],
        messages: list[Any] | None,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[dict[str, Any]]:
        """The best of ``healthy_deployments`` that this request has not tried; several if they are equal.

        Raises:
            BadRequestError: The operator's constraints leave no deployment that may answer.
        """
        kwargs = {} if request_kwargs is None else request_kwargs
        routing = self.routing()
        if routing is None:
            return healthy_deployments
        service, router = routing
        if model in service.groups and isinstance(target := kwargs.get(TARGET), int):
            # Up to LiteLLM 1.109 the order-fallback takes what has this order: the next best, whatever it declared.
            healthy_deployments = [
                {**entry, "litellm_params": {**entry["litellm_params"], "order": target}}
                for entry in healthy_deployments
            ]
        if asking.get():
            return healthy_deployments
        ask = None if router is None else partial(reachable, router, model, healthy_deployments, messages, kwargs, self)
        try:
            ranked = await service.rank(model, healthy_deployments, messages, kwargs, ask)
        except ForbiddenError as error:
            raise refused(model, error) from None
        if (attempt := attempt_of(kwargs)) is not None and any(attempt.efforts.values()):
            send_efforts()
        return ranked

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record who answered, or that the answer broke off."""
        if (attempt := attempt_of(kwargs)) is not None:
            attempt.end(served_by(kwargs), IncompleteAnswerError.__name__ if broke_off(attempt, kwargs) else None)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record who answered, or that the answer broke off."""
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Remember the error of a deployment; another may still answer."""
        if (attempt := attempt_of(kwargs)) is not None and (error := kwargs.get("exception")) is not None:
            attempt.last_error = type(error).__name__

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Remember the error of a deployment; another may still answer."""
        self.log_failure_event(kwargs, response_obj, start_time, end_time)

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> None:
        """Record that nobody answered: the proxy is out of retries and fallbacks."""
        if (attempt := attempt_of(request_data)) is not None:
            attempt.end(None, type(original_exception).__name__)


class ModelSATHandler(RankingCallback):
    """The proxy's callback.

    Args:
        service: What ranks.
        router: Returns the router whose deployments are ranked; the proxy's if not given.
    """

    def __init__(self, service: RoutingService, router: Callable[[], Any] | None = None) -> None:
        super().__init__()
        self.service = service
        self._router = router or _router_of_the_proxy

    def routing(self) -> tuple[RoutingService, Any] | None:
        """The service, and the proxy's router."""
        return self.service, self._router()

    async def async_post_call_response_headers_hook(
        self,
        data: dict[str, Any],
        user_api_key_dict: Any,
        response: Any,
        request_headers: dict[str, str] | None = None,
        litellm_call_info: dict[str, Any] | None = None,
    ) -> dict[str, str] | None:
        """``x-modelsat-model``, ``x-modelsat-score``, ``x-modelsat-policy`` and ``x-modelsat-decision``."""
        attempt = attempt_of(data)
        if attempt is None:
            return None
        served = (litellm_call_info or {}).get("model_id")
        if response is not None and served and attempt.ranked_id(served) not in attempt.name_of:
            return None  # LiteLLM's fallbacks went on to another group: x-litellm-model-id says which.
        if response is not None:
            attempt.answered(served)  # before the caller can judge the answer
        return attempt.headers(served)


class _EffortCallback(CustomLogger):
    """Puts the effort that was chosen into the request, once LiteLLM has picked the deployment."""

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any] | None:
        """The request with the effort; ``None`` if none was chosen, or if the request asks for one itself."""
        attempt, holders = attempt_of(kwargs), (kwargs, kwargs.get("metadata"), kwargs.get("litellm_metadata"))
        identifier = next((found for holder in holders if isinstance(holder, Mapping) and (found := id_of(holder))), "")
        effort = attempt.effort_for(identifier) if attempt is not None and identifier else ""
        if attempt is None or not effort:
            return None
        attempt.asked(identifier)
        if effort_of(kwargs):
            return None
        # Thinking that adapts, as Claude Code sends it, would go before the effort.
        return {**{key: value for key, value in kwargs.items() if key != "thinking"}, "reasoning_effort": effort}


_EFFORTS = _EffortCallback()


def send_efforts() -> None:
    """Have LiteLLM send efforts in asynchronous requests; only once one needs it, as it costs others a fast path."""
    if _EFFORTS not in litellm.callbacks:
        litellm.callbacks.append(_EFFORTS)


def refused(model: str, error: ForbiddenError) -> litellm.BadRequestError:
    """What LiteLLM answers when no deployment may."""
    return litellm.BadRequestError(message=f"modelsat: {error}", model=model, llm_provider="")


def broke_off(attempt: Attempt, kwargs: Mapping[str, Any]) -> bool:
    """Whether an answer that LiteLLM's logging reports as whole broke off: its deployment gives reasons otherwise."""
    deployment = served_by(kwargs)
    if deployment is None or not kwargs.get("stream"):
        return False
    if attempt.without_reason == deployment:
        return deployment in _giving
    _giving.add(deployment)
    return False


def _watch_endings() -> None:
    """Have attempts remember whose stream ended without a reason to stop. Safe to call more than once.

    Up to 1.108 LiteLLM puts "stop" in place of a missing reason before it calls any hook. So the method that does is
    wrapped; a LiteLLM without that method is left alone. From 1.109 on it raises instead.
    """
    with _lock:
        own = getattr(CustomStreamWrapper, _FINISH, None)
        if own is None or hasattr(own, "__wrapped__"):
            return

        @functools.wraps(own)
        def watched(self: Any) -> Any:
            if not (self.received_finish_reason or getattr(self, "intermittent_finish_reason", None)):
                details = self.logging_obj.model_call_details
                if (attempt := attempt_of(details)) is not None:
                    attempt.without_reason = served_by(details)
            return own(self)

        setattr(CustomStreamWrapper, _FINISH, watched)


def _router_of_the_proxy() -> Any:
    return getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)
