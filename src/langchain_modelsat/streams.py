"""Streams of the chosen model, handed on through the router's own run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream

from langchain_modelsat.records import stamp, stamp_event
from modelsat.router.decision import RoutingDecision

Event = Mapping[str, Any]
OpenStream = Callable[[CallbackManagerForChainRun], tuple[RoutingDecision, ChatModelStream]]
AsyncOpenStream = Callable[[AsyncCallbackManagerForChainRun], Awaitable[tuple[RoutingDecision, AsyncChatModelStream]]]


def stamped(chunks: Iterator[Any], decision: RoutingDecision) -> Iterator[Any]:
    """``chunks`` with the decision on the first: visible at once, and once in their sum."""
    first = True
    for chunk in chunks:
        yield stamp(chunk, decision) if first else chunk
        first = False


async def astamped(chunks: AsyncIterator[Any], decision: RoutingDecision) -> AsyncIterator[Any]:
    """:func:`stamped`, asynchronously."""
    first = True
    async for chunk in chunks:
        yield stamp(chunk, decision) if first else chunk
        first = False


class RoutedStream(ChatModelStream):
    """The typed event stream of the chosen model inside a run of the router. Nothing happens before it is read.

    Args:
        start_run: Starts the router's run.
        open_stream: Decides and opens the chosen model's stream, as children of that run.
    """

    def __init__(self, start_run: Callable[[], CallbackManagerForChainRun], open_stream: OpenStream) -> None:
        super().__init__()
        self._start_run = start_run
        self._open_stream = open_stream
        self._run: CallbackManagerForChainRun | None = None
        self._decision: RoutingDecision | None = None
        self._inner_events: Iterator[Event] | None = None
        self.set_start(self._begin)
        self.bind_pump(self._pump)

    def _begin(self) -> None:
        if self._run is not None:
            return
        self._run = self._start_run()
        try:
            self._decision, inner = self._open_stream(self._run)
            self._inner_events = iter(inner)
        except BaseException as error:
            self._end_with(error)

    def _pump(self) -> bool:
        self._begin()
        if self.done or self._run is None or self._decision is None or self._inner_events is None:
            return False
        try:
            event = next(self._inner_events)
        except StopIteration:
            self._end_with(ValueError("the chosen model's stream ended without a message"))
            return False
        except BaseException as error:
            self._end_with(error)
            return False
        self.dispatch(stamp_event(event, self._decision))
        if self.output_message is not None:
            self._run.on_chain_end(self.output_message)
        elif event.get("event") == "error":
            self._run.on_chain_error(_reported(event))
        return True

    def _end_with(self, error: BaseException) -> None:
        if not self.done:
            self.fail(error)
        if self._run is not None:
            self._run.on_chain_error(error)


class RoutedAsyncStream(AsyncChatModelStream):
    """:class:`RoutedStream`, asynchronously; closing it closes the chosen model's stream."""

    def __init__(
        self,
        start_run: Callable[[], Awaitable[AsyncCallbackManagerForChainRun]],
        open_stream: AsyncOpenStream,
    ) -> None:
        super().__init__()
        self._start_run = start_run
        self._open_stream = open_stream
        self._run: AsyncCallbackManagerForChainRun | None = None
        self._decision: RoutingDecision | None = None
        self._inner: AsyncChatModelStream | None = None
        self._inner_events: AsyncIterator[Event] | None = None
        self._lock = asyncio.Lock()
        self.set_start(self._begin)
        self.set_arequest_more(self._pump)

    async def aclose(self) -> None:
        """Stop the chosen model and end the run. Safe to call more than once, and after the end."""
        if self._inner is not None:
            await self._inner.aclose()
        if not self.done:
            await self._end_with(asyncio.CancelledError())

    async def _begin(self) -> None:
        async with self._lock:
            if self._run is not None or self.done:
                return
            self._run = await self._start_run()
            try:
                self._decision, self._inner = await self._open_stream(self._run)
            except BaseException as error:
                await self._end_with(error)
                if isinstance(error, asyncio.CancelledError):
                    raise
                return
            self._inner_events = self._inner.__aiter__()

    async def _pump(self) -> bool:
        await self._begin()
        async with self._lock:
            if self.done or self._inner_events is None or self._decision is None or self._run is None:
                return False
            try:
                event = await self._inner_events.__anext__()
            except StopAsyncIteration:
                await self._end_with(ValueError("the chosen model's stream ended without a message"))
                return False
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                await self._end_with(error)
                return False
            await self._hand_on(event, self._run, self._decision)
            return True

    async def _hand_on(self, event: Event, run: AsyncCallbackManagerForChainRun, decision: RoutingDecision) -> None:
        if event.get("event") == "message-finish" and self._inner is not None:
            await self._inner  # The chosen model's run ends before the router's.
        self.dispatch(stamp_event(event, decision))
        if self.output_message is not None:
            await run.on_chain_end(self.output_message)
        elif event.get("event") == "error":
            await run.on_chain_error(_reported(event))

    async def _end_with(self, error: BaseException) -> None:
        if not self.done:
            self.fail(error)
        if self._run is not None:
            await self._run.on_chain_error(error)


def _reported(event: Event) -> RuntimeError:
    return RuntimeError(str(event.get("message", "the chosen model's stream failed")))
