"""``modelsat tune``: a policy fitted to an aim on the user's own prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli.console import (
    JSONOption,
    ProfilesOption,
    WeightsOption,
    load_registry,
    output,
    progress,
    show_rows,
    split_names,
)

if TYPE_CHECKING:
    from modelsat.lab.tuning import Aim, Tuning
    from modelsat.router import Router

EXAMPLES = """[bold]Examples[/]

modelsat tune prompts.jsonl --models gpt-4o,gpt-4o-mini,claude-3-haiku --keep-quality 0.95

modelsat tune spend_logs.json --models gpt-5,gpt-5-mini --max-usd-per-1k 2.5 --output policy.json --plot curve.png

modelsat tune runs.jsonl --profiles mine.json --prices prices.csv --outcomes scores.parquet --strong-share 0.3

modelsat route "Why is the sky blue?" --models gpt-4o,gpt-4o-mini,claude-3-haiku --policy policy.json
"""
_SHOWN = 9


def tune(
    prompts: Annotated[
        Path,
        typer.Argument(
            help="Your prompts: rows with prompt or messages (.jsonl, .json, .csv, .parquet), or what another tool "
            "writes: LangSmith, Langfuse, LiteLLM's spend logs, batch files, Promptfoo, Inspect, lm-eval, Claude Code."
        ),
    ],
    models: Annotated[
        list[str] | None,
        typer.Option("--models", "-m", metavar="A,B,C", help="Candidates: names of the registry or of --profiles."),
    ] = None,
    profiles: ProfilesOption = None,
    keep_quality: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Keep this share of the best single model's quality, as cheaply as possible."
        ),
    ] = None,
    max_usd_per_1k: Annotated[
        float | None,
        typer.Option(metavar="USD", help="Spend at most this per thousand requests, at the best possible quality."),
    ] = None,
    strong_share: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Send at most this share of the requests to the strong model."),
    ] = None,
    strong: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The strong model; the best single one if omitted.")
    ] = None,
    policy: Annotated[
        str, typer.Option(help="Policy whose knob is fitted: tradeoff (value_per_success) or cheapest (target).")
    ] = "tradeoff",
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="model, input_usd_per_mtok, output_usd_per_mtok; what it leaves out comes from the shipped table.",
        ),
    ] = None,
    outcomes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Known outcomes: item_id, model, score in 0..1; the more, the better."),
    ] = None,
    destination: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.json", help="The policy file that is written.")
    ] = Path("policy.json"),
    picture: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the curve: .png, .svg, .pdf or .html.")
    ] = None,
    weights: WeightsOption = "modelsat-nano",
    force: Annotated[bool, typer.Option("--force", help="Overwrite these files if they exist.")] = False,
    as_json: JSONOption = False,
) -> None:
    """Fit a policy to your aim on your own prompts, and show what to expect of it.

    Give one aim: --keep-quality, --max-usd-per-1k or --strong-share. Without outcomes, quality is predicted success.
    """
    from modelsat.errors import ConfigurationError
    from modelsat.lab.tuning import read_prompts
    from modelsat.lab.tuning import tune as run
    from modelsat.lab.tuning.run import plot, read_outcomes_table
    from modelsat.lab.tuning.sweep import KNOB

    aim = _aim(keep_quality, max_usd_per_1k, strong_share)
    if policy not in KNOB:
        raise ConfigurationError(f"--policy {policy!r} has no knob to fit: choose {' or '.join(KNOB)}")
    family: Any = policy
    _check_files(destination, picture, force=force)
    router = _router(models, profiles, prices, weights)
    known = read_outcomes_table(outcomes) if outcomes is not None else None
    read = read_prompts(prompts)
    with progress("scoring prompts", len(read.records)) as advance:
        found = run(router, read, aim, family=family, outcomes=known, strong=strong, progress=advance)
    file = found.policy_file(router)
    file.save(destination)
    if picture is not None:
        plot(found, picture)
    if as_json:
        typer.echo(file.model_dump_json(indent=2))
    else:
        _show(found, destination, picture)
        show_rows(read)


def _aim(keep_quality: float | None, max_usd_per_1k: float | None, strong_share: float | None) -> Aim:
    from modelsat.errors import ConfigurationError
    from modelsat.lab.tuning import Aim, Measure

    options = zip(Measure, (keep_quality, max_usd_per_1k, strong_share), strict=True)
    given = [(measure, value) for measure, value in options if value is not None]
    if len(given) != 1:
        names = " or ".join(f"--{measure.value}" for measure in Measure)
        what = "give an aim" if not given else f"there are {len(given)} aims: give one"
        raise ConfigurationError(f"{what}: {names}, e.g. --keep-quality 0.95")
    return Aim(*given[0])


def _check_files(destination: Path, picture: Path | None, *, force: bool) -> None:
    from modelsat.errors import ConfigurationError

    if destination.suffix.casefold() != ".json":
        raise ConfigurationError(f"the policy file {destination} must end in .json")
    if not destination.parent.is_dir():
        raise ConfigurationError(
            f"cannot write {destination}: there is no folder {destination.parent}; create it first"
        )
    if picture is not None:
        from modelsat.lab.tuning.run import check_plot

        check_plot(picture)
    there = [str(path) for path in (destination, picture) if path is not None and path.exists()]
    if there and not force:
        raise ConfigurationError(f"{', '.join(there)} exists: choose another name, or overwrite it with --force")


def _router(models: list[str] | None, profiles: Path | None, prices: Path | None, weights: str) -> Router:
    from modelsat.errors import ConfigurationError
    from modelsat.router import Router

    registry, extra = load_registry(profiles)
    names = split_names(models) or [profile.model for profile in extra]
    if len(names) < 2:
        raise ConfigurationError(
            f"there {'is one candidate' if names else 'are no candidates'}: a policy chooses among at least two; give "
            "--models A,B,C or --profiles FILE.json"
        )
    facts: dict[str, dict[str, Any]] | None = None
    if prices is not None:
        from modelsat.lab.evaluation.inputs import read_prices

        facts = {
            name: {"input_usd_per_mtok": price.input, "output_usd_per_mtok": price.output}
            for name, price in read_prices(prices).items()
            if name in names
        }
    return Router(names, registry=registry, weights=weights, facts=facts)


def _show(found: Tuning, destination: Path, picture: Path | None) -> None:
    from rich.markup import escape

    console, fit = output(), found.fit
    console.print(_table(found))
    reference = found.evidence.pool.names[found.evidence.reference]
    parameters = ", ".join(f"{key}={value:.4g}" for key, value in found.policy.items() if key != "name")
    low, high = (fit.aim.number(value) for value in fit.interval)
    for line in (
        f"[bold]{fit.family}({parameters})[/] for {escape(str(fit.aim))}, fitted to {found.prompts} prompts",
        f"On other prompts like these: {escape(fit.aim.say(fit.expected))} [dim](90 % interval {low} to {high})[/]",
        f"Best single model here: {escape(reference)}, quality {fit.reference_quality:.3f}, "
        f"${fit.reference_cost * 1000:.4g} per 1,000 requests",
        *(f"[yellow]note:[/] {escape(note)}" for note in found.notes),
    ):
        console.print(line, highlight=False)
    files = ", ".join(str(path) for path in (destination, picture) if path is not None)
    console.print(f"\n{files}\n", highlight=False, markup=False, soft_wrap=True)


def _table(found: Tuning) -> Any:
    """Return the curve in a few rows, equally spaced in cost, with the chosen point and the single models."""
    import numpy as np
    from rich.markup import escape
    from rich.table import Table

    fit = found.fit
    curve, at = fit.curve, fit.at
    wanted = np.linspace(curve.cost.min(), curve.cost.max(), _SHOWN)
    rows = sorted({int(np.abs(curve.cost - cost).argmin()) for cost in wanted} | {at})
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    for title in (fit.family, "USD per 1,000", "quality", "of the best model", "strong calls"):
        table.add_column(title, justify="right")

    def add(label: str, cost: float, quality: float, strong: float, mark: str, style: str | None) -> None:
        kept = quality / max(fit.reference_quality, 1e-12)
        table.add_row(mark, label, f"{cost * 1000:.4g}", f"{quality:.3f}", f"{kept:.1%}", f"{strong:.1%}", style=style)

    for row in rows:
        mark, style = ("→", "bold green") if row == at else ("", None)
        add(f"{curve.knobs[row]:.4g}", curve.cost[row], curve.quality[row], curve.strong[row], mark, style)
    table.add_section()
    for column, name in enumerate(found.evidence.pool.names):
        alone = fit.single_costs[column], fit.single_qualities[column], float(column == found.evidence.strong)
        add(escape(name), *alone, "", "dim")
    return table
