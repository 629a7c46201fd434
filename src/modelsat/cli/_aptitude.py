"""What ``modelsat test`` shows: the running test, and its result."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from modelsat.cli.console import bar
from modelsat.lab.aptitude.compare import field_of

if TYPE_CHECKING:
    from modelsat.lab.aptitude import AptitudeResult, Ledger, TaskResult
    from modelsat.lab.aptitude.plan import Plan

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
        """Show the display."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the display."""
        self.stop()

    def stop(self) -> None:
        """Remove the display; may be called twice."""
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
        from modelsat.lab.aptitude.compare import plain_name

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


def show_result(console: Console, result: AptitudeResult, saved: Path | None, written: Sequence[Path]) -> None:
    """Print the figures by field, the counts, what went wrong, and what to do next."""
    if result.tasks:
        console.print(_table(result))
        console.print(_counts(result), highlight=False, soft_wrap=True)
    for line in _troubles(result):
        console.print(line, highlight=False, soft_wrap=True)
    for warning in result.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}", highlight=False, soft_wrap=True)
    if result.profile is None:
        reason = result.stopped or "too little was answered"
        console.print(f"[yellow]no profile was made: {escape(reason)}[/]", highlight=False, soft_wrap=True)
        return
    name = result.profile.model
    quoted = f'"{name}"' if " " in name else name
    files = "".join(f", {path}" for path in written)
    console.print(f"profile saved: {escape(str(saved))}{escape(files)}", highlight=False, soft_wrap=True)
    console.print(
        f'next: [bold]modelsat show {escape(quoted)}[/] · [bold]modelsat route "..." --models '
        f"gpt-4o-mini,{escape(quoted)}[/]"
        f' · Router(["{escape(name)}", ...])',
        highlight=False,
        soft_wrap=True,
    )


def _table(result: AptitudeResult) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("field")
    table.add_column("", no_wrap=True, min_width=20)
    for name in ("accuracy", "95 %", "asked", "without answer"):
        table.add_column(name, justify="right")
    groups: dict[str, list[TaskResult]] = {}
    for task in result.tasks:
        groups.setdefault(field_of(task.task), []).append(task)
    rows = [(name, _mean(tasks), tasks) for name, tasks in groups.items()]
    for name, accuracy, tasks in sorted(rows, key=lambda row: -row[1]):
        reach = sum(((task.high - task.low) / 2) ** 2 for task in tasks) ** 0.5 / len(tasks)
        unread = sum(task.unread for task in tasks)
        table.add_row(
            escape(name),
            bar(accuracy),
            f"{accuracy:.1%}",
            f"±{reach:.1%}",
            f"{sum(task.asked for task in tasks)} of {sum(task.items for task in tasks)}",
            str(unread) if unread else "",
        )
    return table


def _mean(tasks: Sequence[TaskResult]) -> float:
    return sum(task.accuracy for task in tasks) / len(tasks)


def _counts(result: AptitudeResult) -> str:
    cost = f"{result.cost_usd:.4f} USD" if result.cost_usd else "cost unknown"
    return (
        f"[bold]{result.accuracy:.1%}[/] over {len(result.tasks)} tasks; {result.asked:,} of {result.questions:,} "
        f"questions asked ({result.mode}), {result.fresh:,} calls now and {result.calls - result.fresh:,} earlier, "
        f"{result.prompt_tokens:,} + {result.completion_tokens:,} tokens, {cost}"
    )


def _troubles(result: AptitudeResult) -> list[str]:
    lines = []
    for title, counts in (
        ("without an answer (counted as wrong)", result.problems),
        ("without a reply (not counted)", result.failed),
        ("tried again", result.retries),
    ):
        if counts:
            lines.append(f"{title}: {escape(_listed(counts))}")
    return lines


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]))
