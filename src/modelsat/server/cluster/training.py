"""Training with Ray Train: the recipe's own run, in processes that Ray starts on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelsat.errors import ConfigurationError


def train_on_ray(
    recipe: Path,
    output: Path,
    *,
    workers: int,
    gpus: bool,
    seed: int = 0,
    resume: bool = False,
    overrides: Mapping[str, Any] | None = None,
    export: bool = True,
) -> Path:
    """Train by a recipe with as many processes as ``workers``, as ``torchrun`` would on one machine.

    Args:
        recipe: The recipe; it, its data and ``output`` lie where every node reads them under the same path.
        output: Folder of the run; the checkpoint is its folder ``checkpoint``.
        workers: Processes.
        gpus: Give each process a GPU.
        seed: Seed of weights, batches and profiles.
        resume: Go on where an interrupted run stopped.
        overrides: Settings that replace those of every stage.
        export: Export the network to ONNX too, if it is of the kind that exports.

    Returns:
        The checkpoint folder.

    Raises:
        ConfigurationError: A process failed; the message says why.
    """
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    output = output.resolve()
    settings = {
        "recipe": str(recipe.resolve()),
        "output": str(output),
        "seed": seed,
        "resume": resume,
        "overrides": dict(overrides or {}),
        "export": export,
    }
    trainer = TorchTrainer(
        _worker,
        train_loop_config=settings,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
        # beside the run's folder, which has to be empty at the start
        run_config=RunConfig(name=output.name, storage_path=str(output.with_name(f"{output.name}.ray"))),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise ConfigurationError(f"training on Ray failed: {_reason(error)}") from error
    from modelsat.lab.training.run import CHECKPOINT

    return output / CHECKPOINT


def _worker(settings: dict[str, Any]) -> None:
    from modelsat.lab.training.recipe import read_recipe
    from modelsat.lab.training.run import train

    train(
        read_recipe(Path(settings["recipe"])),
        Path(settings["output"]),
        seed=settings["seed"],
        resume=settings["resume"],
        overrides=settings["overrides"],
        export=settings["export"],
    )


def _reason(error: BaseException) -> str:
    failures = getattr(error, "worker_failures", None) or {}
    inner = next(iter(failures.values()), None) or getattr(error, "cause", None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:400]
