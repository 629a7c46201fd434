"""``modelsat test``: the aptitude test of one model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli.console import JSONOption, errors, output, split_names

if TYPE_CHECKING:
    from modelsat.lab.aptitude import AptitudeResult, AptitudeSettings, AptitudeTest, Subject
    from modelsat.lab.aptitude.plan import Plan

EXAMPLES = """[bold]Examples[/]

modelsat test openai/gpt-4o-mini

modelsat test my-model --api-base http://localhost:8000/v1

modelsat test ollama/llama3.1 --full --concurrency 2 --timeout 600

modelsat test my-model --api-base https://llm.example.com/v1 --api-key-env MY_KEY --suite my_suite.yaml --budget 2

modelsat test openai/gpt-4o-mini --dry-run
"""
STOPPED = 3
"""Exit code of a test that ended before a profile could be made; the same command goes on."""


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
    from modelsat.lab.aptitude import AptitudeTest

    _check_outputs(profile, plot)
    subject = _subject(model, api_base, api_key_env, max_tokens, temperature, timeout, options or [])
    settings = _settings(
        questions=questions,
        tasks=split_names(tasks),
        core=not suite_only,
        suite=suite,
        adaptive=adaptive,
        target_error=target_error,
        circle=circle,
        answers=answers,
        wait=wait,
        fresh=fresh,
        tested_by=by,
        prices=_prices(input_price, output_price),
        limits={
            "concurrency": concurrency,
            "attempts": attempts,
            "budget_usd": budget,
            "keep_going": keep_going,
        },
    )
    with AptitudeTest(subject, settings, name=name) as running:
        plan = running.plan()
        _show_plan(plan, running)
        if dry_run:
            return
        if plan.calls and not yes and not typer.confirm("Start?", default=True, err=True):
            raise typer.Exit(1)
        result = _run(running, plan)
    _finish(result, running, profile, plot, as_json=as_json)


def _subject(
    model: str, api_base: str, api_key_env: str, max_tokens: int, temperature: float, timeout: float, options: list[str]
) -> Subject:
    from modelsat.errors import ConfigurationError
    from modelsat.lab.aptitude import EndpointSubject, LiteLLMSubject

    key = None
    if api_key_env:
        key = os.environ.get(api_key_env)
        if not key:
            raise ConfigurationError(f"the variable {api_key_env}, which should hold the key, is not set")
    common: dict[str, Any] = {
        "api_key": key,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "timeout": timeout,
        "options": dict(_option(text) for text in options),
    }
    return EndpointSubject(model, api_base, **common) if api_base else LiteLLMSubject(model, **common)


def _option(text: str) -> tuple[str, Any]:
    from modelsat.errors import ConfigurationError

    key, found, value = text.partition("=")
    if not found or not key.isidentifier():
        raise ConfigurationError(f"--option {text!r}: write KEY=VALUE, e.g. reasoning_effort=low")
    if key in ("api_key", "messages", "model", "api_base"):
        raise ConfigurationError(f"--option {key} has an option or argument of its own")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _prices(paid: float | None, made: float | None) -> Any:
    from modelsat.errors import ConfigurationError
    from modelsat.lab.aptitude import Prices

    if paid is None and made is None:
        return None
    if paid is None or made is None:
        raise ConfigurationError("give both --input-price and --output-price")
    return Prices(paid, made, "given")


def _settings(*, target_error: float | None, limits: dict[str, Any], **fields: Any) -> AptitudeSettings:
    from modelsat.lab.aptitude import AptitudeSettings, Limits

    if target_error is not None:
        fields["target_error"] = target_error
    return AptitudeSettings(limits=Limits(**limits), **fields)


def _check_outputs(profile: Path | None, plot: Path | None) -> None:
    """Find out now, not after the test, that a file cannot be written."""
    from importlib.util import find_spec

    from modelsat.errors import ConfigurationError, MissingDependencyError

    if plot is not None and find_spec("matplotlib") is None:
        raise MissingDependencyError.for_extra("drawing a profile", "test")
    for path, endings in ((profile, (".json",)), (plot, (".png", ".svg", ".pdf"))):
        if path is None:
            continue
        if path.suffix.casefold() not in endings:
            raise ConfigurationError(f"cannot write {path}: its name must end in {' or '.join(endings)}")
        if not path.absolute().parent.is_dir():
            raise ConfigurationError(f"cannot write {path}: there is no folder {path.parent}")


def _show_plan(plan: Plan, running: AptitudeTest) -> None:
    console = errors()
    summary = f"[bold]{_escape(plan.model)}[/]: {plan.questions:,} questions, {plan.mode}"
    if plan.known:
        summary += f"; {plan.known:,} answers are there already"
    console.print(summary, highlight=False, soft_wrap=True)
    most = "at most " if plan.mode == "adaptive" and plan.calls else ""
    money = "price unknown (--input-price, --output-price)" if plan.usd is None else f"about {_usd(plan.usd)}"
    if plan.prices is not None:
        money += f" by {plan.prices.origin}" if plan.prices.origin != "given" else " by the prices given"
    console.print(
        f"to ask: {most}{plan.calls:,} calls, about {plan.prompt_tokens:,} + {plan.completion_tokens:,} tokens, "
        f"{money}",
        highlight=False,
        soft_wrap=True,
    )
    for function in plan.functions:
        console.print(f"runs Python code: {_escape(function)}", highlight=False)
    for judge in plan.judges:
        console.print(f"asks a judge on top: {_escape(judge)}", highlight=False)
    console.print(f"[dim]answers: {_escape(str(running.answers_file))}[/]", highlight=False, soft_wrap=True)


def _run(running: AptitudeTest, plan: Plan) -> AptitudeResult:
    from modelsat.cli._aptitude import TaskBars

    with TaskBars(errors(), plan, running.tasks_by_question) as progress:
        try:
            return running.run(progress.update)
        except KeyboardInterrupt:
            progress.stop()
            errors().print("[yellow]stopped; all answers so far are kept: the same command goes on[/]", highlight=False)
            raise typer.Exit(130) from None


def _finish(
    result: AptitudeResult, running: AptitudeTest, profile: Path | None, plot: Path | None, *, as_json: bool
) -> None:
    from modelsat.cli._aptitude import show_result
    from modelsat.lab.aptitude import keep

    saved = None
    made = result.profile
    if made is not None:
        partly = not running.settings.core or bool(running.settings.tasks)
        made, saved = keep(made, merge=partly)
        if profile is not None:
            from modelsat.capability import save_profiles

            save_profiles([made], profile)
        if plot is not None:
            from modelsat.lab.aptitude.compare import draw

            draw([made], plot)
    if as_json:
        typer.echo(json.dumps(_as_json(result), ensure_ascii=False, indent=1))
    else:
        show_result(
            output(), result, saved, [path for path in (profile, plot) if path is not None and made is not None]
        )
    if result.profile is None:
        raise typer.Exit(STOPPED)


def _as_json(result: AptitudeResult) -> dict[str, Any]:
    from dataclasses import asdict, replace

    content = asdict(replace(result, profile=None))
    content["profile"] = (
        None if result.profile is None else result.profile.model_dump(mode="json", exclude_defaults=True)
    )
    return {**content, "asked": result.asked, "unread": result.unread, "accuracy": round(result.accuracy, 6)}


def _usd(amount: float) -> str:
    return f"{amount:.2f} USD" if amount >= 0.995 or amount == 0 else f"{amount:.3g} USD"


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
