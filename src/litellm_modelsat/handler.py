"""The proxy's callback: puts LiteLLM's healthy deployments in order."""

from __future__ import annotations

from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from litellm_modelsat.records import attempt_of, served_by
from litellm_modelsat.service import ForbiddenError, RoutingService


class EndOfRequest(CustomLogger):
    """Hears from LiteLLM who answered a ranked request, or that nobody did."""

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Somebody answered."""
        if (attempt := attempt_of(kwargs)) is not None:
            attempt.end(served_by(kwargs))

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Somebody answered."""
        self.log_success_event(kwargs, response_obj, start_time, end_time)

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


class ModelSATHandler(EndOfRequest):
    """Ranks the deployments of the configured groups, between LiteLLM's health checks and its own strategy.

    Args:
        service: What ranks.
    """

    def __init__(self, service: RoutingService) -> None:
        super().__init__()
        self.service = service

    def __deepcopy__(self, memo: Any) -> ModelSATHandler:
        """Copies share the network."""
        return self

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[Any],
        messages: list[Any] | None,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[dict[str, Any]]:
        """``healthy_deployments`` with an ``order``, best first; LiteLLM takes the best that its later checks leave.

        Raises:
            BadRequestError: The operator's constraints leave no deployment that may answer.
        """
        try:
            return await self.service.rank(
                model, healthy_deployments, messages, {} if request_kwargs is None else request_kwargs
            )
        except ForbiddenError as error:
            raise refused(model, error) from None

    async def async_post_call_response_headers_hook(
        self,
        data: dict[str, Any],
        user_api_key_dict: Any,
        response: Any,
        request_headers: dict[str, str] | None = None,
        litellm_call_info: dict[str, Any] | None = None,
    ) -> dict[str, str] | None:
        """``x-modelsat-model``, ``x-modelsat-score`` and ``x-modelsat-policy``."""
        attempt = attempt_of(data)
        if attempt is None:
            return None
        served = (litellm_call_info or {}).get("model_id")
        if response is not None and served and served not in attempt.name_of:
            return None  # LiteLLM's fallbacks went on to another group: x-litellm-model-id tells.
        return attempt.headers(served)


def refused(model: str, error: ForbiddenError) -> litellm.BadRequestError:
    """What LiteLLM answers when no deployment may."""
    return litellm.BadRequestError(message=f"modelsat: {error}", model=model, llm_provider="")
