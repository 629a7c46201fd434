"""What LiteLLM calls while it chooses: returns, of its healthy deployments, the best that were not tried yet."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from litellm_modelsat.endings import broke_off, watch_endings
from litellm_modelsat.reach import TARGET, asking, reachable
from litellm_modelsat.records import attempt_of, served_by
from litellm_modelsat.service import ForbiddenError, RoutingService
from modelsat.errors import IncompleteAnswerError


class EndOfRequest(CustomLogger):
    """Hears from LiteLLM who answered a ranked request, or that nobody did."""

    def __init__(self) -> None:
        super().__init__()
        watch_endings()

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Somebody answered, or broke off."""
        if (attempt := attempt_of(kwargs)) is not None:
            attempt.end(served_by(kwargs), IncompleteAnswerError.__name__ if broke_off(attempt, kwargs) else None)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Somebody answered."""
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A deployment failed; another may still answer."""
        if (attempt := attempt_of(kwargs)) is not None and (error := kwargs.get("exception")) is not None:
            attempt.last_error = type(error).__name__

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """A deployment failed; another may still answer."""
        self.log_failure_event(kwargs, response_obj, start_time, end_time)

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> None:
        """The proxy is out of retries and fallbacks."""
        if (attempt := attempt_of(request_data)) is not None:
            attempt.end(None, type(original_exception).__name__)


class RankingCallback(EndOfRequest):
    """Narrows the deployments of routed groups, between LiteLLM's health checks and its own strategy."""

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
            healthy_deployments = [_at_order(entry, target) for entry in healthy_deployments]
        if asking.get():
            return healthy_deployments
        ask = None if router is None else partial(reachable, router, model, healthy_deployments, messages, kwargs, self)
        try:
            return await service.rank(model, healthy_deployments, messages, kwargs, ask)
        except ForbiddenError as error:
            raise refused(model, error) from None


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
            return None  # LiteLLM's fallbacks went on to another group: x-litellm-model-id tells.
        if response is not None:
            attempt.answered(served)  # before the caller can judge the answer
        return attempt.headers(served)


def refused(model: str, error: ForbiddenError) -> litellm.BadRequestError:
    """What LiteLLM answers when no deployment may."""
    return litellm.BadRequestError(message=f"modelsat: {error}", model=model, llm_provider="")


def _at_order(entry: dict[str, Any], order: int) -> dict[str, Any]:
    return {**entry, "litellm_params": {**entry["litellm_params"], "order": order}}


def _router_of_the_proxy() -> Any:
    return getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)
