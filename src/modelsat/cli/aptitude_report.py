"""What a test has found, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modelsat.cli.console import bar
from modelsat.lab.aptitude.fields import field_of

if TYPE_CHECKING:
    from modelsat.lab.aptitude import AptitudeResult, TaskResult


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
        f"questions "
        f"asked ({result.mode}), {result.fresh:,} calls now and {result.calls - result.fresh:,} earlier, "
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
