"""What the commands share: consoles, options, lists of names, extra profiles, parts of a request, the way to fail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from modelsat._files import read_json
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile
    from modelsat.capability.registry import Registry
    from modelsat.request import RequestContext

_INDENTED = re.compile(r"\s*\n(?:\s*\n|[ \t])\s*")
FAILURE = 2
"""Exit code of every error that the user can mend."""

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
LikeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--like", metavar="NAME=KNOWN", help="Treat a model as being as good as a known one; its price stays its own."
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


def fail(message: str) -> typer.Exit:
    """Write ``message`` to standard error, indented lines joined to the one before; the result is to be raised."""
    message = _INDENTED.sub(" ", message.strip())
    errors().print(f"[bold red]Error:[/] [red]{escape(message)}[/]", soft_wrap=True, highlight=False)
    return typer.Exit(FAILURE)


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


def liken(registry: Registry, like: Iterable[str] | None) -> Registry:
    """``registry`` with the models that ``--like NAME=KNOWN`` describes by known ones.

    Raises:
        ConfigurationError: A part is not of this form.
        UnknownModelError: A known model is not.
    """
    from modelsat.errors import ConfigurationError

    borrowed = []
    for part in split_names(like):
        name, equals, known = (piece.strip() for piece in part.partition("="))
        if not (name and equals and known):
            raise ConfigurationError(f"--like {part}: write --like NAME=KNOWN, e.g. --like my-model=gpt-5.5")
        borrowed.append(registry.find(known).lent_to(name))
    return registry.with_profiles(borrowed) if borrowed else registry


def bar(share: float, width: int = 20, style: str = "green", mark: float | None = None) -> Text:
    """Draw a horizontal bar for ``share`` (0..1), without colour too; ``mark`` sets a tick at a second share."""
    filled = round(share * width)
    text = Text("━" * filled, style=style).append("─" * (width - filled), style="bright_black")
    if mark is None:
        return text
    at = min(round(mark * width), width - 1)
    return Text.assemble(text[:at], ("┃", "bold yellow"), text[at + 1 :])


def read_object(path: Path | None, what: str) -> dict[str, Any] | None:
    """Return the JSON object in ``path``; ``None`` without a path.

    Raises:
        ConfigurationError: The file is missing, is not JSON, or does not hold an object.
    """
    if path is None:
        return None
    found = read_json(path, what)
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} must hold a JSON object, {{...}}, not a {type(found).__name__}")
    return found


def context_of(
    limits: Mapping[str, Any],
    *,
    needs: Sequence[str],
    answer_tokens: int | None,
    thread: str | None,
    metadata: Sequence[str] | None,
) -> RequestContext:
    """Return the request context of a command's options.

    Args:
        limits: Fields of :class:`~modelsat.request.Constraints`.
        needs: Names of abilities.
        answer_tokens: Limit on the answer.
        thread: Identifier of the conversation.
        metadata: ``key=value`` entries.

    Raises:
        ConfigurationError: A value cannot be right.
    """
    from modelsat.request import Constraints, RequestContext

    given: Any = {"needs": tuple(needs), "answer_tokens": answer_tokens, "thread": thread}
    return RequestContext(
        **given, metadata=_pairs(metadata or ()), constraints=Constraints(**limits) if limits else None
    )


def _pairs(entries: Sequence[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in entries]
    if bad := [key for key, sign, _ in pairs if not sign or not key]:
        raise ConfigurationError(f"--metadata takes KEY=VALUE, not {bad[0]!r}")
    return {key: value for key, _, value in pairs}
