"""``modelsat test``: the aptitude test of one model."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from modelsat.cli.console import JSONOption, bar, check_output, errors, examples, grid, output, split_names
from modelsat.errors import ConfigurationError, MissingDependencyError

if TYPE_CHECKING:
    from rich.live import Live

    from modelsat.lab.aptitude import AptitudeResult, AptitudeTest, Ledger, Prices, TaskResult
    from modelsat.lab.aptitude.plan import Plan

EXAMPLES = examples(
    "modelsat test openai/gpt-4o-mini",
    "modelsat test my-model --api-base http://localhost:8000/v1",
    "modelsat test ollama/llama3.1 --full --concurrency 2 --timeout 600",
    "modelsat test my-model --api-base https://llm.example.com/v1 --api-key-env MY_KEY --suite my_suite.yaml "
    "--budget 2",
    "modelsat test openai/gpt-4o-mini --dry-run",
)
STOPPED = 3
"""Exit code of a test that ended before a profile could be made; the same command goes on."""
_ROWS = 12
_EVERY_S = 30.0
"""Seconds between two lines where there is no terminal."""


def aptitude(
    model: Annotated[str, typer.Argument(help="The model as LiteLLM names it; with --api-base, as the server does.")],
    api_base: Annotated[
        str, typer.Option(metavar="URL", help="Base URL of any OpenAI-compatible server, usually ending in /v1.")
    ] = "",
    api_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="Variable that holds the key; by default the provider's usual one.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name in the profile; as the model is called if not given.")] = "",
    questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE.parquet", help="Questions in the columns of MMLU-Pro; from the Hub if not given."),
    ] = None,
    suite: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="Tasks of your own, asked on top.")] = None,
    suite_only: Annotated[bool, typer.Option("--suite-only", help="Ask only the tasks of --suite.")] = False,
    tasks: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Ask only these core tasks; for a first try.")
    ] = None,
    adaptive: Annotated[
        bool,
        typer.Option("--adaptive/--full", help="Choose questions by how informative they are, or ask all thousand."),
    ] = True,
    target_error: Annotated[
        float | None, typer.Option(help="Standard error of a task's accuracy at which --adaptive stops.")
    ] = None,
    circle: Annotated[
        int, typer.Option(metavar="N", help="Circle test: hard items must be right in N rotations of their options.")
    ] = 1,
    budget: Annotated[float | None, typer.Option(metavar="USD", help="Spend no more than this on this test.")] = None,
    input_price: Annotated[float | None, typer.Option(metavar="USD", help="Price of a million prompt tokens.")] = None,
    output_price: Annotated[float | None, typer.Option(metavar="USD", help="Price of a million reply tokens.")] = None,
    concurrency: Annotated[int, typer.Option(help="Concurrent calls.")] = 8,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Timeout of a call.")] = 120.0,
    max_tokens: Annotated[int, typer.Option(help="Maximum tokens of a reply, including reasoning.")] = 4096,
    temperature: Annotated[float, typer.Option(help="Sampling temperature; omitted for models that refuse it.")] = 0.0,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Further argument of the call: reasoning_effort=low."),
    ] = None,
    attempts: Annotated[int, typer.Option(help="Attempts per call.")] = 6,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Continue even if hardly any reply contains an answer.")
    ] = False,
    answers: Annotated[
        Path | None,
        typer.Option(metavar="FILE.sqlite", help="Where answers are kept; in your data folder if not given."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the answers of earlier runs.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait if another process tests this model.")] = False,
    by: Annotated[str, typer.Option("--by", metavar="WHO", help="Who tests; recorded in the profile.")] = "",
    profile: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.json", help="Write the profile to this file too.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the profile (.png, .svg or .pdf).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start without asking for confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be asked, and stop.")] = False,
    as_json: JSONOption = False,
) -> None:
    """Test a model on the core tasks and make its capability profile (names of LiteLLM need the extra "test").

    Answers are kept as they arrive. If the test stops for any reason, run the same command to continue.
    """
    from modelsat.lab.aptitude import AptitudeSettings, AptitudeTest, Limits
    from modelsat.lab.aptitude.plan import TARGET_ERROR
    from modelsat.lab.aptitude.subjects import subject_named

    if profile is not None:
        check_output(profile, ".json")
    if plot is not None:
        check_output(plot, ".png", ".svg", ".pdf")
        if find_spec("matplotlib") is None:
            raise MissingDependencyError.for_extra("drawing a profile", "test")
    subject = subject_named(
        model,
        api_base,
        api_key=_key(api_key_env),
        max_tokens=max_tokens,
        temperature=temperature,
        timeout=timeout,
        options=dict(_option(text) for text in options or ()),
    )
    settings = AptitudeSettings(
        questions=questions,
        tasks=split_names(tasks),
        core=not suite_only,
        suite=suite,
        adaptive=adaptive,
        target_error=TARGET_ERROR if target_error is None else target_error,
        circle=circle,
        limits=Limits(concurrency, attempts, budget_usd=budget, keep_going=keep_going),
        prices=_prices(input_price, output_price),
        answers=answers,
        wait=wait,
        fresh=fresh,
        tested_by=by,
    )
    with AptitudeTest(subject, settings, name=name) as running:
        plan = running.plan()
        _show_plan(plan, running)
        if dry_run:
            return
        if plan.calls and not yes and not typer.confirm("Start?", default=True, err=True):
            raise typer.Exit(1)
        result = _run(running, plan)
    _finish(result, profile, plot, partly=not settings.core or bool(settings.tasks), as_json=as_json)


def _key(variable: str) -> str | None:
    key = os.environ.get(variable) if variable else None
    if variable and not key:
        raise ConfigurationError(f"the variable {variable}, which should hold the key, is not set")
    return key


def _option(text: str) -> tuple[str, Any]:
    key, found, value = text.partition("=")
    if not found or not key.isidentifier():
        raise ConfigurationError(f"--option {text!r}: write KEY=VALUE, e.g. reasoning_effort=low")
    if key in ("api_key", "messages", "model", "api_base"):
        raise ConfigurationError(f"--option {key} has an option or argument of its own")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _prices(paid: float | None, made: float | None) -> Prices | None:
    from modelsat.lab.aptitude import Prices

    if paid is None and made is None:
        return None
    if paid is None or made is None:
        raise ConfigurationError("give both --input-price and --output-price")
    return Prices(paid, made, "given")


def _show_plan(plan: Plan, running: AptitudeTest) -> None:
    known = f"; {plan.known:,} answers are there already" if plan.known else ""
    most = "at most " if plan.mode == "adaptive" and plan.calls else ""
    tokens = f"about {plan.prompt_tokens:,} + {plan.completion_tokens:,} tokens"
    money = "price unknown (--input-price, --output-price)"
    if plan.usd is not None:
        usd = f"{plan.usd:.2f}" if plan.usd >= 0.995 or plan.usd == 0 else f"{plan.usd:.3g}"
        money = f"about {usd} USD"
    if plan.prices is not None:
        money += " by the prices given" if plan.prices.origin == "given" else f" by {plan.prices.origin}"
    for line in (
        f"[bold]{escape(plan.model)}[/]: {plan.questions:,} questions, {plan.mode}{known}",
        f"to ask: {most}{plan.calls:,} calls, {tokens}, {money}",
        *(f"runs Python code: {escape(function)}" for function in plan.functions),
        *(f"asks a judge on top: {escape(judge)}" for judge in plan.judges),
        f"[dim]answers: {escape(str(running.answers_file))}[/]",
    ):
        errors().print(line, highlight=False, soft_wrap=True)


def _run(running: AptitudeTest, plan: Plan) -> AptitudeResult:
    from rich.live import Live

    console = errors()
    live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
    try:
        with live or nullcontext():
            return running.run(_Progress(console, live, plan, running.tasks_by_question))
    except KeyboardInterrupt:
        console.print("[yellow]stopped; all answers so far are kept: the same command goes on[/]", highlight=False)
        raise typer.Exit(130) from None


class _Progress:
    """Shows a running test: bars of the latest tasks on a terminal, else a line every half a minute."""

    def __init__(self, console: Console, live: Live | None, plan: Plan, tasks: dict[str, str]) -> None:
        self._console, self._live, self._plan, self._tasks = console, live, plan, tasks
        self._pause = _EVERY_S if live is None else 0.2
        self._start = time.monotonic()
        self._last = self._start if live is None else -math.inf

    def __call__(self, ledger: Ledger) -> None:
        now = time.monotonic()
        if now - self._last < self._pause:
            return
        self._last = now
        line = self._line(ledger, now - self._start)
        if self._live is None:
            self._console.print(line, highlight=False, soft_wrap=True)
        else:
            self._live.update(Group(self._bars(ledger), "", Text(line)))

    def _bars(self, ledger: Ledger) -> Table:
        from modelsat.lab.aptitude.compare import plain_name

        scores: dict[str, list[float]] = {}
        for (question, rotation), answer in reversed(ledger.answers.items()):
            if rotation == 0 and question in self._tasks:
                scores.setdefault(self._tasks[question], []).append(answer.score)
        table = Table.grid(*(Column(no_wrap=True, overflow="ellipsis") for _ in range(3)), padding=(0, 2))
        for task, found in list(scores.items())[:_ROWS]:
            share = sum(found) / len(found)
            table.add_row(plain_name(task), bar(share), f"{share:4.0%} of {len(found)}")
        return table

    def _line(self, ledger: Ledger, seconds: float) -> str:
        answers = ledger.answers.values()
        rate = ledger.fresh / seconds if seconds > 0 else 0.0
        left = max(0, self._plan.calls - ledger.fresh - len(ledger.failed))
        parts = [
            f"{ledger.fresh:,} of {self._plan.calls:,} asked",
            f"{sum(answer.score for answer in answers) / max(1, len(answers)):.0%} right",
            f"{sum(answer.problem is not None for answer in answers)} without an answer",
            f"{ledger.spent_usd:.4f} USD" if ledger.spent_usd else "cost unknown",
            f"{rate:.1f} a second",
        ]
        if rate:
            parts.append(f"{timedelta(seconds=round(left / rate))} left")
        if ledger.retries:
            parts.append(f"{sum(ledger.retries.values())} tried again")
        if ledger.failed:
            parts.append(f"{len(ledger.failed)} without a reply")
        return " · ".join(parts)


def _finish(result: AptitudeResult, profile: Path | None, plot: Path | None, *, partly: bool, as_json: bool) -> None:
    from modelsat.capability import save_profiles
    from modelsat.lab.aptitude import keep
    from modelsat.lab.aptitude.compare import draw

    files: list[Path] = []
    if result.profile is not None:
        made, saved = keep(result.profile, merge=partly)
        files.append(saved)
        if profile is not None:
            save_profiles([made], profile)
            files.append(profile)
        if plot is not None:
            draw([made], plot)
            files.append(plot)
    if as_json:
        typer.echo(json.dumps(_as_json(result), ensure_ascii=False, indent=1))
    else:
        _show_result(result, files)
    if result.profile is None:
        raise typer.Exit(STOPPED)


def _as_json(result: AptitudeResult) -> dict[str, Any]:
    made = result.profile
    return {
        **asdict(replace(result, profile=None)),
        "profile": None if made is None else made.model_dump(mode="json", exclude_defaults=True),
        "asked": result.asked,
        "unread": result.unread,
        "accuracy": round(result.accuracy, 6),
    }


def _show_result(result: AptitudeResult, files: Sequence[Path]) -> None:
    """Print the figures by field, the counts, what went wrong, and what to do next."""
    lines = []
    if result.tasks:
        output().print(_table(result))
        cost = f"{result.cost_usd:.4f} USD" if result.cost_usd else "cost unknown"
        lines.append(
            f"[bold]{result.accuracy:.1%}[/] over {len(result.tasks)} tasks; {result.asked:,} of {result.questions:,} "
            f"questions asked ({result.mode}), {result.fresh:,} calls now and {result.calls - result.fresh:,} earlier, "
            f"{result.prompt_tokens:,} + {result.completion_tokens:,} tokens, {cost}"
        )
    for title, counts in (
        ("without an answer (counted as wrong)", result.problems),
        ("without a reply (not counted)", result.failed),
        ("tried again", result.retries),
    ):
        if counts:
            listed = ", ".join(f"{count} {name}" for name, count in Counter(counts).most_common())
            lines.append(f"{title}: {escape(listed)}")
    lines += [f"[yellow]note:[/] {escape(warning)}" for warning in result.warnings]
    if result.profile is None:
        lines.append(f"[yellow]no profile was made: {escape(result.stopped or 'too little was answered')}[/]")
    else:
        name = result.profile.model
        quoted = escape(f'"{name}"' if " " in name else name)
        lines.append(f"profile saved: {escape(', '.join(map(str, files)))}")
        lines.append(
            f'next: [bold]modelsat show {quoted}[/] · [bold]modelsat route "..." --models gpt-4o-mini,{quoted}[/] · '
            f'Router(["{escape(name)}", ...])'
        )
    for line in lines:
        output().print(line, highlight=False, soft_wrap=True)


def _table(result: AptitudeResult) -> Table:
    from modelsat.lab.aptitude.compare import field_of

    table = grid("field", Column("", no_wrap=True, min_width=20), ">accuracy", ">95 %", ">asked", ">without answer")
    groups: dict[str, list[TaskResult]] = {}
    for task in result.tasks:
        groups.setdefault(field_of(task.task), []).append(task)
    means = {name: sum(task.accuracy for task in tasks) / len(tasks) for name, tasks in groups.items()}
    for name, mean in sorted(means.items(), key=lambda entry: -entry[1]):
        tasks = groups[name]
        reach = sum(((task.high - task.low) / 2) ** 2 for task in tasks) ** 0.5 / len(tasks)
        unread = sum(task.unread for task in tasks)
        asked = f"{sum(task.asked for task in tasks)} of {sum(task.items for task in tasks)}"
        table.add_row(escape(name), bar(mean), f"{mean:.1%}", f"±{reach:.1%}", asked, str(unread or ""))
    return table
