"""A queue of log lines that a thread writes, so that no request waits for the terminal, the pipe or the disk."""

from __future__ import annotations

import atexit
import logging
import os
import time
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any

GATHER_S = 0.02
"""How long lines are gathered before they are written: under load, waking up for each costs requests more."""


class _Gathering(QueueListener):
    def dequeue(self, block: bool) -> logging.LogRecord:
        """The next line; the first after a pause waits for others to come."""
        lines: Any = self.queue
        rested = block and lines.empty()
        record = super().dequeue(block)
        if rested:
            time.sleep(GATHER_S)
        return record


def queued(*handlers: logging.Handler) -> QueueHandler:
    """A handler that hands lines to ``handlers`` on another thread, each with the time at which it was said.

    What waits is written when the process ends. After a fork, the child writes its own lines.

    Args:
        handlers: Who writes the lines; each keeps its level.
    """
    handler = QueueHandler(SimpleQueue())
    listening: list[QueueListener] = []

    def listen() -> None:
        lines: Any = SimpleQueue()  # A child leaves alone what its parent waits to write, and the parent's lock.
        handler.queue = lines
        listening[:] = [_Gathering(lines, *handlers, respect_handler_level=True)]
        listening[0].start()

    listen()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=listen)
    atexit.register(lambda: listening[0].stop())
    return handler
