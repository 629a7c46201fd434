"""What the chosen model answers: stamped with the decision, checked for its end, streamed through the router's run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream
from langchain_core.messages import AIMessage, BaseMessage

from modelsat.errors import InvalidFeedbackError
from modelsat.router.decision import RoutingDecision

DECISION_KEY = "routing_decision"
"""``message.response_metadata[DECISION_KEY]`` holds the decision as plain data."""
_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason", "finishReason", "status")
"""Where chat models keep why an answer ended; ``status`` is that of OpenAI's Responses API."""

Event = Mapping[str, Any]
CheckEnd = Callable[..., None]
"""Given a decision, the metadata of an answer and its length, raises if the answer broke off."""
OpenStream = Callable[[CallbackManagerForChainRun], tuple[RoutingDecision, ChatModelStream]]
AsyncOpenStream = Callable[[AsyncCallbackManagerForChainRun], Awaitable[tuple[RoutingDecision, AsyncChatModelStream]]]


def dump(decision: RoutingDecision) -> dict[str, Any]:
    """The decision as JSON-compatible data; ``RoutingDecision(**data)`` reads it back."""
    return decision.model_dump(mode="json")


def decision_id(answer: str | BaseMessage | RoutingDecision) -> str:
    """The identifier of the decision behind ``answer``: a message of a routing chat model, a decision, or it itself.

    Raises:
        InvalidFeedbackError: The message carries no decision.
    """
    if isinstance(answer, str):
        return answer
    if isinstance(answer, RoutingDecision):
        return answer.id
    decision = answer.response_metadata.get(DECISION_KEY)
    if not isinstance(decision, Mapping) or not isinstance(decision.get("id"), str):
        raise InvalidFeedbackError(
            f"the message carries no decision: response_metadata[{DECISION_KEY!r}] is missing; give the message that "
            "ModelSATRouter returned, or the decision's id"
        )
    return str(decision["id"])


def stamp(output: Any, decision: RoutingDecision) -> Any:
    """A copy of ``output`` that carries the decision; what is not a message (or holds none) is returned as it is.

    With ``include_raw=True`` the raw message carries it.
    """
    if isinstance(output, BaseMessage):
        metadata = {**output.response_metadata, DECISION_KEY: dump(decision)}
        return output.model_copy(update={"response_metadata": metadata})
    if isinstance(output, dict) and isinstance(output.get("raw"), BaseMessage):
        return {**output, "raw": stamp(output["raw"], decision)}
    return output


def _stamp_event(event: Event, decision: RoutingDecision) -> Event:
    """The last event of a message with the decision among its metadata; other events as they are."""
    if event.get("event") != "message-finish":
        return event
    return {**event, "metadata": {**(event.get("metadata") or {}), DECISION_KEY: dump(decision)}}


def reason_to_stop(metadata: Mapping[str, Any]) -> str | None:
    """Why the model ended an answer with this ``response_metadata``; ``None`` if its provider does not say."""
    found = (metadata.get(name) for name in _REASONS)
    return next((reason for reason in found if isinstance(reason, str) and reason not in ("", "in_progress")), None)


def said_something(chunk: Any) -> bool:
    """Whether a chunk of a stream holds something of the answer."""
    if not isinstance(chunk, AIMessage):
        return chunk is not None
    return bool(chunk.content or chunk.tool_calls or chunk.invalid_tool_calls or chunk.additional_kwargs)


def stamped(chunks: Iterator[Any], decision: RoutingDecision, check_end: CheckEnd) -> Iterator[Any]:
    """``chunks`` with the decision on the first: visible at once, and once in their sum.

    Nothing is handed on before something of the answer is there, so that a fallback may still answer until then.

    Raises:
        IncompleteAnswerError: They ended without a reason to stop, though this route's answers have one.
    """
    watch = _Watch(decision, check_end)
    for chunk in chunks:
        yield from watch.take(chunk)
    yield from watch.end()


async def astamped(chunks: AsyncIterator[Any], decision: RoutingDecision, check_end: CheckEnd) -> AsyncIterator[Any]:
    """:func:`stamped`, asynchronously."""
    watch = _Watch(decision, check_end)
    async for chunk in chunks:
        for ready in watch.take(chunk):
            yield ready
    for ready in watch.end():
        yield ready


class _Watch:
    """Holds chunks back until something of the answer is there, and looks for its reason to stop."""

    def __init__(self, decision: RoutingDecision, check_end: CheckEnd) -> None:
        self._decision, self._check_end = decision, check_end
        self._held: list[Any] = []
        self._open = self._stamped = False
        self._characters = 0
        self._metadata: Mapping[str, Any] | None = None

    def take(self, chunk: Any) -> list[Any]:
        """The chunks that may be handed on now."""
        if isinstance(chunk, AIMessage):
            self._characters += len(str(chunk.text))
            if self._metadata is None or reason_to_stop(self._metadata) is None:
                self._metadata = chunk.response_metadata
        chunk = chunk if self._stamped else stamp(chunk, self._decision)
        self._stamped = True
        self._held.append(chunk)
        self._open = self._open or said_something(chunk)
        return self._release() if self._open else []

    def end(self) -> list[Any]:
        """What was held back to the end, once it is known to be the end."""
        if self._metadata is not None:
            self._check_end(self._decision, self._metadata, self._characters)
        return self._release()

    def _release(self) -> list[Any]:
        ready, self._held = self._held, []
        return ready


class RoutedStream(ChatModelStream):
    """The typed event stream of the chosen model inside a run of the router. Nothing happens before it is read.

    ``start_run`` starts the router's run; ``open_stream`` decides and opens the chosen model's stream as its children.
    """

    def __init__(
        self, start_run: Callable[[], CallbackManagerForChainRun], open_stream: OpenStream, check_end: CheckEnd
    ) -> None:
        super().__init__()
        self._check_end = check_end
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
            _check(event, self._decision, self._check_end)
        except StopIteration:
            self._end_with(ValueError("the chosen model's stream ended without a message"))
            return False
        except BaseException as error:
            self._end_with(error)
            return False
        self.dispatch(_stamp_event(event, self._decision))
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
        check_end: CheckEnd,
    ) -> None:
        super().__init__()
        self._check_end = check_end
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
                _check(event, self._decision, self._check_end)
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
        self.dispatch(_stamp_event(event, decision))
        if self.output_message is not None:
            await run.on_chain_end(self.output_message)
        elif event.get("event") == "error":
            await run.on_chain_error(_reported(event))

    async def _end_with(self, error: BaseException) -> None:
        if not self.done:
            self.fail(error)
        if self._run is not None:
            await self._run.on_chain_error(error)


def _check(event: Event, decision: RoutingDecision, check_end: CheckEnd) -> None:
    """Raise where the last event of a message does not say why it ended, though it should."""
    if event.get("event") == "message-finish":
        check_end(decision, event.get("metadata") or {})


def _reported(event: Event) -> RuntimeError:
    return RuntimeError(str(event.get("message", "the chosen model's stream failed")))
