"""The progress bar of the commands; it shows only if the work takes long."""

from __future__ import annotations

import time
from contextlib import closing

from modelsat.cli.console import errors

PATIENCE_S = 2.0
"""Seconds after which a bar shows."""


class Bar:
    """A bar on standard error, from :func:`progress`."""

    def __init__(self, what: str, total: int | None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=errors(), transient=True)
        self._task = self._bars.add_task(what, total=total)
        self._started = time.monotonic()

    def __call__(self, steps: int = 1) -> None:
        """Add the number of steps done since the last call."""
        self._bars.advance(self._task, steps)
        self._show()

    def report(self, what: str, done: int, total: int) -> None:
        """Show another piece of work, of which ``done`` of ``total`` steps are done."""
        self._bars.update(self._task, description=what, completed=done, total=total)
        self._show()

    def _show(self) -> None:
        if not self._bars.live.is_started and time.monotonic() - self._started > PATIENCE_S:
            self._bars.start()

    def close(self) -> None:
        """Remove the bar."""
        if self._bars.live.is_started:
            self._bars.stop()


def progress(what: str, total: int | None = None) -> closing[Bar]:
    """Show a bar for ``total`` steps, to be used as a context manager; call it with the number of steps done since."""
    return closing(Bar(what, total))
