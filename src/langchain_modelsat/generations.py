"""What chat models offer below ``invoke``, for callers that use it directly: ``generate`` and ``agenerate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import CallbackManagerForLLMRun, Callbacks
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig

from langchain_modelsat.settings import RouterSettings


class Generations(RouterSettings):
    """A router whose ``generate`` is its ``batch``."""

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """:meth:`batch` in the shape of an ``LLMResult``."""
        configs = _configs(len(messages), callbacks, tags, metadata, run_name, run_id)
        return _result(self.batch(cast("Any", messages), configs, stop=stop, **kwargs))

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """:meth:`abatch` in the shape of an ``LLMResult``."""
        configs = _configs(len(messages), callbacks, tags, metadata, run_name, run_id)
        return _result(await self.abatch(cast("Any", messages), configs, stop=stop, **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("the router generates nothing itself: call invoke, stream, batch or generate")


def _configs(
    count: int,
    callbacks: Callbacks,
    tags: list[str] | None,
    metadata: dict[str, Any] | None,
    run_name: str | None,
    run_id: UUID | None,
) -> list[RunnableConfig]:
    """A config for each of ``count`` prompts; only the first can have ``run_id``."""
    given = {"callbacks": callbacks, "tags": tags, "metadata": metadata, "run_name": run_name}
    shared = {key: value for key, value in given.items() if value is not None}
    configs = [cast("RunnableConfig", dict(shared)) for _ in range(count)]
    if run_id is not None and configs:
        configs[0]["run_id"] = run_id
    return configs


def _result(messages: Sequence[Any]) -> LLMResult:
    return LLMResult(generations=[[ChatGeneration(message=message)] for message in messages])
