"""A log handler whose lines are written a moment after they are said, off the path of the request."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from contextvars import Context, copy_context

LATER_S = 0.1
"""Seconds until a line is written: long enough for the request to be on its way to its provider."""


class LaterHandler(logging.Handler):
    """Hands lines to other handlers a little later, in order, with the time and the context that they were said at.

    LiteLLM's handlers search every line for secrets, which takes about as long as routing does outside the network.
    Where no event loop runs, and when the process ends, what waits is written at once.

    Args:
        handlers: Who writes the lines.
        later_s: Seconds until then.
    """

    def __init__(self, handlers: Sequence[logging.Handler], later_s: float = LATER_S) -> None:
        super().__init__()
        self._handlers = tuple(handlers)
        self._later_s = later_s
        self._waiting: deque[tuple[Context, logging.LogRecord]] = deque()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep ``record`` for later, if any of the handlers wants lines of its level."""
        if all(record.levelno < handler.level for handler in self._handlers):
            return
        self._waiting.append((copy_context(), record))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            loop.call_later(self._later_s, self.flush)

    def flush(self) -> None:
        """Write what waits; :func:`logging.shutdown` calls it when the process ends."""
        with self.lock or nullcontext():
            while self._waiting:
                context, record = self._waiting.popleft()
                for handler in self._handlers:
                    if record.levelno >= handler.level:
                        context.run(handler.handle, record)
