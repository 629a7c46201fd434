"""The live display of a running test: a bar for every task, and what it has cost so far."""

from __future__ import annotations

import time
from collections import defaultdict
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from modelsat.cli.console import bar

if TYPE_CHECKING:
    from modelsat.lab.aptitude import Ledger, Plan

_ROWS = 12
_EVERY_S = 30.0
"""Seconds between two lines where there is no terminal."""


class TaskBars:
    """Shows a running test; a context manager.

    Args:
        console: Where to.
        plan: What is going to be asked.
        tasks: Task of each question, by id.
    """

    def __init__(self, console: Console, plan: Plan, tasks: dict[str, str]) -> None:
        self._console, self._plan, self._tasks = console, plan, tasks
        self._start = self._last = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> TaskBars:
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take the display away."""
        self.stop()

    def stop(self) -> None:
        """Take the display away; may be called twice."""
        if self._live is not None:
            self._live.stop()

    def update(self, ledger: Ledger) -> None:
        """Show what has been asked so far."""
        now = time.monotonic()
        if self._live is not None:
            if now - self._last >= 0.2 or ledger.fresh <= 1:
                self._last = now
                self._live.update(self._shown(ledger, now - self._start))
        elif now - self._last >= _EVERY_S:
            self._last = now
            self._console.print(self._line(ledger, now - self._start), highlight=False, soft_wrap=True)

    def _shown(self, ledger: Ledger, seconds: float) -> RenderableType:
        scores: dict[str, list[float]] = defaultdict(list)
        for (question, rotation), answer in ledger.answers.items():
            if rotation == 0 and question in self._tasks:
                scores[self._tasks[question]].append(answer.score)
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True, overflow="ellipsis")
        from modelsat.lab.aptitude.fields import plain_name

        latest = list(dict.fromkeys(self._tasks[key[0]] for key in reversed(ledger.answers) if key[0] in self._tasks))
        for task in latest[:_ROWS]:
            found = scores[task]
            share = sum(found) / len(found) if found else 0.0
            table.add_row(plain_name(task), bar(share), f"{share:4.0%} of {len(found)}")
        return Group(table, Text(""), Text(self._line(ledger, seconds)))

    def _line(self, ledger: Ledger, seconds: float) -> str:
        right = sum(answer.score for answer in ledger.answers.values())
        unread = sum(answer.problem is not None for answer in ledger.answers.values())
        rate = ledger.fresh / seconds if seconds > 0 else 0.0
        left = max(0, self._plan.calls - ledger.fresh - len(ledger.failed))
        parts = [
            f"{ledger.fresh:,} of {self._plan.calls:,} asked",
            f"{right / max(1, len(ledger.answers)):.0%} right",
            f"{unread} without an answer",
            f"{ledger.spent_usd:.4f} USD" if ledger.spent_usd else "cost unknown",
            f"{rate:.1f} a second",
            f"{_duration(left / rate)} left" if rate else "",
        ]
        if ledger.retries:
            parts.append(f"{sum(ledger.retries.values())} tried again")
        if ledger.failed:
            parts.append(f"{len(ledger.failed)} without a reply")
        return " · ".join(part for part in parts if part)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
