"""What the commands share: options, consoles, tables, progress, lists of names, extra profiles, the way to fail."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile
    from modelsat.capability.registry import Registry
    from modelsat.lab.tuning import Prompts

_INDENTED = re.compile(r"\s*\n(?:\s*\n|[ \t])\s*")
_FAILURE = 2
"""Exit code of every error that the user can mend."""
_PATIENCE_S = 2.0
"""Seconds after which a progress bar shows."""

ModelsOption = Annotated[
    list[str] | None,
    typer.Option("--models", "-m", metavar="A,B,C", help="Candidates: names of the registry or of --profiles."),
]
RulesOption = Annotated[
    Path | None, typer.Option("--rules", metavar="FILE.yaml", help="Rules on who may answer which requests.")
]
ProfilesOption = Annotated[
    Path | None,
    typer.Option(
        "--profiles", metavar="FILE.json", help="Capability profiles of your own; they override shipped ones."
    ),
]
WeightsOption = Annotated[
    str, typer.Option("--weights", help="Shipped weights by name, a folder, or org/name@revision on the Hub.")
]
PolicyWeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="Shipped weights by name, a folder, or org/name@revision on the Hub; if not given, the shipped weights "
        "that the policy file was fitted to, or else modelsat-nano.",
    ),
]
RayOption = Annotated[bool, typer.Option("--ray", help='Work on a Ray cluster (needs the extra "ray").')]
RayAddressOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help='A running Ray cluster, e.g. "auto"; without one, --ray starts one here.'),
]
JSONOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")]


def output() -> Console:
    """Return the console on standard output."""
    return Console()


def errors() -> Console:
    """Return the console on standard error."""
    return Console(stderr=True)


def say(text: str) -> None:
    """Print ``text`` as it is on standard output."""
    output().print(text, soft_wrap=True, markup=False, highlight=False)


def note(text: str) -> None:
    """Print an explanation on standard output, dim and wrapped at the window's width."""
    output().print(text, style="dim", markup=False, highlight=False)


def fail(message: str) -> typer.Exit:
    """Write ``message`` to standard error, indented lines joined to the one before; the result is to be raised."""
    message = _INDENTED.sub(" ", message.strip())
    errors().print(f"[bold red]Error:[/] [red]{escape(message)}[/]", soft_wrap=True, highlight=False)
    return typer.Exit(_FAILURE)


def grid(*columns: str | Column, **options: Any) -> Table:
    """Return a table without lines; a column whose name begins with ``>`` is set to the right."""
    made = [
        Column(column[1:], justify="right") if isinstance(column, str) and column.startswith(">") else column
        for column in columns
    ]
    return Table(*made, **{"box": None, "padding": (0, 2, 0, 0), "header_style": "bold", **options})


def bar(share: float, width: int = 20, style: str = "green", mark: float | None = None) -> Text:
    """Draw a horizontal bar for ``share`` (0..1), without colour too; ``mark`` sets a tick at a second share."""
    filled = round(share * width)
    text = Text("━" * filled, style=style).append("─" * (width - filled), style="bright_black")
    if mark is None:
        return text
    at = min(round(mark * width), width - 1)
    return Text.assemble(text[:at], ("┃", "bold yellow"), text[at + 1 :])


def show_rows(prompts: Prompts) -> None:
    """Print how many rows of a file were read, how many were left out, and why."""
    table = grid(">rows", "")
    for kind, count in prompts.kinds.items():
        table.add_row(f"{count:,}", f"read: {kind}")
    if (merged := sum(prompts.kinds.values()) - len(prompts.records)) > 0:
        table.add_row(f"{merged:,}", "of these name another model or score of a prompt read before")
    for reason, count in prompts.skipped.items():
        table.add_row(f"{count:,}", f"left out: {escape(reason)}", style="yellow")
    output().print(table)


class Bar:
    """A progress bar on standard error, from :func:`progress`."""

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
        if not self._bars.live.is_started and time.monotonic() - self._started > _PATIENCE_S:
            self._bars.start()

    def close(self) -> None:
        """Remove the bar."""
        if self._bars.live.is_started:
            self._bars.stop()


def progress(what: str, total: int | None = None) -> closing[Bar]:
    """Show a bar of ``total`` steps, if the work takes long; call what the context gives with the steps done since."""
    return closing(Bar(what, total))


def examples(*commands: str) -> str:
    """Return the end of a help text that shows commands, a paragraph each."""
    return "\n\n".join(("[bold]Examples[/]", *commands))


def check_output(path: Path, *endings: str, inputs: Iterable[Path | None] = (), force: bool = True) -> None:
    """Find out now, not after the work, that a file cannot or must not be written.

    Raises:
        ConfigurationError: Its name has another ending, it is a folder, its folder is not there, it is one of
            ``inputs``, or it exists and there is no ``force``.
    """
    if path.suffix.casefold() not in endings:
        raise ConfigurationError(f"cannot write {path}: its name must end in {' or '.join(endings)}")
    if path.is_dir():
        raise ConfigurationError(f"cannot write {path}: it is a folder")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"cannot write {path}: there is no folder {path.parent}; create it first")
    if path.exists() and any(given is not None and given.exists() and path.samefile(given) for given in inputs):
        raise ConfigurationError(f"cannot write {path}: it is the input; choose another name")
    if path.exists() and not force:
        raise ConfigurationError(f"{path} exists: choose another name, or overwrite it with --force")


def split_names(values: Iterable[str] | None) -> list[str]:
    """Split repeated, comma-separated options into names, each once, in order."""
    names = (name.strip() for value in values or () for name in value.split(","))
    return list(dict.fromkeys(name for name in names if name))


def load_registry(path: Path | None) -> tuple[Registry, list[CapabilityProfile]]:
    """Load the shipped registry with the profiles in ``path`` before it, and those profiles.

    Raises:
        InvalidProfileError: The file is missing, is not JSON, or holds an invalid profile.
    """
    from modelsat.capability import Registry, load_profiles

    extra = load_profiles(path) if path else []
    registry = Registry.default()
    return (registry.with_profiles(extra) if extra else registry), extra
