"""``modelsat train``: weights from logged outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli.console import RayAddressOption, RayOption, output

if TYPE_CHECKING:
    from rich.table import Table

    from modelsat.lab.training.recipe import Recipe

EXAMPLES = """[bold]Examples[/]

modelsat train recipe.yaml --output runs/mine

modelsat train recipe.yaml --output runs/mine --resume

modelsat train recipe.yaml --output runs/quick --seed 1 --set num_train_epochs=0.1 --set save_strategy=no

torchrun --nproc-per-node 4 -m modelsat train recipe.yaml --output runs/mine
"""


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe that names the data, the base and the stages (YAML).")],
    run: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the run; weights go to DIR/checkpoint.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Seed of new weights, batches and drawn profiles.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue where an interrupted run stopped; the result is the same.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting of every stage. May be repeated."),
    ] = None,
    export: Annotated[
        bool, typer.Option("--export/--no-export", help="Export the network to ONNX at the end, if possible.")
    ] = True,
    ray: RayOption = False,
    ray_address: RayAddressOption = None,
    ray_workers: Annotated[int, typer.Option(min=1, help="Processes of --ray.")] = 2,
    ray_gpus: Annotated[bool, typer.Option("--ray-gpus", help="Give each process of --ray a GPU.")] = False,
) -> None:
    """Train a router on logged outcomes by a recipe (needs the extra "train").

    Everything is checked before training starts. Under torchrun or accelerate, every process takes its share of the
    batches and the first one writes.
    """
    from modelsat.lab.training import require

    require()
    overrides = _overrides(settings or [])
    _quiet()
    from modelsat.lab.training.recipe import read_recipe
    from modelsat.lab.training.run import train as run_recipe

    plan = read_recipe(recipe)
    if ray:
        from modelsat.server.cluster.connection import connect
        from modelsat.server.cluster.training import train_on_ray

        connect(ray_address)
        options: dict[str, Any] = {"seed": seed, "resume": resume, "overrides": overrides, "export": export}
        folder = train_on_ray(recipe, run, workers=ray_workers, gpus=ray_gpus, **options)
    else:
        folder = run_recipe(plan, run, seed=seed, resume=resume, overrides=overrides, export=export)
    from accelerate import PartialState

    if PartialState().is_main_process:
        _report(folder, plan)


def _overrides(settings: list[str]) -> dict[str, Any]:
    import yaml

    from modelsat.errors import ConfigurationError

    overrides = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(f"--set takes KEY=VALUE, such as num_train_epochs=1, not {setting!r}")
        try:
            overrides[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--set {setting}: cannot read the value") from error
    return overrides


def _quiet() -> None:
    """Leave the bar of the training itself, and warnings; not those of every file read or written."""
    from transformers.utils import logging

    logging.set_verbosity_warning()
    logging.disable_progress_bar()


def _report(folder: Path, recipe: Recipe) -> None:
    import json

    from modelsat.storage.base import ADAPTER_FILE, Base
    from modelsat.storage.checkpoint import Checkpoint, read_manifest

    about = json.loads((folder / "recipe.json").read_text("utf-8"))
    console = output()
    if about["validation"]:
        console.print(_table(about["validation"]))
    else:
        console.print("No stage was validated (eval_strategy no).", highlight=False)
    lines = [
        f"Checkpoint: {folder}",
        f"Card:       {folder / 'README.md'}",
        f'Route:      modelsat route "your prompt" --models gpt-5,claude-sonnet-4 --weights {folder}',
        f"Measure:    modelsat evaluate {recipe.items} {recipe.outcomes} --router mine={folder}"
        + (f" --unseen-models {','.join(recipe.unseen_models)}" if recipe.unseen_models else "")
        + (f" --profiles {recipe.profiles}" if recipe.profiles else ""),
    ]
    base = Base.of(Checkpoint(folder, read_manifest(folder)))
    if base is not None:
        parts = ([folder / ADAPTER_FILE], folder.iterdir())
        own, whole = (sum(path.stat().st_size for path in paths) / 1e6 for paths in parts)
        lines[1:1] = [
            f"Adapters:   {own:,.1f} MB, {whole:,.1f} MB with tokenizer and card",
            f"Base:       {base}, {base.file} with the SHA-256 {base.sha256}",
        ]
    elif not (folder / "model.onnx").is_file():
        lines[2] = (
            f"Score:      modelsat.inference.load_scorer({str(folder)!r}, backend='torch') (there is no ONNX export to "
            "route with)"
        )
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _table(history: list[dict[str, Any]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from modelsat.lab.training.card import chosen, validation_rows

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", title="Validation prompts, before calibration")
    for name in ("stage", "epoch", "group", "models", "AUC", "Brier", "gain"):
        table.add_column(name, justify="left" if name in ("stage", "group", "models") else "right")
    for entry in chosen(history):
        for group, kind, *numbers in validation_rows(entry):
            cells = ("" if value is None else f"{value:.3f}" for value in numbers)
            table.add_row(escape(entry["stage"]), f"{entry['epoch']:.3g}", escape(group), kind, *cells)
    return table
