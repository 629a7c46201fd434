"""The router as a chat model: it decides, and the chosen model answers in a run of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import (
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
    get_config_list,
    get_executor_for_config,
    patch_config,
)
from langchain_core.runnables.utils import gather_with_concurrency
from typing_extensions import Unpack

from langchain_modelsat.answers import RoutedAsyncStream, RoutedStream, astamped, stamped
from langchain_modelsat.calls import OPERATION_KEY, Call, Operation, RouterBinding, context_of
from langchain_modelsat.candidates import GivenFacts, GivenModels, GivenProfiles
from langchain_modelsat.selector import Prepared, route_config
from langchain_modelsat.settings import ChatRouterOptions, RouterSettings, prepare_arguments
from modelsat.capability.efforts import effort_of
from modelsat.router.config import RouterConfig
from modelsat.router.decision import RoutingDecision

Decided = tuple[RoutingDecision, Any, dict[str, Any]]
"""The decision, the chosen model with what was asked of the router, and the keyword arguments that it takes."""


class ModelSATRouter(RouterSettings):
    """A chat model that hands each request to the candidate expected to answer it well.

    Every call is one chain run whose children are the decision and the chosen model's own run, so usage, tokens and
    the model's name are recorded once and where they belong. Tools and output schemas are replayed on the chosen model.
    The decision is in ``message.response_metadata["routing_decision"]``. A route is forced by
    ``config["configurable"]["modelsat_route"]``, or by ``model=`` with its name. Errors of the chosen model are raised
    as they are.

    Args:
        models: The candidates. Given as a list of chat models or strings for ``init_chat_model``, which go by their own
            names, or as {name: chat model or string}.
        config: The options, as a :class:`~modelsat.RouterConfig`.
        profiles: What is known about them. Given by name, as profiles or {benchmark: accuracy}; the rest is looked up
            in the registry.
        facts: Prices, limits and abilities, by route or by the model's own name; the rest is read from LangChain's
            model profiles and the table that comes with the package.
        **options: The fields of :class:`~modelsat.RouterConfig`, which says what each does; its ``cache`` is
            ``score_cache`` here, and its ``fallback`` must be a route. Besides, ``max_retries``, ``drop_params`` and
            ``cache_control`` (:class:`~langchain_modelsat.settings.RouterSettings`), and fields of ``BaseChatModel``
            such as ``name``, ``tags``, ``metadata`` or ``callbacks``.

    Raises:
        ConfigurationError: Candidates or options that cannot be used; the message says what to do.
        UnknownModelError: Nothing is known about one of the models.

    Example:
        >>> router = ModelSATRouter(models=["openai:gpt-5", "openai:gpt-4o-mini"])  # doctest: +SKIP
        >>> router.invoke("What is the capital of France?").content  # doctest: +SKIP
        'Paris.'
    """

    def __init__(
        self,
        models: GivenModels | None = None,
        *,
        config: RouterConfig | None = None,
        profiles: GivenProfiles | None = None,
        facts: GivenFacts | None = None,
        **options: Unpack[ChatRouterOptions],
    ) -> None:
        given = {"models": models, "profiles": profiles, "facts": facts, **options}
        super().__init__(**prepare_arguments(given, type(self).model_fields, config))
        _ = self.selector  # what cannot be right is said now

    # What is recorded and replayed.

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Give tools to whichever model is chosen; candidates that cannot call tools are left out.

        Args:
            tools: Tools of any shape the candidates accept.
            tool_choice: Which tool to call; left to the model if not given.
            **kwargs: Handed on to the chosen model's ``bind_tools``.

        Raises:
            NotImplementedError: No candidate can call tools.
        """
        chosen = kwargs if tool_choice is None else {**kwargs, "tool_choice": tool_choice}
        return self._record(Operation("bind_tools", (tools,), chosen))

    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Have whichever model is chosen answer in a schema, each by its own best method.

        Args:
            schema: A Pydantic class, ``TypedDict`` or JSON schema.
            include_raw: Return ``raw``, ``parsed`` and ``parsing_error``; the decision is on the raw message.
            **kwargs: Handed on to the chosen model's ``with_structured_output``.

        Raises:
            NotImplementedError: No candidate can.
        """
        return self._record(Operation("with_structured_output", (schema,), {"include_raw": include_raw, **kwargs}))

    def bind(self, **kwargs: Any) -> RouterBinding:  # type: ignore[override]
        """Bind keyword arguments for the chosen model; tools may still be bound to the result."""
        return RouterBinding(bound=self, kwargs=kwargs, config={})

    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> RouterBinding:
        """Bind a config; tools may still be bound to the result, and the config stays."""
        return RouterBinding(bound=self, kwargs={}, config=cast("RunnableConfig", {**(config or {}), **kwargs}))

    def _record(self, operation: Operation) -> Runnable[LanguageModelInput, Any]:
        operation.excluded(self.models)
        return self.bind(**{OPERATION_KEY: operation})

    # One answer.

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Decide and have the chosen model answer."""
        return self._invoke(input, config, self._read(stop, kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """:meth:`invoke`, asynchronously."""
        return await self._ainvoke(input, config, self._read(stop, kwargs))

    def _invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None, call: Call, prepared: Prepared = None
    ) -> AIMessage:
        def answer(prompt: Any, config: RunnableConfig) -> Any:
            decision, chosen, kwargs = self._decide(prompt, config, call, prepared)
            return self.whole(chosen.invoke(prompt, route_config(config, decision), **kwargs), decision)

        prompt: Any = self._convert_input(input)
        return self._call_with_config(cast("Any", answer), prompt, self._own_config(config))

    async def _ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None, call: Call, prepared: Prepared = None
    ) -> AIMessage:
        async def answer(prompt: Any, config: RunnableConfig) -> Any:
            decision, chosen, kwargs = await self._adecide(prompt, config, call, prepared)
            return self.whole(await chosen.ainvoke(prompt, route_config(config, decision), **kwargs), decision)

        prompt: Any = self._convert_input(input)
        return await self._acall_with_config(cast("Any", answer), prompt, self._own_config(config))

    # Many answers.

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Decide for all inputs with one forward pass; the chosen models answer in parallel."""
        if not inputs:
            return []
        call = self._read(stop, kwargs)
        configs = get_config_list(config, len(inputs))
        outcomes = self.selector.prepare(inputs, configs, route=call.route, context=call.context)

        def answer(input: LanguageModelInput, config: RunnableConfig, prepared: Prepared) -> Any:
            try:
                return self._invoke(input, config, call, prepared)
            except Exception as error:
                if return_exceptions:
                    return error
                raise

        if len(inputs) == 1:
            return [answer(inputs[0], configs[0], outcomes[0])]
        with get_executor_for_config(configs[0]) as executor:
            return list(executor.map(answer, inputs, configs, outcomes))

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """:meth:`batch`, asynchronously."""
        if not inputs:
            return []
        call = self._read(stop, kwargs)
        configs = get_config_list(config, len(inputs))
        outcomes = await asyncio.to_thread(
            self.selector.prepare, inputs, configs, route=call.route, context=call.context
        )

        async def answer(input: LanguageModelInput, config: RunnableConfig, prepared: Prepared) -> Any:
            try:
                return await self._ainvoke(input, config, call, prepared)
            except Exception as error:
                if return_exceptions:
                    return error
                raise

        answers = map(answer, inputs, configs, outcomes)
        return await gather_with_concurrency(configs[0].get("max_concurrency"), *answers)

    # Streams.

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Decide and stream what the chosen model says; the first chunk carries the decision."""
        if self._streaming_off(kwargs):
            yield cast("AIMessageChunk", self.invoke(input, config, stop=stop, **kwargs))
            return
        call = self._read(stop, kwargs)
        child = ExitStack()

        def answer(prompts: Iterator[Any], config: RunnableConfig) -> Iterator[Any]:
            prompt = next(prompts)
            decision, chosen, kwargs = self._decide(prompt, config, call)
            chunks = chosen.stream(prompt, route_config(config, decision), **kwargs)
            yield from stamped(child.enter_context(closing(cast("Any", chunks))), decision, self.check_end)

        prompt: Any = self._convert_input(input)
        run = self._transform_stream_with_config(iter([prompt]), cast("Any", answer), self._own_config(config))
        # The chosen model's stream is closed before the router's run, also when the caller stops early.
        with closing(cast("Any", run)) as chunks, child:
            for chunk in chunks:  # noqa: UP028 - "yield from" would close the router's run first
                yield chunk

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """:meth:`stream`, asynchronously."""
        if self._streaming_off(kwargs):
            yield cast("AIMessageChunk", await self.ainvoke(input, config, stop=stop, **kwargs))
            return
        call = self._read(stop, kwargs)
        child = AsyncExitStack()

        async def answer(prompts: AsyncIterator[Any], config: RunnableConfig) -> AsyncIterator[Any]:
            prompt = await prompts.__anext__()
            decision, chosen, kwargs = await self._adecide(prompt, config, call)
            chunks = chosen.astream(prompt, route_config(config, decision), **kwargs)
            opened = await child.enter_async_context(aclosing(cast("Any", chunks)))
            async for chunk in astamped(opened, decision, self.check_end):
                yield chunk

        async def only(prompt: Any) -> AsyncIterator[Any]:
            yield prompt

        prompts = only(self._convert_input(input))
        run = self._atransform_stream_with_config(prompts, cast("Any", answer), self._own_config(config))
        async with aclosing(cast("Any", run)) as chunks, child:
            async for chunk in chunks:
                yield chunk

    def stream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: str = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """``version="v3"``: the chosen model's typed stream; its last event and message carry the decision."""
        if version != "v3":
            return super().stream_events(input, config, version=cast("Any", version), stop=stop, **kwargs)
        call = self._read(stop, kwargs)
        prompt = self._convert_input(input)
        config = self._own_config(config)

        def start_run() -> CallbackManagerForChainRun:
            return get_callback_manager_for_config(config).on_chain_start(
                None, cast("Any", prompt), **self._run(config)
            )

        def open_stream(run: CallbackManagerForChainRun) -> tuple[RoutingDecision, ChatModelStream]:
            child = patch_config(config, callbacks=run.get_child())
            decision, chosen, kwargs = self._decide(prompt, child, call)
            return decision, chosen.stream_events(prompt, route_config(child, decision), version="v3", **kwargs)

        return RoutedStream(start_run, open_stream, self.check_end)

    def astream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: str = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """:meth:`stream_events`, asynchronously; for ``version="v3"`` await the stream."""
        if version != "v3":
            return super().astream_events(input, config, version=cast("Any", version), stop=stop, **kwargs)
        return self._astream_v3(self._convert_input(input), self._own_config(config), self._read(stop, kwargs))

    async def _astream_v3(self, prompt: PromptValue, config: RunnableConfig, call: Call) -> AsyncChatModelStream:
        async def start_run() -> AsyncCallbackManagerForChainRun:
            manager = get_async_callback_manager_for_config(config)
            return await manager.on_chain_start(None, cast("Any", prompt), **self._run(config))

        async def open_stream(run: AsyncCallbackManagerForChainRun) -> tuple[RoutingDecision, AsyncChatModelStream]:
            child = patch_config(config, callbacks=run.get_child())
            decision, chosen, kwargs = await self._adecide(prompt, child, call)
            stream = chosen.astream_events(prompt, route_config(child, decision), version="v3", **kwargs)
            return decision, await stream

        return RoutedAsyncStream(start_run, open_stream, self.check_end)

    # Details.

    def _read(self, stop: list[str] | None, kwargs: dict[str, Any]) -> Call:
        """Sort the keyword arguments of a call."""
        kept = {**kwargs} if self.cache_control is None else {"cache_control": self.cache_control, **kwargs}
        operation: Operation | None = kept.pop(OPERATION_KEY, None)
        if stop is not None:
            kept["stop"] = stop
        named = kept.get("model")
        route: str | None = kept.pop("model") if isinstance(named, str) and named in self.models else None
        unable = operation.excluded(self.models) if operation else {}
        unfit = {name: why for name, why in self.refusing(kept).items() if name not in unable}
        if len(unable) + len(unfit) == len(self.models):
            unfit = {}
        return Call(operation, route, kept, context_of(operation, kept, {**unfit, **unable}, self.facts))

    def _decide(self, prompt: Any, config: RunnableConfig, call: Call, prepared: Prepared = None) -> Decided:
        asked: dict[str, Any] = {"route": call.route, "prepared": prepared, "context": call.context}
        return self._ready(self.selector.invoke(prompt, config, **asked), call)

    async def _adecide(self, prompt: Any, config: RunnableConfig, call: Call, prepared: Prepared = None) -> Decided:
        asked: dict[str, Any] = {"route": call.route, "prepared": prepared, "context": call.context}
        return self._ready(await self.selector.ainvoke(prompt, config, **asked), call)

    def _ready(self, decision: RoutingDecision, call: Call) -> Decided:
        kwargs = self.settings_for(decision.model, call.kwargs)
        notes = decision.notes
        if dropped := sorted(call.kwargs.keys() - kwargs.keys() - {"cache_control"}):
            notes = (*notes, f"dropped {', '.join(dropped)}, which {decision.model} refuses")
        asked = effort_of(kwargs)
        if asked and asked != decision.effort:
            usual = decision.effort or "the usual effort"
            notes = (*notes, f"the call asks for effort {asked}; P(success) is that of {usual}")
        if notes != decision.notes:
            decision = decision.model_copy(update={"effort": asked or decision.effort, "notes": notes})
        chosen = self.models[decision.model]
        return decision, call.operation.replay(chosen) if call.operation else chosen, kwargs

    def _run(self, config: RunnableConfig) -> dict[str, Any]:
        return {"name": config.get("run_name") or self.get_name(), "run_id": config.get("run_id")}

    def _streaming_off(self, kwargs: dict[str, Any]) -> bool:
        operation = kwargs.get(OPERATION_KEY)
        with_tools = kwargs.get("tools") or (operation is not None and operation.method == "bind_tools")
        return self.disable_streaming is True or (self.disable_streaming == "tool_calling" and bool(with_tools))
