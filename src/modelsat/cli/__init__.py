"""The command line: ``modelsat route``, ``models``, ``show``, ``score`` and the rest.

Each command lives in a module of its own and imports what it needs when it runs, so that ``modelsat --help`` is quick.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from modelsat.cli import (
    aptitude,
    bench,
    compare,
    doctor,
    evaluate,
    explain,
    feedback,
    models,
    profile,
    report,
    route,
    score,
    serve,
    train,
    tune,
    weights,
)
from modelsat.cli.console import fail
from modelsat.errors import ModelSATError


class _Group(TyperGroup):
    """Turns the project's own errors into one line on stderr and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ModelSATError as error:
            raise fail(str(error)) from error


app = typer.Typer(
    name="modelsat",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Decides before any model runs which of your chat models will answer a request well.",
)
app.command(epilog=route.EXAMPLES)(route.route)
app.command(epilog=explain.EXAMPLES)(explain.explain)
app.add_typer(models.app, name="models")
app.command(epilog=models.SHOW_EXAMPLES)(models.show)
app.command(name="test", epilog=aptitude.EXAMPLES)(aptitude.aptitude)
app.command(epilog=compare.EXAMPLES)(compare.compare)
app.command(epilog=score.EXAMPLES)(score.score)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(epilog=tune.EXAMPLES)(tune.tune)
app.command("calibrate", hidden=True, deprecated=True)(tune.tune)  # its name until 0.1; goes with 0.3
app.command(epilog=bench.EXAMPLES)(bench.bench)
app.command(epilog=serve.EXAMPLES)(serve.serve)
app.command(epilog=report.EXAMPLES)(report.report)
app.command(epilog=train.EXAMPLES)(train.train)
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(profile.app, name="profile")
app.add_typer(feedback.app, name="feedback")
app.add_typer(weights.app, name="weights")


def _version(asked: bool) -> None:
    if asked:
        from modelsat import __version__

        typer.echo(f"modelsat {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Declare the options of the command line as a whole; the help text is the app's."""


def main() -> None:
    """Run the command line; the entry point ``modelsat``."""
    app(prog_name="modelsat")
