"""``modelsat weights``: checkpoints that ship, in a folder or on the Hub."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column

from modelsat.cli.console import JSONOption, errors, examples, grid, output, say
from modelsat.errors import CheckpointError, ConfigurationError

if TYPE_CHECKING:
    from modelsat.storage.checkpoint import Checkpoint

EXAMPLES = examples(
    "modelsat weights list",
    "modelsat weights download org/my-router@v1",
    "modelsat weights verify modelsat-nano org/my-router@v1",
    "modelsat weights push runs/mine/checkpoint org/my-router --private",
)
_DOWNLOAD_EXAMPLES = examples(
    "modelsat weights download org/my-router",
    "modelsat weights download org/my-router@v1 --force",
    "HF_TOKEN=hf_... modelsat weights download org/private-router",
)
_PUSH_EXAMPLES = examples(
    "hf auth login",
    "modelsat weights push runs/mine/checkpoint org/my-router",
    'modelsat weights push runs/mine/checkpoint org/my-router@next --message "Trained on October\'s logs" --private',
)

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="List, download, prepare, verify and push weights."
)


@app.callback(epilog=EXAMPLES)
def _weights() -> None:
    """List, download, prepare, verify and push weights.

    Weights are named by what ships (modelsat-nano), by a folder, or by a repository on the Hub: org/name@revision.
    Token, cache, mirror and offline mode are huggingface_hub's: HF_TOKEN, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE.
    """


@app.command("list", epilog=examples("modelsat weights list", "modelsat weights list --json"))
def list_(as_json: JSONOption = False) -> None:
    """List the weights that ship and those in the Hub's cache. Needs no network."""
    from modelsat.storage.weights import known_weights

    known = known_weights()
    if as_json:
        typer.echo(json.dumps([{**asdict(weights), "path": str(weights.path)} for weights in known], indent=1))
        return
    table = grid(Column("weights", overflow="fold"), "known as", ">size", Column("", style="dim"))
    for weights in known:
        missing = f"without {', '.join(weights.missing)}" if weights.missing else ""
        table.add_row(escape(weights.name), escape(", ".join(weights.revisions)), _size(weights.size), escape(missing))
    output().print(table)


@app.command(epilog=_DOWNLOAD_EXAMPLES)
def download(
    repository: Annotated[str, typer.Argument(metavar="ORG/NAME[@REVISION]", help="Repository on the Hub.")],
    force: Annotated[bool, typer.Option("--force", help="Download again what the cache holds.")] = False,
) -> None:
    """Download weights from the Hub into its cache, the base of adapters too, and check every file.

    If interrupted, run the same command again: complete files are kept. Afterwards the weights also work without
    a network (HF_HUB_OFFLINE=1).
    """
    from modelsat.storage.base import Base
    from modelsat.storage.checkpoint import fetch
    from modelsat.storage.hub import reference

    checkpoint = fetch(reference(repository, "model", error=CheckpointError), force=force)
    if (base := Base.of(checkpoint)) is not None:
        say(f"base: {base}, {base.weights()}")
    _report(checkpoint, checkpoint.verify())
    say(f"Router([...], weights={checkpoint.version!r})")


@app.command(epilog=examples("modelsat weights prepare org/my-adapters@v1"))
def prepare(
    weights: Annotated[str, typer.Argument(help="Adapters over a public base: a folder, or org/name@revision.")],
    base: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the base; from $MODELSAT_BASE or the Hub if not given."),
    ] = None,
) -> None:
    """Merge adapters into their base, a GGUF file too, and export the network, so that it runs without torch.

    Downloads the base if need be. The result lies in the cache folder (MODELSAT_CACHE_DIR); take that along to machines
    without torch. Needs the extra "export".
    """
    from modelsat.network.exported import prepare as prepare_weights
    from modelsat.storage.base import Base
    from modelsat.storage.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(weights)
    if (wanted := Base.of(checkpoint)) is None:
        raise ConfigurationError(f"{checkpoint.version} is a whole network, which needs no preparing")
    with errors().status(f"merging {checkpoint.version} into {wanted} and exporting, which takes minutes"):
        made = prepare_weights(checkpoint, wanted, folder=base)
    lies = made.made.path if made.made is not None else made.path
    say(f"{checkpoint.version}: prepared in {lies}")


@app.command(epilog=examples("modelsat weights verify", "modelsat weights verify runs/mine/checkpoint"))
def verify(
    weights: Annotated[
        list[str] | None, typer.Argument(help="Shipped names, folders or repositories; all that are known if none.")
    ] = None,
) -> None:
    """Check every file of weights against the SHA-256 sums of its manifest."""
    from modelsat.storage.checkpoint import Checkpoint, open_checkpoint, read_manifest, shipped_folders
    from modelsat.storage.weights import known_weights

    if not weights:
        for known in known_weights():
            pinned = known.name if "/" in known.name else ""
            checkpoint = Checkpoint(known.path, read_manifest(known.path), pinned)
            _report(checkpoint, checkpoint.verify(partial=True))
    shipped = {folder.name for folder in shipped_folders()}
    for name in weights or ():
        checkpoint = open_checkpoint(name)
        _report(checkpoint, checkpoint.verify(partial=name in shipped))


@app.command(epilog=_PUSH_EXAMPLES)
def push(
    folder: Annotated[str, typer.Argument(help="Checkpoint folder, as `modelsat train` leaves it.")],
    repository: Annotated[
        str, typer.Argument(metavar="ORG/NAME[@BRANCH]", help="Repository; created if it does not exist.")
    ],
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Of a new repository; your account's default if neither.")
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Message of the commit.")] = None,
) -> None:
    """Upload a checkpoint folder to the Hub as one commit, every file checked first."""
    from modelsat.storage.weights import push as push_weights

    pinned = push_weights(folder, repository, private=private, message=message)
    say(f"pushed: {pinned}")


def _report(checkpoint: Checkpoint, count: int) -> None:
    paths = [checkpoint.path / name for name in checkpoint.digests]
    size = sum(path.stat().st_size for path in paths if path.exists())
    missing = "".join(f", without {path.name}" for path in paths if not path.exists())
    text = f"{checkpoint.version}: {count} files as in the manifest{missing}, {_size(size)}, {checkpoint.path}"
    say(text)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"
